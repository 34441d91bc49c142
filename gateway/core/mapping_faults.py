"""What is wrong in the files that a platform team keeps, and how each fault is cured."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec

from .errors import CannotStart, Fault, clip

_NAMED: Final = 12  # names that a cure lists before it stops


class ConfigFault(msgspec.Struct, frozen=True):
    """One fault in one file. `what` says what is wrong, `cure` what to do."""

    file: str
    line: int
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}, {self.cure}"


class MappingFaults(CannotStart):
    """The mappings cannot be put in force; `faults` is every fault of every file, by file and line."""

    def __init__(self, faults: Sequence[ConfigFault]) -> None:
        self.faults = tuple(sorted(set(faults), key=lambda fault: (fault.file, fault.line, fault.what)))
        super().__init__(
            f"{len(self.faults)} fault(s) in the mappings",
            errors=[Fault("", str(fault)) for fault in self.faults],
        )


def meant_by(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one; None if none is like it."""
    near = get_close_matches(clip(name), sorted(known), n=1, cutoff=0.6)
    return near[0] if near else None


def nearest_to(name: str, known: Iterable[str]) -> str:
    """The cure for a name that is not known: the nearest one, else all of them."""
    names = sorted(known)
    near = meant_by(name, names)
    if near is not None:
        return f"did you mean `{near}`?"
    if not names:
        return "there are none"
    listed = ", ".join(f"`{each}`" for each in names[:_NAMED])
    return f"there are {listed}" + (" and others" if len(names) > _NAMED else "")
