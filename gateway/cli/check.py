"""`check`: everything that can be known to be wrong before anything is served."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from gateway.config import Beside, BrokenConfig, Loaded, SettingFault
from gateway.core.mapping import ConfigFault, MappingFaults, MappingSet, check_samples, compile_mappings
from gateway.core.mapping_faults import meant_by

from .preview import preview
from .tables import hanging
from .terminal import Asking, fail, out, pretty, with_config, with_json

__all__ = ["check", "inspect", "preview"]

_FAINT: Final = ("faint", "faint", "faint")
_LIKELY: Final = (".toml", ".json", ".yaml", ".yml", ".tml", ".toml.txt", ".json.txt")
_PLACES: Final = {
    "mappings": (".toml", "put it into mappings/ itself"),
    "samples": (".json", "put it into samples/<event type>/"),
    "templates": (".json", "put it into templates/ itself"),
}
_EXPORT: Final = "export "


class _AnyAccount(frozenset[str]):
    """Every name is that of an account."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


class Inspection(msgspec.Struct, frozen=True):
    """What was found: every fault, what `serve` will need besides, and how much was looked at."""

    faults: tuple[ConfigFault, ...]
    notes: tuple[ConfigFault, ...]
    mappings: int
    samples: int
    templates: int


@click.command()
@with_config
@with_json
@click.pass_obj
def check(asking: Asking, is_json: bool) -> None:
    """Find every fault in the configuration, the mappings, the snapshots and the samples.

    Prints `file:line: what is wrong, and the cure` for each and exits 1 if there is any. Variables that are not
    set here are only noted: the secrets belong to the machine that serves.
    """
    found = inspect(asking)
    if is_json:
        click.echo(pretty(found))
        raise click.exceptions.Exit(1 if found.faults else 0)
    for fault in found.faults:
        out.print(hanging(f"{fault.file}:{fault.line}:", fault.what, fault.cure, styles=("bad", "", "doubtful")))
    if found.faults:
        fail(_counted(found.faults), code=1)
    _print_notes(found.notes)
    out.print(
        f"[good]no faults[/]: {found.mappings} mappings, {found.samples} samples, {found.templates} template snapshots"
    )


def _print_notes(notes: Sequence[ConfigFault]) -> None:
    """What `serve` will need; a person is told in one piece."""
    if out.is_terminal and notes and all(note.cure.startswith(_EXPORT) for note in notes):
        told = ", ".join(f"{note.cure.removeprefix(_EXPORT)} (line {note.line})" for note in notes)
        out.print(
            hanging(
                f"note: {notes[0].file}", f"needs what is not set here, to serve: export {told}", styles=_FAINT
            )
        )
        return
    for note in notes:
        out.print(hanging(f"note: {note.file}:{note.line}:", note.what, note.cure, styles=_FAINT))


def inspect(asking: Asking) -> Inspection:
    """Everything that is wrong with the configuration and what lies beside it; raises CannotStart if it is not there."""
    faults: list[ConfigFault] = []
    loaded: Loaded | None = None
    try:
        loaded = asking.load(may_be_unset=True)
        beside, accounts = Beside(loaded.folder), frozenset(loaded.settings.accounts)
    except BrokenConfig as error:
        faults += _alike(error.faults)
        # Of a file that is no TOML the accounts are not known: that is one fault, and not one of each mapping.
        beside, accounts = Beside(asking.config.parent), frozenset(error.accounts) or _AnyAccount({"?"})
    strays = _strays(beside)
    mapping_set, found = _compiled(beside, accounts, {fault.file for fault in strays})
    return Inspection(
        faults=(*faults, *sorted([*strays, *found], key=lambda fault: (fault.file, fault.line))),
        notes=(*_empty(beside), *(() if loaded is None else _alike(loaded.unset))),
        mappings=len(mapping_set.mappings),
        samples=len(beside.samples),
        templates=len(mapping_set.templates),
    )


def _empty(beside: Beside) -> list[ConfigFault]:
    """That there is no mapping, which is no fault and hardly what anybody wants."""
    if beside.mappings:
        return []
    folder = str(beside.folder / "mappings")
    return [ConfigFault(folder, 1, "holds no mapping: every event is refused", "write one: docs/mappings.md")]


def _strays(beside: Beside) -> list[ConfigFault]:
    """Files that look like mappings, samples or snapshots and are not read because of where they lie or how they end."""
    read = {*beside.mappings, *beside.samples, *beside.templates}
    faults = []
    for name, (suffix, place) in _PLACES.items():
        folder = beside.folder / name
        for file in sorted(folder.rglob("*")):
            is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
            if str(file) in read or is_hidden or not file.name.lower().endswith(_LIKELY) or not file.is_file():
                continue
            if file.suffix == suffix:
                faults.append(ConfigFault(str(file), 1, "is not read: it does not lie where it would be", place))
            else:
                what, cure = (
                    f"is not read: its name does not end in {suffix}",
                    f"name it {file.stem.removesuffix(suffix)}{suffix}",
                )
                faults.append(ConfigFault(str(file), 1, what, cure))
    return faults


def _compiled(
    beside: Beside, accounts: Collection[str], strays: Collection[str]
) -> tuple[MappingSet, list[ConfigFault]]:
    """The mappings in which nothing is wrong, and every fault: theirs, and that of the samples of the good ones."""
    mappings, templates, samples = beside.mappings, beside.templates, beside.samples
    samples = {file: raw for file, raw in samples.items() if not any(_is_of(file, stray) for stray in strays)}
    try:
        mapping_set = compile_mappings(mappings, templates=templates, accounts=accounts)
    except MappingFaults as error:
        broken = {fault.file for fault in error.faults}
        lost = {Path(file).stem for file in templates if file in broken}
        mappings = {file: raw for file, raw in mappings.items() if file not in broken}
        templates = {file: raw for file, raw in templates.items() if file not in broken}
        mapping_set = compile_mappings(mappings, templates=templates, accounts=accounts)
        types = {Path(file).stem for file in broken - beside.templates.keys()}
        types |= {
            event_type
            for event_type, mapping in mapping_set.mappings.items()
            if any(choice.template_id in lost for choice in mapping.choices)
        }
        return mapping_set, [*error.faults, *check_samples(*_without(mapping_set, samples, types))]
    return mapping_set, check_samples(mapping_set, samples)


def _without(
    mapping_set: MappingSet, samples: dict[str, bytes], types: set[str]
) -> tuple[MappingSet, dict[str, bytes]]:
    """What can still be judged: not the samples of a type whose mapping, its name or its template is at fault."""
    folders = {Path(file).parent.name for file in samples}
    nameless = types - folders
    of_them = {folder for folder in folders - mapping_set.mappings.keys() if meant_by(folder, nameless)}
    kept = {name: mapping for name, mapping in mapping_set.mappings.items() if name not in types}
    judged = {file: raw for file, raw in samples.items() if Path(file).parent.name not in types | of_them}
    return msgspec.structs.replace(mapping_set, mappings=kept), judged


def _is_of(sample: str, mapping: str) -> bool:
    return Path(mapping).name.startswith(f"{Path(sample).parent.name}.")


def _alike(faults: Iterable[SettingFault]) -> Iterable[ConfigFault]:
    return (ConfigFault(fault.file, fault.line, fault.what, fault.cure) for fault in faults)


def _counted(faults: Sequence[ConfigFault]) -> str:
    files = len({fault.file for fault in faults})
    told = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
    return told if files == 1 else f"{told} in {files} files"
