"""Samples: events with the outcome that the platform team expects, read from their files."""

import json
import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Dict
from typing import Any, Final

import msgspec

from .comparing import Sample, compare
from .errors import InvalidPhone, MalformedEvent, MappingFailed, TemplateConstraint, clip
from .event import read_event
from .filling import Mapping
from .mapping_faults import ConfigFault, meant_by, nearest_to

_OUTCOMES: Final = ("template_id", "phone", "template_data", "not_before", "skipped", "error")
_REQUIRED: Final = ("template_id", "phone", "template_data")
_CODES: Final = tuple(error.code for error in (MappingFailed, TemplateConstraint, InvalidPhone, MalformedEvent))


class _Twice(ValueError):
    """A member is there twice; `args` is its name."""


def check_samples(mappings: Dict[str, Mapping], samples: Dict[str, bytes]) -> list[ConfigFault]:
    """Every fault of the samples, every mapping without one, every name that they show misspelt."""
    folders: dict[str, dict[str, bytes]] = {}
    for file, raw in sorted(samples.items()):
        folders.setdefault(file.replace("\\", "/").rpartition("/")[0].rpartition("/")[2], {})[file] = raw
    bare = [event_type for event_type in mappings if event_type not in folders]
    faults: list[ConfigFault] = []
    for event_type in [name for name in folders if name not in mappings]:
        meant = meant_by(event_type, bare)
        faults.append(_without_mapping(event_type, list(folders.pop(event_type)), meant, mappings))
        if meant is not None:
            bare.remove(meant)  # one slip is one fault: its samples are those
    faults += [
        ConfigFault(mappings[event_type].file, 1, "has no sample", f"add samples/{event_type}/plain.json")
        for event_type in bare
    ]
    for event_type, mapping in mappings.items():
        faults += _withdrawn(mapping)
        read = [_read(file, raw, event_type, faults) for file, raw in folders.get(event_type, {}).items()]
        faults += compare(mapping, [sample for sample in read if sample is not None])
    return sorted(set(faults), key=lambda fault: (fault.file, fault.line, fault.what))


def _without_mapping(
    event_type: str, files: Sequence[str], meant: str | None, mappings: Iterable[str]
) -> ConfigFault:
    """One fault for the whole folder."""
    more = f", as {len(files)} samples here want" if len(files) > 1 else ""
    cure = f"did you mean `{meant}`?" if meant is not None else nearest_to(event_type, mappings)
    cure = cure if cure.endswith("?") else f"{cure}."
    what = f"no mapping is named `{clip(event_type)}`{more}"
    return ConfigFault(files[0], 1, what, f"{cure} Else delete the folder")


def _withdrawn(mapping: Mapping) -> Iterable[ConfigFault]:
    for choice in mapping.choices:
        if choice.template is not None and not choice.template.is_sendable:
            what = f"template {choice.template_id} is {clip(choice.template.status)} at Zalo"
            yield ConfigFault(mapping.file, choice.line, what, "use another template, or pull the snapshot again")


def _read(file: str, raw: bytes, event_type: str, faults: list[ConfigFault]) -> Sample | None:
    """The sample in the file; None, and its faults are noted, if it is none."""
    document = _document(file, raw)
    if isinstance(document, ConfigFault):
        faults.append(document)
        return None
    expect = document["expect"]
    sample = Sample(file, raw.decode("utf-8-sig"), None, expect)
    wrong = [*_unknown_keys(sample, document), *_shape(sample)]
    event = {"id": "sample", "type": event_type, **document["event"]}
    if event["type"] != event_type:
        what = f"its event is of another type than `{event_type}`"
        wrong.append(sample.fault(("event", "type"), what, "move it or mend its type"))
    if wrong:
        faults += wrong
        return None
    try:
        found = read_event(event, default_source="sample", needs_specversion=False)
    except MalformedEvent as error:
        if expect.get("error") != error.code:
            for fault in error.errors:
                place = ("event", *fault.pointer.split("/")[1:])
                faults.append(sample.fault(place, f"event{fault.pointer} {fault.detail}", "mend the event"))
        return sample
    return msgspec.structs.replace(sample, event=found)


