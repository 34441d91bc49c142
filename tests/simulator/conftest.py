from collections.abc import AsyncIterator

import pytest

from gateway.simulator import Simulator

from .stage import Live, Receiver, Scene, served


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    """A served simulator without a webhook address."""
    async with served(Simulator(seed=1)) as live:
        yield live


@pytest.fixture
async def receiver(live: Live) -> AsyncIterator[Receiver]:
    """Where the live simulator's webhooks go, at once rather than after half a second."""
    async with Receiver().open() as receiver:
        live.simulator.webhook_to(receiver.url)
        await live.client.post("/__sim/clock", json={"scale": 100})
        yield receiver
