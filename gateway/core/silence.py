"""What follows when nothing is heard of a message: when Zalo is asked, what its answer makes of it, when to give up."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec

from .delivery import DeliveryError, Fact, State
from .message import Message, changed, received, target
from .receipt import Receipt

_SOON: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
_HOUR: Final = timedelta(hours=1)
MOST_ASKS: Final = 1 + len(_SOON) + 24
"""The first question, three soon after it, and one an hour for a day."""


class Delivered(msgspec.Struct, frozen=True):
    """The phone has the message, since `at` where Zalo said a sane time."""

    at: datetime | None


class Pending(msgspec.Struct, frozen=True):
    """Zalo has pushed the message and the phone has not got it."""


class Unclear(msgspec.Struct, frozen=True):
    """A question to Zalo got no answer that helps. `wants_new_grant` when the access token is why."""

    error: DeliveryError
    wants_new_grant: bool = False


StatusAnswer = Delivered | Pending | Unclear


def msg_ids(message: Message) -> tuple[str, ...]:
    """Every id that Zalo gave for this message, the one that its status goes by first."""
    return tuple(one for one in (message.msg_id, *message.other_msg_ids) if one is not None)


def may_ask(message: Message) -> bool:
    """True if a question may still tell what became of the message: Zalo took it, and has not been asked too often."""
    return message.state is State.SENT and message.asks < MOST_ASKS


def asking(message: Message, now: datetime) -> Message:
    """The message with one more question about it begun; if that comes to nothing `ask_at` is when to ask again.

    No line is added, since nothing has happened to the message.
    """
    pause = _SOON[message.asks] if message.asks < len(_SOON) else _HOUR
    return msgspec.structs.replace(message, asks=message.asks + 1, ask_at=now + pause, version=message.version + 1)


def answered(message: Message, answer: Delivered | Pending, now: datetime, *, about: Collection[str]) -> Message:
    """The message after Zalo's answer to the question what became of it; `about` are the ids that were asked about.

    The phone has the message if it has any of what Zalo took. Silence is only what is silent about all of it: where
    Zalo has since taken more, the answer is no more than noted.
    """
    if isinstance(answer, Delivered):
        return received(message, Receipt(message.msg_id, None, answer.at), now, cause="asked")
    is_about_all = set(msg_ids(message)) <= set(about)
    state = target(message, Fact.SILENT) if is_about_all else message.state
    return changed(message, now, Fact.SILENT, state, cause="asked")


def last_word(message: Message) -> str:
    """What is reported of a message that nothing more is to be heard of by itself, in one word."""
    return "unsettled" if message.state is State.UNKNOWN else "silence-unexplained"


def given_up(message: Message, now: datetime) -> Message:
    """The message after it has been reported: it keeps its status, and is not asked about any more."""
    return changed(message, now, last_word(message), message.state, ask_at=None)
