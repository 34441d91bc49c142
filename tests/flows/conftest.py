"""The flows run on simulated time: whoever sleeps is woken at once, and the clock says that the time has passed."""

import asyncio
from collections.abc import Callable, Mapping

from .stage import TimelessLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"timeless": TimelessLoop}