def _document(file: str, raw: bytes) -> dict[str, Any] | ConfigFault:
    """The two objects of a sample, or what keeps the file from being one."""
    text = ""
    try:
        text = raw.decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=_members)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return ConfigFault(file, line, "is not UTF-8", "save the file as UTF-8")
    except json.JSONDecodeError as error:
        return ConfigFault(file, *_no_json(text, error))
    except _Twice as error:
        name = str(error)
        places = [found.start() for found in re.finditer(re.escape(json.dumps(name, ensure_ascii=False)), text)]
        line = text.count("\n", 0, places[1] if len(places) > 1 else 0) + 1
        return ConfigFault(file, line, f"`{clip(name)}` is there twice in one object", "delete one of the two")
    except (ValueError, RecursionError):
        return ConfigFault(file, 1, "is not JSON that can be read", "make its numbers and its nesting smaller")
    if isinstance(document, dict):
        missing = [key for key in ("event", "expect") if not isinstance(document.get(key), dict)]
        if not missing:
            return document
        slips = [key for key in document if key not in ("event", "expect") and meant_by(key, missing)]
        if slips and len(missing) == 1:
            line = Sample(file, text, None, {}).line((slips[0],))
            return ConfigFault(
                file, line, f"`{clip(slips[0])}` is not a key of a sample here", f"did you mean `{missing[0]}`?"
            )
    return ConfigFault(file, 1, "is no sample", 'write {"event": {…}, "expect": {…}}')


def _no_json(text: str, error: json.JSONDecodeError) -> tuple[int, str, str]:
    """Line, what and cure; a comma or a quote that is missing is told of where it should have been."""
    before = text[: error.pos].rstrip()
    line = error.lineno
    cure = "mend the line"
    if error.msg == "Expecting ',' delimiter" and before:
        line, cure = before.count("\n") + 1, "put a comma behind this line, or mend what follows it"
    elif error.msg.startswith("Expecting property name") and before.endswith(","):
        line, cure = before.count("\n") + 1, "delete the comma: nothing follows it"
    elif error.msg.startswith(("Illegal trailing comma", "Invalid control character", "Unterminated string")):
        cure = "delete the comma" if "comma" in error.msg else 'end the text with "'
    return line, f"is not JSON: {error.msg}", cure


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise _Twice(name)
        members[name] = value
    return members


def _unknown_keys(sample: Sample, document: dict[str, Any]) -> Iterable[ConfigFault]:
    for key in document:
        if key not in ("event", "expect"):
            yield sample.fault(
                (key,), f"`{clip(key)}` is not a key of a sample here", nearest_to(key, ("event", "expect"))
            )
    for key in [key for key in sample.expect if key not in _OUTCOMES]:
        yield sample.fault(
            ("expect", key), f"`{clip(key)}` is not a key of a sample here", nearest_to(key, _OUTCOMES)
        )
        meant = meant_by(key, _OUTCOMES)
        if meant is not None and meant not in sample.expect:
            sample.expect[meant] = sample.expect.pop(key)  # read on as if it were that: one slip is one fault


def _shape(sample: Sample) -> Iterable[ConfigFault]:
    """What is wrong with `expect` itself, before any event is looked at."""
    expect = sample.expect
    if "error" in expect:
        if expect["error"] not in _CODES:
            what = "expects an error that filling cannot end in"
            known = [code for code in _CODES if isinstance(expect["error"], str)]
            meant = meant_by(str(expect["error"]), known)
            cure = f"write one of {', '.join(_CODES)}" if meant is None else f"did you mean `{meant}`?"
            yield sample.fault(("expect", "error"), what, cure)
    elif "skipped" in expect:
        if expect["skipped"] is not True:
            cure = "write true, or expect something else"
            yield sample.fault(("expect", "skipped"), "`skipped` can only be true", cure)
    else:
        missing = [key for key in _REQUIRED if key not in expect]
        if missing:
            named = " and ".join(f"`{key}`" for key in missing)
            what = f"does not say which {named} it expects"
            yield sample.fault(("expect",), what, f"add {' and '.join(missing)}, or expect skipped or an error")
        if not isinstance(expect.get("template_data", {}), dict):
            cure = "write parameter: text"
            yield sample.fault(("expect", "template_data"), "`template_data` is not an object", cure)
