"""Zalo: what takes a message there, what answers questions, and what its webhook says."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from gateway.core.delivery import Outcome, Quota
from gateway.core.grant import Token
from gateway.core.news import News
from gateway.core.receipt import Receipt
from gateway.core.silence import StatusAnswer, Unclear


class Courier(Protocol):
    """Takes one message to Zalo, once."""

    async def send(
        self,
        token: Token,
        *,
        phone: str,
        template_id: str,
        template_data: Mapping[str, str],
        tracking_id: str,
        development: bool = False,
    ) -> Outcome:
        """What became of one request; never raises for anything that Zalo or the network does."""

    async def answers(self, token: Token) -> bool:
        """True if Zalo answers a harmless question sensibly; costs nothing and changes nothing."""


class Oracle(Protocol):
    """Answers questions about what was sent; they cost nothing and change nothing."""

    async def status(self, token: Token, msg_id: str) -> StatusAnswer:
        """What became of the message of this `msg_id`; never raises for anything that Zalo or the network does."""

    async def quota(self, token: Token) -> Quota | Unclear:
        """The account's daily quota as it stands; never raises either."""


class Signed(msgspec.Struct, frozen=True):
    """A webhook event that Zalo signed, what it says, and of which account."""

    said: Receipt | News
    account: str


class Forged(msgspec.Struct, frozen=True):
    """A webhook call whose signature is wrong, missing or cannot be checked."""


class Probe(msgspec.Struct, frozen=True):
    """The empty call with which Zalo tries a webhook URL."""


Verdict = Signed | Forged | Probe


Judge = Callable[[str, bytes | None, bytes | None, bytes], Verdict]
"""From an account, the signature and server headers and the raw body, what to make of a webhook call."""
