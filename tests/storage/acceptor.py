"""A process of its own that uses the store, to be killed: says its name, then each message once it is promised.

Those of a caller are born failed and told; else they are born sending.
"""

import asyncio
import sys

from gateway.core.delivery import State
from gateway.core.identity import identify
from gateway.core.message import claimed
from gateway.ports import Stored
from gateway.storage import open_store
from tests.contract.stage import KEY, LEASE, NOW, make_event, make_letter, make_message


async def accept_for_ever(url: str, prefix: str, caller: str = "") -> None:
    store = await open_store(url, [KEY], is_simulated=False, told=[caller])
    print(store.owner, flush=True)

    async def line(lane: int) -> None:
        for n in range(1_000_000):
            name = f"{prefix}-{lane}-{n}"
            event = make_event(name)
            identity = identify(mode="live", caller="checkout", event=event)
            if caller:
                message = make_message(name, caller=caller, state=State.FAILED)
            else:
                message = claimed(make_message(name), owner=store.owner, now=NOW, lease=LEASE)
            assert await store.accept(message, make_letter(event), identity) == Stored()
            print(name, flush=True)

    await asyncio.gather(*(line(lane) for lane in range(8)))


if __name__ == "__main__":
    asyncio.run(accept_for_ever(*sys.argv[1:]))
