"""A process of its own whose disk takes no more for a while: every write beyond a limit is an I/O error."""

import asyncio
import resource
import sys

from gateway.core.errors import Unavailable
from gateway.ports import Query, Stored
from gateway.storage import open_store
from tests.contract.stage import KEY, make_grant, make_message, put, take


async def fail_and_recover(url: str) -> None:
    store = await open_store(url, [KEY], is_simulated=False)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    messages = [make_message(f"evt-{n}") for n in range(200)]
    taken = await asyncio.gather(*(take(store, message) for message in messages), return_exceptions=True)
    refused = [message for message, one in zip(messages, taken, strict=True) if isinstance(one, Unavailable)]
    assert all(one == Stored() or isinstance(one, Unavailable) for one in taken), taken
    assert refused
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        await store.rehearse(make_grant())
    except Unavailable:
        print("refused", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for message in refused:
        await put(store, message)
    await store.rehearse(make_grant())
    print("recovered", flush=True)
    await store.aclose()
    store = await open_store(url, [KEY], is_simulated=False)
    assert len((await store.find(Query(limit=1000))).items) == len(messages)
    await store.aclose()
    print("complete", flush=True)


if __name__ == "__main__":
    asyncio.run(fail_and_recover(sys.argv[1]))
