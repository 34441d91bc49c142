"""What Zalo would know: every request, message, webhook post and token exchange, with times.

Bounded: of each kind the last `KEPT` are kept, and how many older ones were dropped is told, so that a
reconciliation knows whether it sees everything. No token and no secret ever comes in here.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.simulator.clock import text_of

KEPT: Final = 200_000
"""Entries of each kind; a request takes about 250 bytes, a message about 400."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request of Zalo's own paths, and what it was answered (or would have been: see `fault`)."""

    at: float
    path: str
    error: int | None = None
    tracking_id: str | None = None
    phone: str | None = None
    template_id: str | None = None
    msg_id: str | None = None
    fault: str | None = None


class Message(msgspec.Struct, gc=False):
    """One accepted message; `phone` is the hash in a hashed send."""

    msg_id: str
    tracking_id: str | None
    phone: str
    template_id: str
    accepted_at: float
    outcome: str
    is_development: bool = False
    delivered_at: float | None = None


class Post(msgspec.Struct, frozen=True, gc=False):
    """One webhook posted; `status` is None when no whole answer came in time."""

    at: float
    event_name: str
    msg_id: str | None
    tracking_id: str | None
    status: int | None
    num_retry: int


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """One use of the token endpoint; `presented` is a digest of the token or code, never itself."""

    at: float
    grant_type: str
    outcome: str
    chain: int | None
    generation: int | None
    presented: str | None
    fault: str | None = None


def digest_of(token: str) -> str | None:
    """Enough of the SHA-256 of a token to tell whether two are the same; None where there is none."""
    if not token:
        return None
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()[:16]


T = TypeVar("T")


class Kept(Generic[T]):
    """The last so many entries, in order, and how many there ever were."""

    def __init__(self, most: int) -> None:
        """Start empty; `most` is at least 1."""
        self._entries: deque[T] = deque(maxlen=most)
        self.count = 0

    def add(self, entry: T) -> None:
        """`entry` is the newest; the oldest goes if there are too many."""
        self.count += 1
        self._entries.append(entry)

    @property
    def dropped(self) -> int:
        """How many old entries are no longer here."""
        return self.count - len(self._entries)

    def __iter__(self) -> Iterator[T]:
        """Oldest first."""
        return iter(self._entries)


class Ledger:
    """The four lists, and the accepted messages by their msg_id."""

    def __init__(self, kept: int = KEPT) -> None:
        """Start empty; each list keeps `kept` entries."""
        self._most = kept
        self.requests: Kept[Request] = Kept(kept)
        self.posts: Kept[Post] = Kept(kept)
        self.exchanges: Kept[Exchange] = Kept(kept)
        self.messages: dict[str, Message] = {}
        self._oldest: deque[str] = deque()
        self.accepted = 0

    def accept(self, message: Message) -> None:
        """`message` is known to Zalo; the oldest is forgotten if there are too many."""
        self.accepted += 1
        self.messages[message.msg_id] = message
        self._oldest.append(message.msg_id)
        if len(self._oldest) > self._most:
            del self.messages[self._oldest.popleft()]

    def has_reached(self, phone: str, is_wanted: Callable[[Message], bool]) -> bool:
        """Whether a message to `phone` was accepted of which `is_wanted` holds."""
        return any(each.phone == phone and is_wanted(each) for each in self.messages.values())

    def told(self, tracking_id: str | None = None) -> dict[str, Any]:
        """The whole as JSON values, or what concerns one `tracking_id`."""

        def wanted(entries: Iterable[Any]) -> list[Any]:
            return [each for each in entries if tracking_id is None or each.tracking_id == tracking_id]

        posts = wanted(self.posts)
        by_message: dict[str | None, list[dict[str, Any]]] = {}
        for post in posts:
            shown = {"at": text_of(post.at), "status": post.status, "num_retry": post.num_retry}
            by_message.setdefault(post.msg_id, []).append(shown)
        return {
            "requests": [_shown(each) for each in wanted(self.requests)],
            "messages": [
                {**_shown(each), "receipts": by_message.get(each.msg_id, [])}
                for each in wanted(self.messages.values())
            ],
            "receipts": [_shown(each) for each in posts],
            "refreshes": [_shown(each) for each in self.exchanges] if tracking_id is None else [],
            "dropped": {
                "requests": self.requests.dropped,
                "messages": self.accepted - len(self.messages),
                "receipts": self.posts.dropped,
                "refreshes": self.exchanges.dropped,
            },
        }


def _shown(entry: msgspec.Struct) -> dict[str, Any]:
    shown = msgspec.structs.asdict(entry)
    for name in ("at", "accepted_at", "delivered_at"):
        if name in shown:
            shown[name] = text_of(shown[name])
    return shown
