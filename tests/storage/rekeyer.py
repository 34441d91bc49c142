"""A process of its own that seals a store anew, to be killed; or fills one, to be sealed anew."""

import asyncio
import sys

from gateway.core.receipt import Receipt
from gateway.storage import SqliteStore, open_store, rekeying
from tests.contract.stage import NOW, make_callback, make_grant, make_login, make_message, make_news, put

OLD, NEW = b"o" * 32, b"n" * 32
ACCOUNTS = ("main", "second", "third")
BODY = b'{"error": -14014}'
NEWS = make_news()
RECEIPT = Receipt("z1", "t1", NOW)


async def fill(store: SqliteStore, letters: int, prefix: str = "evt", owner: str = "me") -> None:
    """The store holds something of every kind."""
    await asyncio.gather(*(put(store, make_message(f"{prefix}-{number}")) for number in range(letters)))
    for account in ACCOUNTS:
        intended = make_grant(account).intended(owner, NOW)
        assert await store.put_grant(intended, expected=0)
        await store.put_login(make_login(account, f"state-{account}"))
        await store.keep_receipt(account, NOW, RECEIPT, BODY)
        told = [make_callback(f"c-{account}", account, body=BODY)]
        assert await store.keep_news(account, NOW, NEWS, BODY, told)
        store.journal.open(intended)(200, BODY)


async def rekey(url: str, at_once: int) -> None:
    rekeying._AT_ONCE = at_once  # type: ignore[misc]
    store = await open_store(url, [NEW, OLD], is_simulated=False)
    kinds = await store.rekey()
    assert all(kind.is_settled and not kind.unopened for kind in kinds)
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(rekey(sys.argv[1], int(sys.argv[2])))
