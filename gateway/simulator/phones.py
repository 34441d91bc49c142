"""Numbers whose fate is fixed; every other valid number is an ordinary, reachable one.

All are valid Vietnamese mobile numbers. Those that end in an error's digits are refused with that error:
84900000118 with -118, 84900001472 with -1472.
"""

import enum
import hashlib
import re
from typing import Final

import msgspec

from gateway.simulator.codes import MESSAGES

VALID_PHONE: Final = re.compile(r"\+?(84[35789][0-9]{8})", re.ASCII)
VALID_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

LATE_S: Final = 10.0
"""How long after the ordinary moment a `late` delivery comes, in simulated seconds."""
SLOW_S: Final = 20.0
"""How long a `slow` answer takes, in real seconds: longer than the 15 s of Zalo's own SDKs."""


class Fate(enum.StrEnum):
    """What becomes of a message to a number."""

    DELIVERED = "delivered"
    LATE = "late"
    NEVER = "never"
    DUPLICATE = "duplicate"
    EARLY = "early"
    SLOW = "slow"
    CUT = "cut"
    SILENCE = "silence"
    HTML = "html"
    GARBAGE = "garbage"
    ERROR = "error"
    ONCE = "once"


class Plan(msgspec.Struct, frozen=True):
    """A fate, and the number that goes with `error` and `once`."""

    fate: Fate
    error: int = 0

    @property
    def name(self) -> str:
        """As the credentials and the docs write it: `delivered`, `error:-118`."""
        return f"{self.fate}:{self.error}" if self.error else str(self.fate)


ORDINARY: Final = Plan(Fate.DELIVERED)

MEANINGS: Final[dict[Fate, str]] = {
    Fate.DELIVERED: "accepted and delivered, like any ordinary number",
    Fate.LATE: f"delivered {LATE_S:g} s later than ordinary (on the scaled clock)",
    Fate.NEVER: "accepted, never delivered: no webhook, status 0 for ever",
    Fate.DUPLICATE: "delivered, and the webhook is posted twice",
    Fate.EARLY: "delivered, and the webhook is posted before the send is answered",
    Fate.SLOW: f"accepted and delivered at once, but answered only after {SLOW_S:g} s (real time)",
    Fate.CUT: "accepted and delivered, but the connection is cut instead of an answer",
    Fate.SILENCE: "accepted and delivered, but the send is never answered",
    Fate.HTML: "not accepted: HTTP 502 with an HTML page",
    Fate.GARBAGE: "accepted and delivered, but answered with HTTP 200 and bytes that are not JSON",
    Fate.ERROR: "refused with that error",
    Fate.ONCE: "refused with that error the first time that a tracking_id comes, then delivered",
}

_NAMED: Final = (
    Fate.DELIVERED,
    Fate.LATE,
    Fate.NEVER,
    Fate.DUPLICATE,
    Fate.EARLY,
    Fate.SLOW,
    Fate.CUT,
    Fate.SILENCE,
    Fate.HTML,
    Fate.GARBAGE,
)
_NO_ANSWER_TO_A_SEND: Final = (0, -106, -107, -121, -122, -128)
UNKNOWN_ERROR: Final = -999
"""A number that stands in no table of Zalo's."""


def _fixed() -> dict[str, Plan]:
    table = {f"849{n:08}": Plan(fate) for n, fate in enumerate(_NAMED, start=1)}
    table["84900000020"] = Plan(Fate.ONCE, -100)
    errors = [code for code in MESSAGES if code not in _NO_ANSWER_TO_A_SEND]
    table |= {f"849{-code:08}": Plan(Fate.ERROR, code) for code in [*errors, UNKNOWN_ERROR]}
    return table


PHONES: Final[dict[str, Plan]] = _fixed()
"""The table of `docs/simulator.md`."""
ADMINS: Final = frozenset(phone for phone, plan in PHONES.items() if plan.fate is not Fate.ERROR)
"""Who may get messages in development mode."""


def hash_of(phone: str) -> str:
    """What stands for a number in a hashed send: the lower-case hex of the SHA-256 of its `84…` digits."""
    return hashlib.sha256(phone.encode()).hexdigest()


_HASHED: Final = {hash_of(phone): plan for phone, plan in PHONES.items()}
_HASHED_ADMINS: Final = frozenset(map(hash_of, ADMINS))


def plan_of(recipient: str) -> Plan:
    """The fate of a message to these `84…` digits, or to this hash of them."""
    return PHONES.get(recipient) or _HASHED.get(recipient, ORDINARY)


def is_admin(recipient: str) -> bool:
    """Whether this number, or hash of one, belongs to an admin of the OA."""
    return recipient in ADMINS or recipient in _HASHED_ADMINS
