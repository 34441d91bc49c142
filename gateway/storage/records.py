"""How messages, letters, grants and cursors are written down, the same in every keeper."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from gateway.core.errors import InvalidRequest
from gateway.core.event import Event
from gateway.core.grant import Grant
from gateway.core.hold import Hold
from gateway.core.identity import canonical
from gateway.core.message import Letter, Message
from gateway.ports import Query

from .sealing import Digests, KeyRing

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = re.compile(r"[sc][0-9]{1,18}")
_MICROSECOND: Final = timedelta(microseconds=1)
RANKS: Final = {"urgent": 0, "normal": 1, "bulk": 2}
MAX_ORPHANS: Final = 100_000  # receipts an account that have not found their message; the oldest go first

_encode = msgspec.msgpack.Encoder().encode
_read_message = msgspec.msgpack.Decoder(Message).decode
_read_letter = msgspec.msgpack.Decoder(Letter).decode
_read_grant = msgspec.msgpack.Decoder(Grant).decode
_read_hold = msgspec.msgpack.Decoder(Hold).decode


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(count: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=count)


def cursor_position(query: Query) -> int | None:
    """The number in the query's cursor, the list's `s…` or the feed's `c…`; raises InvalidRequest for any other."""
    if query.cursor is None:
        return None
    kind = "s" if query.updated_after is None else "c"
    if _CURSOR.fullmatch(query.cursor) is None or query.cursor[0] != kind:
        raise InvalidRequest("`cursor` must be the `next_cursor` of an earlier answer to the same list")
    return int(query.cursor[1:])


def write_message(message: Message) -> bytes:
    """The message as a keeper stores it; nothing in it is confidential."""
    return _encode(message)


def read_message(body: bytes) -> Message:
    """The message that `write_message` wrote."""
    return _read_message(body)


def write_hold(hold: Hold) -> bytes:
    """The hold as a keeper stores it."""
    return _encode(hold)


def read_hold(body: bytes) -> Hold:
    """The hold that `write_hold` wrote."""
    return _read_hold(body)


class Records:
    """Seals what is confidential, and digests what must be found or compared without being read."""

    def __init__(self, ring: KeyRing, digests: Digests) -> None:
        self._ring = ring
        self._digests = digests

    def seal_letter(self, tracking_id: str, letter: Letter) -> bytes:
        """The letter, bound to its message."""
        return self._ring.seal(f"letter:{tracking_id}", _encode(letter))

    def open_letter(self, tracking_id: str, sealed: bytes) -> Letter:
        """The letter of that message."""
        return _read_letter(self._ring.open(f"letter:{tracking_id}", sealed))

    def seal_receipt(self, account: str, body: bytes) -> bytes:
        """A webhook's raw body, bound to its account."""
        return self._ring.seal(f"receipt:{account}", body)

    def open_receipt(self, account: str, sealed: bytes) -> bytes:
        """The raw body of a webhook."""
        return self._ring.open(f"receipt:{account}", sealed)

    def seal_grant(self, grant: Grant) -> bytes:
        """The grant, bound to its account and version."""
        return self._ring.seal(f"grant:{grant.account}:{grant.version}", _encode(grant))

    def open_grant(self, account: str, version: int, sealed: bytes) -> Grant:
        """The account's grant of that version."""
        return _read_grant(self._ring.open(f"grant:{account}:{version}", sealed))

    def fingerprint(self, event: Event) -> bytes:
        """Equal exactly when two events say the same."""
        return self._digests("event", canonical(event))

    def phone_digest(self, phone: str) -> bytes:
        """What a phone number is found by."""
        return self._digests("phone", phone.encode())
