"""The mappings in force are what the files say, once they stand still and if they have no fault; else what they were."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from gateway.core.errors import CannotStart
from gateway.core.mapping import MappingSet, compile_mappings
from gateway.mappings import LOOK_EVERY_S, Files, Mappings
from tests.flows.stage import MAPPING, Clock, Notes, until

GOOD = MAPPING.format(top="", template="400001").encode()
OTHER = MAPPING.format(top="", template="400002").encode()


class Folder:
    """Files that a test changes while somebody watches them."""

    def __init__(self) -> None:
        self.files: Mapping[str, bytes] = {"order.paid.toml": GOOD}
        self.reads = 0
        self.compiled = 0
        self.is_gone = False
        self.script: list[Mapping[str, bytes]] = []
        self.notes = Notes()
        self.clock = Clock()
        first = Files(self.files, {})
        self.mappings = Mappings(self._compile(first), first, self.read, self.compile, self.clock, self.notes)
        self.compiled = 0

    async def read(self) -> Files:
        self.reads += 1
        if self.is_gone:
            raise CannotStart("mappings/ cannot be read: it is gone")
        if self.script:
            self.files = self.script.pop(0)
        return Files(self.files, {})

    async def compile(self, files: Files) -> MappingSet:
        self.compiled += 1
        await asyncio.sleep(0.1)
        return self._compile(files)

    @staticmethod
    def _compile(files: Files) -> MappingSet:
        return compile_mappings(files.mappings, templates=files.templates, accounts=["main"])

    @property
    def templates(self) -> list[str]:
        return [it.choices[0].template_id for it in self.mappings.in_force.mappings.values()]

    async def comes_into_force(self) -> None:
        version = self._compile(Files(self.files, {})).version
        await until(lambda: self.mappings.in_force.version == version)

    def faults(self) -> tuple[str, ...] | None:
        broken = self.mappings.broken
        return None if broken is None else broken.faults

    def facts(self, name: str) -> int:
        return sum(1 for one, _ in self.notes.facts if one == name)


@pytest.fixture
async def folder() -> Folder:
    return Folder()


async def test_what_has_changed_comes_into_force(folder: Folder) -> None:
    before = folder.mappings.since
    folder.files = {"order.paid.toml": OTHER, "order.sent.toml": GOOD}
    await folder.mappings.look()
    assert folder.templates == ["400002", "400001"]
    assert folder.mappings.since > before
    assert folder.facts("mappings-loaded") == 1


async def test_what_has_not_changed_is_not_compiled_again_unless_somebody_asks(folder: Folder) -> None:
    await folder.mappings.look()
    assert folder.compiled == 0
    folder.mappings.ask()
    await folder.mappings.look()
    assert (folder.compiled, folder.facts("mappings-loaded")) == (1, 1)
    await folder.mappings.look()
    assert folder.compiled == 1


@pytest.mark.parametrize(
    "cut", [len(GOOD) // 2, len(GOOD) - len(b"total = '{{ data.total | vnd }}'\n"), len(GOOD) - 1]
)
async def test_a_file_that_is_still_being_written_is_not_taken_for_the_whole(folder: Folder, cut: int) -> None:
    folder.script = [{"order.paid.toml": OTHER[:cut]}, {"order.paid.toml": OTHER}]
    await folder.mappings.look()
    assert folder.templates == ["400002"]
    assert folder.compiled == 1
    assert folder.facts("mapping-reload-failed") == 0


async def test_half_of_a_swap_is_not_taken_for_a_set(folder: Folder) -> None:
    old, new = {"a.toml": GOOD, "b.toml": GOOD}, {"a.toml": OTHER, "b.toml": OTHER}
    folder.files = old
    await folder.mappings.look()
    folder.script = [{"a.toml": OTHER, "b.toml": GOOD}, new]
    await folder.mappings.look()
    assert folder.templates == ["400002", "400002"]


async def test_files_that_never_stand_still_leave_the_old_set_in_force_and_are_looked_at_again(
    folder: Folder,
) -> None:
    folder.script = [{"order.paid.toml": GOOD + b"#" * number} for number in range(20)]
    folder.script.append({"order.paid.toml": OTHER})
    while folder.script:
        await folder.mappings.look()
        assert folder.templates == (["400001"] if folder.script else ["400002"])


async def test_a_set_with_one_fault_leaves_the_whole_old_one_in_force_and_says_why(folder: Folder) -> None:
    in_force = folder.mappings.in_force
    folder.files = {"order.paid.toml": OTHER, "order.sent.toml": GOOD.replace(b"data.phone", b"data.phone |")}
    await folder.mappings.look()
    assert folder.mappings.in_force is in_force
    broken = folder.mappings.broken
    assert broken is not None
    assert [fault.startswith("order.sent.toml:") for fault in broken.faults] == [True]
    assert folder.facts("mapping-reload-failed") == 1
    await folder.mappings.look()
    assert folder.facts("mapping-reload-failed") == 1  # once, not at every look

    since = broken.since
    folder.clock.turn(timedelta(minutes=1))
    folder.files = {"order.paid.toml": b"nonsense"}
    await folder.mappings.look()
    assert folder.mappings.broken is not None
    assert folder.mappings.broken.since == since  # it has been so since then

    folder.files = {"order.paid.toml": GOOD}
    await folder.mappings.look()
    assert folder.faults() is None
    assert folder.templates == ["400001"]


async def test_a_folder_that_is_gone_or_empty_is_a_fault_and_not_a_set_of_nothing(folder: Folder) -> None:
    folder.files = {}
    await folder.mappings.look()
    assert folder.templates == ["400001"]
    assert [fault for fault in folder.faults() or () if "no mapping at all" in fault]
    folder.is_gone = True
    await folder.mappings.look()
    assert [fault for fault in folder.faults() or () if "cannot be read" in fault]
    folder.is_gone, folder.files = False, {"order.paid.toml": OTHER}
    await folder.mappings.look()
    assert (folder.templates, folder.faults()) == (["400002"], None)


async def test_a_change_is_in_force_within_ten_seconds_and_within_five_when_asked_for(folder: Folder) -> None:
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(folder.mappings.run())
    await asyncio.sleep(LOOK_EVERY_S / 2)
    for is_asked, promised_s, text in ((False, 10.0, OTHER), (True, 5.0, GOOD)):
        begun = loop.time()
        folder.files = {"order.paid.toml": text}
        if is_asked:
            folder.mappings.ask()
        await folder.comes_into_force()
        assert loop.time() - begun <= promised_s
    folder.mappings.stop()
    await running


async def test_a_look_that_goes_wrong_is_not_the_last(folder: Folder) -> None:
    async def read() -> Files:
        raise RuntimeError("a surprise")

    watched = Mappings(folder.mappings.in_force, Files({}, {}), read, folder.compile, folder.clock, folder.notes)
    running = asyncio.create_task(watched.run())
    await until(lambda: folder.facts("turn-failed") >= 2)
    watched.stop()
    await running
    assert watched.in_force is folder.mappings.in_force
