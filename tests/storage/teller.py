"""A process of its own that tells the callbacks of `crm`, to be killed: says each and since when, then settles it."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

from gateway.storage import open_store
from tests.contract.stage import KEY

PATIENCE = timedelta(seconds=0.5)


async def tell_for_ever(url: str, told: str) -> None:
    store = await open_store(url, [KEY], is_simulated=False)
    file = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        now = datetime.now(UTC)
        until = now + PATIENCE
        taken = await store.take_callbacks("crm", now, until=until, limit=5)
        for callback in taken:
            os.write(file, f"{callback.id} {callback.since.timestamp()}\n".encode())
            is_refused = callback.tries == 1 and callback.id.endswith("3")
            next_at = now if is_refused else None
            await store.settle_callback(callback.id, taken_until=until, next_at=next_at)
        if not taken:
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(tell_for_ever(*sys.argv[1:]))
