"""The mappings in force: replaced by what the files say now, all of them or none.

A file that is being written may be cut short and still be whole TOML, and a folder that is being swapped may show
half of each set. So what has changed is read until it stands still, and only then compiled. A set with a fault
leaves the old one in force.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from .core.errors import CannotStart
from .core.mapping import MappingFaults, MappingSet
from .ports import Clock, Observer

LOOK_EVERY_S: Final = 2.0
SETTLE_S: Final = 0.5  # for so long the files must have stood still
_SETTLE_TRIES: Final = 6  # then the next look goes on: both together stay below the 5 s that SIGHUP is promised
_TOLD_FAULTS: Final = 5


class Files(msgspec.Struct, frozen=True):
    """The bytes of every mapping and of every template snapshot, by path, as they were at one moment."""

    mappings: Mapping[str, bytes]
    templates: Mapping[str, bytes]


class Unreadable(msgspec.Struct, frozen=True):
    """The files could not be read."""

    detail: str


class Broken(msgspec.Struct, frozen=True):
    """What the files hold cannot come into force: since when that is known, and every fault as a line of text."""

    since: datetime
    faults: tuple[str, ...]

    @property
    def detail(self) -> str:
        """The first faults, on one line."""
        more = len(self.faults) - _TOLD_FAULTS
        return "; ".join(self.faults[:_TOLD_FAULTS]) + (f"; and {more} more" if more > 0 else "")


Read = Callable[[], Awaitable[Files]]
"""What lies on disk now; raises CannotStart."""
Compile = Callable[[Files], Awaitable[MappingSet]]
"""The set that the files make; raises MappingFaults with every fault."""


class Mappings:
    """Holds the set in force, and looks after it."""

    def __init__(
        self,
        in_force: MappingSet,
        files: Files,
        read: Read,
        compile_set: Compile,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self.in_force = in_force
        self.since = clock()
        self.broken: Broken | None = None
        self._seen: Files | Unreadable = files
        self._read_files = read
        self._compile = compile_set
        self._clock = clock
        self._observer = observer
        self._is_asked = False
        self._is_stopping = False
        self._wake = asyncio.Event()

    def ask(self) -> None:
        """Somebody wants the files to be loaded now, also if nothing in them has changed."""
        self._is_asked = True
        self._wake.set()

    def stop(self) -> None:
        """`run` ends."""
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Looks every two seconds, and when it is asked to, until `stop`."""
        while not self._is_stopping:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - one bad look must not be the last
                self._observer.fact("turn-failed", error=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()

    async def look(self) -> None:
        """What the files say now is in force if it stands still and has no fault; else what was in force still is."""
        found = await self._read()
        if found == self._seen and not self._is_asked:
            return
        for _ in range(_SETTLE_TRIES):
            await asyncio.sleep(SETTLE_S)
            before, found = found, await self._read()
            if found == before:
                break
        else:
            return
        self._seen, self._is_asked = found, False
        await self._consider(found)

    async def _consider(self, found: Files | Unreadable) -> None:
        if isinstance(found, Unreadable):
            self._refuse([found.detail])
        elif not found.mappings and self.in_force.mappings:
            # A volume that is gone looks like this; that no event is mapped any more is said by a restart.
            self._refuse(["there is no mapping at all: put the files back, or restart to go on without any"])
        else:
            try:
                mapping_set = await self._compile(found)
            except MappingFaults as broken:
                self._refuse([str(fault) for fault in broken.faults])
            else:
                self._adopt(mapping_set)

    def _adopt(self, mapping_set: MappingSet) -> None:
        self.in_force, self.since, self.broken = mapping_set, self._clock(), None
        self._observer.fact("mappings-loaded", count=len(mapping_set.mappings), version=mapping_set.version)

    def _refuse(self, faults: Sequence[str]) -> None:
        since = self._clock() if self.broken is None else self.broken.since
        self.broken = Broken(since, tuple(faults))
        self._observer.fact("mapping-reload-failed", count=len(faults), cause=self.broken.detail)

    async def _read(self) -> Files | Unreadable:
        try:
            return await self._read_files()
        except CannotStart as error:
            return Unreadable(error.detail)
