"""Snapshots beside the config: how one differs from what Zalo says, how it is written, and what a set of them breaks."""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway.config import Loaded
from gateway.core.errors import CannotStart
from gateway.core.mapping import ConfigFault, MappingFaults, MappingSet, check_samples, compile_mappings
from gateway.core.template import UnreadableTemplate, read_template
from gateway.core.template_changes import changes, passing_changes

from .live import Found

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Around(msgspec.Struct, frozen=True):
    """What lies beside the config, by path, read once."""

    folder: Path
    accounts: tuple[str, ...]
    mappings: Mapping[str, bytes]
    samples: Mapping[str, bytes]
    snapshots: Mapping[str, bytes]

    def path(self, template_id: str) -> Path:
        """Where the template's snapshot is, or will be."""
        return self.folder / f"{template_id}.json"


class Difference(msgspec.Struct, frozen=True):
    """How Zalo's definition differs from the snapshot: `passing` does not count, `is_same` is to the last member."""

    is_new: bool = False
    changes: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()
    is_same: bool = False


def around(loaded: Loaded) -> Around:
    """What lies there now; raises CannotStart."""
    return Around(
        loaded.folder / "templates",
        tuple(loaded.settings.accounts),
        loaded.mappings,
        loaded.samples,
        loaded.templates,
    )


def compared(snapshot: bytes | None, found: Found) -> Difference:
    """How what Zalo says differs from the snapshot."""
    if snapshot is None:
        return Difference(is_new=True)
    try:
        read_template(snapshot)
    except UnreadableTemplate as unreadable:
        return Difference(changes=(f"no readable snapshot: it {unreadable.detail}",))
    before = json.loads(snapshot)
    return Difference(
        changes=tuple(changes(before, found.document)),
        passing=tuple(passing_changes(before, found.document)),
        is_same=_exact(before) == _exact(found.document),
    )


def _exact(document: Mapping[str, object]) -> str:
    """Text that is the same exactly for the same JSON: 1 is not true, and the order of members does not count."""
    return json.dumps(document, sort_keys=True)


def record(path: Path, raw: bytes) -> None:
    """The file holds these bytes, also after a power cut; who reads meanwhile sees the old ones or the new ones.

    Raises CannotStart. A link stays one: what it leads to is replaced.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")  # no *.json, which a gateway would read
    try:
        if not target.parent.is_dir():
            target.parent.mkdir()
            _sync(target.parent.parent)
        with temporary.open("wb") as file:
            if target.exists():
                _as_before(file.fileno(), target.stat())
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        cure = (
            "make room there"
            if error.errno in _NO_ROOM
            else "run this where that folder can be written, as its owner"
        )
        raise CannotStart(f"{path} cannot be written: {error.strerror}; {cure}") from error


def _as_before(file: int, before: os.stat_result) -> None:
    """Whoever could read the file still can, also where it was root who pulled."""
    with contextlib.suppress(PermissionError):
        os.fchown(file, before.st_uid, before.st_gid)
    os.fchmod(file, stat.S_IMODE(before.st_mode))


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def broken_by(it: Around, live: Mapping[str, bytes], gone: Collection[str]) -> list[ConfigFault]:
    """The faults of mappings and samples that are there with the live definitions and not with the snapshots.

    `live` is by template id; `gone` are the ids that Zalo does not know.
    """
    known, _ = _faults(it, it.snapshots)
    found, mapping_set = _faults(it, {**it.snapshots, **{str(it.path(key)): raw for key, raw in live.items()}})
    lost = _of_gone(mapping_set, gone)
    return sorted({*found, *lost} - {*known}, key=lambda fault: (fault.file, fault.line, fault.what))


def _of_gone(mapping_set: MappingSet, gone: Collection[str]) -> Iterable[ConfigFault]:
    for mapping in mapping_set.mappings.values():
        for choice in mapping.choices:
            if choice.template_id in gone:
                what = f"uses template {choice.template_id}, which Zalo does not have"
                yield ConfigFault(mapping.file, choice.line, what, "use another template, or mend its id")


def _faults(it: Around, snapshots: Mapping[str, bytes]) -> tuple[list[ConfigFault], MappingSet]:
    """Every fault with these snapshots, that of a sample only where its mapping has none; and the mappings without."""
    mappings, templates = {**it.mappings}, {**snapshots}
    accounts = it.accounts
    faults: list[ConfigFault] = []
    try:
        mapping_set = compile_mappings(mappings, templates=templates, accounts=accounts)
    except MappingFaults as error:
        faults += error.faults
        broken = {fault.file for fault in faults}
        mappings = {file: raw for file, raw in mappings.items() if file not in broken}
        templates = {file: raw for file, raw in templates.items() if file not in broken}
        mapping_set = compile_mappings(mappings, templates=templates, accounts=accounts)
    judged = {file: raw for file, raw in it.samples.items() if Path(file).parent.name in mapping_set.mappings}
    return [*faults, *check_samples(mapping_set, judged)], mapping_set
