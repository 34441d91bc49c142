"""The calls of callers' endpoints, as Standard Webhooks."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from gateway.core.callback import Callback
from gateway.core.signing import read_secret, sign
from gateway.ports import Called
from gateway.transport.connections import Connections, Loss, Unsent
from gateway.transport.exchange import AGENT, PoolTransport, Target

CONNECT_TIMEOUT: Final = timedelta(seconds=2)
EXCHANGE_TIMEOUT: Final = timedelta(seconds=10)
MAX_ANSWER_BYTES: Final = (
    256 * 1024
)  # a framework's page about its own error is large, and is an answer all the same

_JSON: Final = (*AGENT, (b"Content-Type", b"application/json"))
_SECONDS: Final = re.compile(r"[0-9]{1,10}")


class Destination(msgspec.Struct, frozen=True):
    """Where one caller is told, and the secrets that sign what it is told."""

    url: str
    secrets: Sequence[str]

    def __repr__(self) -> str:
        return "Destination(…)"


class EndpointClient:
    """Tells callers. What an endpoint answers, or the network does, is a value; nothing is followed or repeated."""

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        connect_timeout: timedelta = CONNECT_TIMEOUT,
        exchange_timeout: timedelta = EXCHANGE_TIMEOUT,
    ) -> None:
        """Raises ValueError, which quotes neither, for a URL or a secret that is none."""
        self._targets = {name: Target.at(it.url, _JSON) for name, it in destinations.items()}
        self._keys = {name: [read_secret(text) for text in it.secrets] for name, it in destinations.items()}
        connections = Connections(connect_timeout, exchange_timeout, max_answer_bytes=MAX_ANSWER_BYTES)
        self._transport = PoolTransport(connections)

    async def call(self, callback: Callback, now: datetime) -> Called:
        """What the caller's endpoint said to one post of `callback`, signed as of `now`."""
        target = self._targets.get(callback.caller)
        if target is None:
            return Called(None, "no-endpoint")
        at = int(now.timestamp())
        signature = sign(self._keys[callback.caller], callback.id, at=at, body=callback.body)
        request = target.post(
            callback.body,
            (b"webhook-id", callback.id.encode()),
            (b"webhook-timestamp", b"%d" % at),
            (b"webhook-signature", signature.encode()),
        )
        heard = await self._transport.ask(request)
        if isinstance(heard, Unsent | Loss):
            return Called(None, heard.value)
        return Called(heard.status_code, retry_after_s=read_retry_after(heard.headers.get("Retry-After"), now))

    async def aclose(self) -> None:
        """Every connection is closed. Calls under way end without an answer, later ones are not made."""
        await self._transport.aclose()


def read_retry_after(text: str | None, now: datetime) -> int | None:
    """How many whole seconds an answer asks to wait, as a number or a date; None where it says nothing that can be read."""
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return int(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # a date in the oldest of the three forms, which has no zone
    return max(0, math.ceil((moment - now).total_seconds()))
