"""What every flow is handed: the time, chance, somebody to tell."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from gateway.core.message import Letter, Message

Clock = Callable[[], datetime]
Chance = Callable[[], float]


class Observer(Protocol):
    """Is told what happened: one log line and one number a fact. Never raises, never waits."""

    def fact(self, name: str, **about: Any) -> None:
        """The fact is logged and counted."""


Depart = Callable[[Message, Letter], None]
Tell = Callable[[Message], None]
