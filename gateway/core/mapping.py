"""The mappings in force: compiled from files, all of them or none, and filled from events.

This is the front door of the mapping language. Behind it `mapping_file` reads one file, `grammar` compiles
what it holds to `expressions`, `transforms` has the filters, `filling` fills, and `samples` compares the
outcome with what the platform team expects.
"""

import hashlib
import heapq
from collections.abc import Callable, Collection
from collections.abc import Mapping as Dict
from difflib import SequenceMatcher
from typing import Final

import msgspec

from .filling import (
    Choice,
    Draft,
    Filled,
    Mapping,
    Priority,
    Skipped,
    Trouble,
    draft,
    fill,
)
from .mapping_faults import ConfigFault, MappingFaults
from .mapping_file import event_type_of, read_mapping
from .samples import check_samples as _check_samples
from .template import Template, UnreadableTemplate, read_template
from .template_table import Snapshot

__all__ = [
    "Choice",
    "ConfigFault",
    "Draft",
    "Filled",
    "Mapping",
    "MappingFaults",
    "MappingSet",
    "Priority",
    "Skipped",
    "Trouble",
    "check_samples",
    "compile_mappings",
    "draft",
    "fill",
]

_NEAREST: Final = 3
_NEAR_ENOUGH: Final = 0.55
_COMPARED: Final = 8
_LONGEST_TYPE: Final = 100  # characters of an unmapped type that are compared


class MappingSet(msgspec.Struct, frozen=True):
    """Every mapping by event type and every template snapshot by id.

    `version` covers the bytes of all of them.
    """

    mappings: dict[str, Mapping]
    templates: dict[str, Template]
    version: str

    def nearest(self, event_type: str, allowed: Callable[[str], bool]) -> list[str]:
        """The mapped types that look most like this one, among the `allowed` ones, the most alike first."""
        wanted = event_type[:_LONGEST_TYPE].lower()
        pairs = _pairs(wanted)
        # Comparing takes long, and any event may be of a type that is not mapped: only what has much in common.
        alike = heapq.nlargest(
            _COMPARED,
            ((_likeness(pairs, _pairs(known.lower())), known) for known in self.mappings if allowed(known)),
        )
        scored = [
            (-SequenceMatcher(None, wanted, known.lower(), autojunk=False).ratio(), known) for _, known in alike
        ]
        return [known for score, known in sorted(scored)[:_NEAREST] if -score >= _NEAR_ENOUGH]


def _likeness(one: set[str], other: set[str]) -> float:
    """How much of the two is common, from 0 to 1."""
    return 2 * len(one & other) / max(1, len(one) + len(other))


def _pairs(text: str) -> set[str]:
    """Each two characters that follow one another."""
    return {text[place : place + 2] for place in range(len(text) - 1)}


def compile_mappings(
    files: Dict[str, bytes], *, templates: Dict[str, bytes], accounts: Collection[str]
) -> MappingSet:
    """The mappings in these files; raises MappingFaults with every fault of every file.

    The keys of `files` are display paths whose stem is the event type, those of `templates` display paths (or
    bare ids) whose stem is the template's id.
    """
    faults: list[ConfigFault] = []
    snapshots = _snapshots(templates, faults)
    mappings: dict[str, Mapping] = {}
    for file, raw in sorted(files.items()):
        mapping, found = read_mapping(file, raw, snapshots, accounts)
        faults += found
        event_type = event_type_of(file)
        if mapping is not None and event_type in mappings:
            what = f"maps `{event_type}`, and so does {mappings[event_type].file}"
            faults.append(ConfigFault(file, 1, what, "delete one of them"))
        elif mapping is not None:
            mappings[event_type] = mapping
    if faults:
        raise MappingFaults(faults)
    known = {template_id: snapshot.template for template_id, snapshot in snapshots.items()}
    return MappingSet(mappings, known, _version(files, templates))


def check_samples(mapping_set: MappingSet, samples: Dict[str, bytes]) -> list[ConfigFault]:
    """Every way in which the mappings and their samples disagree.

    Keys are paths like `…/<event type>/<name>.json`.
    """
    return _check_samples(mapping_set.mappings, samples)


def _snapshots(templates: Dict[str, bytes], faults: list[ConfigFault]) -> dict[str, Snapshot]:
    found: dict[str, Snapshot] = {}
    for file, raw in sorted(templates.items()):
        stem = file.replace("\\", "/").rpartition("/")[2].removesuffix(".json")
        try:
            template = read_template(raw)
        except UnreadableTemplate as unreadable:
            faults.append(ConfigFault(file, unreadable.line, unreadable.detail, "record it again: templates pull"))
            continue
        if template.id and template.id != stem:
            what = f"is the snapshot of template {template.id}"
            line = raw[: max(raw.find(b'"templateId"'), 0)].count(b"\n") + 1
            faults.append(ConfigFault(file, line, what, f"name it {template.id}.json"))
        found[stem] = Snapshot(msgspec.structs.replace(template, id=stem), hashlib.sha256(raw).digest())
    return found


def _version(*groups: Dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for group in groups:
        for name, raw in sorted(group.items()):
            for part in (name.encode("utf-8", "surrogateescape"), raw):
                whole.update(hashlib.sha256(part).digest())
        whole.update(b"\0")
    return f"sha256:{whole.hexdigest()}"
