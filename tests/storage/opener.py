"""A process of its own that opens the store once it is told to, uses it, and says which generation the grant has."""

import asyncio
import sys

from gateway.storage import open_store
from tests.contract.stage import KEY, NOW


async def use(url: str) -> None:
    store = await open_store(url, [KEY], is_simulated=False)
    await store.ping()
    await store.take_login("nobody's", NOW)
    grant = await store.grant("main")
    await store.aclose()
    print(0 if grant is None else grant.generation)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    asyncio.run(use(sys.argv[1]))
