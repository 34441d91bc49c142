"""Both event loops, since one serves and the other is what tools run on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end on a fresh event loop, and fails if a callback of the loop went wrong."""

    def run_it(scenario: Coroutine[Any, Any, None]) -> None:
        trouble: list[dict[str, Any]] = []
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: trouble.append(context))
            runner.run(scenario)
        assert trouble == []

    return run_it
