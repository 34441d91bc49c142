"""The keeper for tests of flows can be down, and comes back as it was."""

import pytest

from gateway.core.errors import Unavailable
from gateway.storage import MemoryStore
from tests.contract.stage import OPERATIONS, make_message, put


@pytest.mark.parametrize("name", sorted(OPERATIONS))
async def test_while_it_is_down_nothing_can_be_had_of_it(name: str) -> None:
    store = MemoryStore()
    message = await put(store, make_message("evt-9"))
    store.is_down = True
    with pytest.raises(Unavailable):
        await OPERATIONS[name](store)
    store.is_down = False
    assert await store.load(message.tracking_id) == message
    assert (await store.holds(), await store.receipts(9), await store.grant("main")) == ([], [], None)


async def test_it_says_who_it_is_and_asks_who_is_dead() -> None:
    store = MemoryStore(lambda name: name == "gone", owner="me")
    assert store.owner == "me"
