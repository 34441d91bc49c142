"""What is wrong in `gateway.toml`, where it stands, and how it is cured."""

from collections.abc import Collection, Sequence

import msgspec

from gateway.core.errors import CannotStart

Place = tuple[str | int, ...]


class SettingFault(msgspec.Struct, frozen=True):
    """One thing wrong in `gateway.toml`; `variable` is the one that is not set, if that is what is wrong."""

    file: str
    line: int
    what: str
    cure: str
    place: Place = ()
    variable: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}, {self.cure}"


class BrokenConfig(CannotStart):
    """`gateway.toml` cannot be used; `faults` says why, all at once.

    `accounts` are the names it gives to accounts, so that what lies beside it can be looked at all the same.
    """

    code = "broken-config"
    title = "The configuration cannot be used"

    def __init__(self, faults: Sequence[SettingFault], accounts: Collection[str] = ()) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)
        self.accounts = tuple(accounts)


def named(place: Place) -> str:
    """The place as people write it: `accounts.main.app_id`."""
    return ".".join(step for step in place if isinstance(step, str))
