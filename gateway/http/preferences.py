"""RFC 7240: how long a caller prefers to wait."""

import re
from datetime import timedelta
from typing import Final

import msgspec

LONGEST: Final = 60
_LONGEST_HEADER: Final = 1000  # what comes after it is not looked at
_WISH: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_WAIT: Final = re.compile(r'wait\s*=\s*"?0*(\d+)"?')


class Patience(msgspec.Struct, frozen=True):
    """How long the call waits, and what of the caller's wishes that honours (`Preference-Applied`)."""

    wait: timedelta
    applied: str | None = None


def patience(prefer: str | None, default: timedelta) -> Patience:
    """What `Prefer` asks for. `wait=N` wins over `respond-async`; what cannot be understood is ignored."""
    wishes = [wish.partition(";")[0].strip().lower() for wish in _WISH.findall((prefer or "")[:_LONGEST_HEADER])]
    for wish in wishes:
        found = _WAIT.fullmatch(wish)
        if found is not None:
            seconds = min(int(found[1][:3]), LONGEST)
            return Patience(timedelta(seconds=seconds), f"wait={seconds}")
    if "respond-async" in wishes:
        return Patience(timedelta(0), "respond-async")
    return Patience(default)
