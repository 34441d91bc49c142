"""Faults on demand: what is to go wrong, where, and how often (`/__sim/faults`)."""

import random
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

At = Literal["send", "status", "refresh", "webhook"]
Do = Literal[
    "delay", "cut", "silence", "html", "garbage", "error", "duplicate", "early", "late", "reorder", "drop"
]

OF_ANSWERS: Final = ("delay", "cut", "silence", "html", "garbage", "error")
OF_WEBHOOKS: Final = ("duplicate", "early", "late", "reorder", "drop")
DEFAULT_VALUES: Final[dict[str, float]] = {"delay": 1.0, "html": 502, "late": 60.0}
LONGEST_S: Final = 86_400.0


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /__sim/faults`; without `count` and `p` it strikes every time until it is cleared."""

    at: At
    do: Do
    value: float | None = None
    count: Annotated[int, Meta(ge=1)] | None = None
    p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: int | None = None
    done: bool | None = None


class Unfit(ValueError):
    """A body that a call of `/__sim` cannot take, for the reason given, in the member `field`."""

    def __init__(self, field: str, detail: str) -> None:
        """Remember which member, and why."""
        super().__init__(detail)
        self.field = field
        self.detail = detail


class Strike(msgspec.Struct, frozen=True):
    """What goes wrong this time: a delay, or another fault, or both."""

    delay_s: float = 0.0
    do: Do | None = None
    value: float = 0.0
    done: bool = True

    @property
    def name(self) -> str | None:
        """What the ledger writes beside the request."""
        return self.do or ("delay" if self.delay_s else None)


NOTHING: Final = Strike()


class _Fault:
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.fired = 0
        self._rng = random.Random(asked.seed)

    def is_over(self) -> bool:
        return self.asked.count is not None and self.fired >= self.asked.count

    def strikes(self) -> bool:
        if self.is_over() or (self.asked.p is not None and self._rng.random() >= self.asked.p):
            return False
        self.fired += 1
        return True

    def told(self) -> dict[str, Any]:
        count = self.asked.count
        left = None if count is None else count - self.fired
        return {**msgspec.to_builtins(self.asked), "fired": self.fired, "left": left}


class Faults:
    """The faults that are set. Delays add up; of the others the first that strikes is the one."""

    def __init__(self) -> None:
        """Start without any."""
        self._faults: dict[At, list[_Fault]] = {}

    def add(self, asked: Asked) -> None:
        """The fault is set; `Unfit` if its members contradict each other."""
        _check(asked)
        self._faults.setdefault(asked.at, []).append(_Fault(asked))

    def clear(self) -> None:
        """No fault is set."""
        self._faults.clear()

    def told(self) -> dict[str, Any]:
        """Each fault as it was set, with how often it has struck and how often it still will."""
        return {"faults": [fault.told() for faults in self._faults.values() for fault in faults]}

    def draw(self, at: At) -> Strike:
        """What goes wrong now; counts one stroke of each fault that is part of it."""
        faults = self._faults.get(at)
        if not faults:
            return NOTHING
        delay_s, struck = 0.0, None
        for fault in faults:
            if fault.asked.do == "delay":
                delay_s += _value_of(fault.asked) if fault.strikes() else 0.0
            elif struck is None and fault.strikes():
                struck = fault.asked
        if struck is None:
            return Strike(delay_s=delay_s) if delay_s else NOTHING
        done = struck.do not in ("html", "error") if struck.done is None else struck.done
        return Strike(delay_s=delay_s, do=struck.do, value=_value_of(struck), done=done)


def _value_of(asked: Asked) -> float:
    return DEFAULT_VALUES.get(asked.do, 0.0) if asked.value is None else asked.value


def _check(asked: Asked) -> None:
    fitting = OF_WEBHOOKS if asked.at == "webhook" else OF_ANSWERS
    if asked.do not in fitting:
        raise Unfit("do", f"at {asked.at} it is one of: {', '.join(fitting)}")
    if asked.do == "error" and (not asked.value or asked.value != int(asked.value)):
        raise Unfit("value", "error needs Zalo's number here, an integer other than 0")
    if asked.do in ("delay", "late") and not 0 <= _value_of(asked) <= LONGEST_S:
        raise Unfit("value", f"seconds, from 0 to {LONGEST_S:g}")
    if asked.do == "html" and _value_of(asked) not in range(200, 600):
        raise Unfit("value", "an HTTP status from 200 to 599")
    if asked.done is not None and (asked.at == "webhook" or asked.do == "error"):
        raise Unfit("done", "says whether the work is done before a lost answer; not for webhooks and error")
