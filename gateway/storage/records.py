"""How messages, letters, news, callbacks, grants, logins and cursors are written down, the same in every keeper."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from gateway.core.errors import InvalidRequest
from gateway.core.event import Event
from gateway.core.grant import AccessToken, Grant, RefreshToken, Secret
from gateway.core.hold import Hold
from gateway.core.identity import canonical
from gateway.core.login import Login
from gateway.core.message import Letter, Message
from gateway.core.news import News
from gateway.ports import Query

from .sealing import Digests, KeyRing

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = re.compile(r"[sc][0-9]{1,18}")
_MICROSECOND: Final = timedelta(microseconds=1)
RANKS: Final = {"urgent": 0, "normal": 1, "bulk": 2}
DIGEST_LABEL: Final = "digest-key:"
MAX_ORPHANS: Final = 100_000  # receipts an account that have not found their message; the oldest go first
MAX_OTHERS: Final = 10_000  # news an account that change nothing here; the oldest go first

_encode = msgspec.msgpack.Encoder().encode
_read_message = msgspec.msgpack.Decoder(Message).decode
_read_letter = msgspec.msgpack.Decoder(Letter).decode
_read_login = msgspec.msgpack.Decoder(Login).decode
_read_hold = msgspec.msgpack.Decoder(Hold).decode
_read_news = msgspec.msgpack.Decoder(tuple[News, bytes]).decode


# The tokens are not in the grant but beside it, access and refresh, each sealed for itself. Stores of schema 2 had the
# whole grant as one.
_Written = tuple[Grant, bytes, bytes]
_read_grant: Callable[[bytes], _Written | Grant] = msgspec.msgpack.Decoder(_Written | Grant).decode


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


def check_feed_position(position: int | None, newest: int) -> None:
    """Nothing, unless no store whose newest change has this number can have given the feed's cursor: InvalidRequest."""
    if position is not None and position > newest:
        raise InvalidRequest(
            "`cursor` is of another store, or of a later state than this one was restored to: "
            "begin again with a time, `updated_after` without `cursor`"
        )


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


def _news_label(account: str, key: str) -> str:
    return f"news:{account}:{key}"


def _login_label(account: str, state_digest: bytes) -> str:
    return f"login:{account}:{state_digest.hex()}"


class Records:
    """Seals what is confidential, and digests what must be found or compared without being read."""

    def __init__(self, ring: KeyRing, digests: Digests) -> None:
        self._ring = ring
        self._digests = digests

    @property
    def head(self) -> bytes:
        """How everything begins that is sealed under the first key."""
        return self._ring.head

    @property
    def key_ids(self) -> list[str]:
        """What each key is called, the first key first."""
        return self._ring.key_ids

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

    def seal_news(self, account: str, news: News, body: bytes) -> bytes:
        """The news with the webhook's raw body, bound to its account and key: either may quote a customer."""
        return self._ring.seal(_news_label(account, news.key), _encode((news, body)))

    def open_news(self, account: str, key: str, sealed: bytes) -> News:
        """The news of that key."""
        return _read_news(self._ring.open(_news_label(account, key), sealed))[0]

    def seal_callback(self, callback_id: str, body: bytes) -> bytes:
        """What a caller is told, bound to its id."""
        return self._ring.seal(f"callback:{callback_id}", body)

    def open_callback(self, callback_id: str, sealed: bytes) -> bytes:
        """What a caller is told under that id."""
        return self._ring.open(f"callback:{callback_id}", sealed)

    def seal_grant(self, grant: Grant) -> bytes:
        """The grant, bound to its account and version, and each token in it to its account, field and generation."""
        bare = msgspec.structs.replace(grant, access=AccessToken(""), refresh=RefreshToken(""))
        written: _Written = (
            bare,
            self._seal_token("access", grant, grant.access),
            self._seal_token("refresh", grant, grant.refresh),
        )
        return self._ring.seal(f"grant:{grant.account}:{grant.version}", _encode(written))

    def open_grant(self, account: str, version: int, sealed: bytes) -> Grant:
        """The account's grant of that version."""
        read = _read_grant(self._ring.open(f"grant:{account}:{version}", sealed))
        if isinstance(read, Grant):
            return read
        bare, access, refresh = read
        return msgspec.structs.replace(
            bare,
            access=AccessToken(self._open_token("access", bare, access)),
            refresh=RefreshToken(self._open_token("refresh", bare, refresh)),
        )

    def _seal_token(self, field: str, grant: Grant, token: Secret) -> bytes:
        return self._ring.seal(f"grant-{field}:{grant.account}:{grant.generation}", token.value.encode())

    def _open_token(self, field: str, grant: Grant, sealed: bytes) -> str:
        return self._ring.open(f"grant-{field}:{grant.account}:{grant.generation}", sealed).decode()

    def seal_login(self, login: Login) -> bytes:
        """The login, bound to its account and state."""
        return self._ring.seal(_login_label(login.account, self.state_digest(login.state)), _encode(login))

    def open_login(self, account: str, state_digest: bytes, sealed: bytes) -> Login:
        """The account's login of the state with that digest."""
        return _read_login(self._ring.open(_login_label(account, state_digest), sealed))

    def state_digest(self, state: str) -> bytes:
        """What a login is found by: who reads the store cannot come back with its state."""
        return self._digests("login", state.encode())

    # -- under the first key --

    def reseal_letter(self, tracking_id: str, sealed: bytes) -> bytes:
        """The same letter under the first key; raises CannotOpen, as those below do."""
        return self._reseal(f"letter:{tracking_id}", sealed)

    def reseal_receipt(self, account: str, sealed: bytes) -> bytes:
        """The same webhook body under the first key."""
        return self._reseal(f"receipt:{account}", sealed)

    def reseal_news(self, account: str, key: str, sealed: bytes) -> bytes:
        """The same news under the first key."""
        return self._reseal(_news_label(account, key), sealed)

    def reseal_callback(self, callback_id: str, sealed: bytes) -> bytes:
        """The same callback under the first key."""
        return self._reseal(f"callback:{callback_id}", sealed)

    def reseal_grant(self, account: str, version: int, sealed: bytes) -> bytes:
        """The same grant under the first key, written as it is written today."""
        return self.seal_grant(self.open_grant(account, version, sealed))

    def reseal_login(self, account: str, state_digest: bytes, sealed: bytes) -> bytes:
        """The same login under the first key."""
        return self._reseal(_login_label(account, state_digest), sealed)

    def reseal_digest_key(self, sealed: bytes) -> bytes:
        """The same digest key under the first key: what was digested is found as before."""
        return self._reseal(DIGEST_LABEL, sealed)

    def _reseal(self, label: str, sealed: bytes) -> bytes:
        return self._ring.seal(label, self._ring.open(label, sealed))

    # -- found or compared without being read --

    def fingerprint(self, event: Event) -> bytes:
        """Equal exactly when two events say the same."""
        return self._digests("event", canonical(event))

    def phone_digest(self, phone: str) -> bytes:
        """What a phone number is found by."""
        return self._digests("phone", phone.encode())
