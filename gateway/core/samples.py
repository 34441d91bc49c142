"""Samples: events with the outcome that the platform team expects, rendered and compared."""

import json
from collections.abc import Iterable
from collections.abc import Mapping as Dict
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from .errors import GatewayError, InvalidPhone, MalformedEvent, MappingFailed, TemplateConstraint, clip, pointer
from .event import Event, read_event
from .expressions import Path
from .filling import Filled, Mapping, Rule, draft, fill
from .mapping_faults import ConfigFault, nearest_to
from .phone import mask
from .values import Refusal

_OUTCOMES: Final = ("template_id", "phone", "template_data", "not_before", "skipped", "error")
_REQUIRED: Final = ("template_id", "phone", "template_data")
_CODES: Final = tuple(error.code for error in (MappingFailed, TemplateConstraint, InvalidPhone, MalformedEvent))
_NEAR: Final = 0.6
_VERY_NEAR: Final = 0.8


class _Sample(msgspec.Struct, frozen=True):
    """One sample file: the event (None if it cannot be read as one) and what is expected of it."""

    file: str
    text: str
    event: Event | None
    expect: dict[str, Any]

    def fault(self, key: str, what: str, cure: str) -> ConfigFault:
        """A fault on the line where `key` is expected."""
        at = self.text.find(f'"{key}"', max(self.text.find('"expect"'), 0))
        return ConfigFault(self.file, self.text.count("\n", 0, max(at, 0)) + 1, what, cure)


def check_samples(mappings: Dict[str, Mapping], samples: Dict[str, bytes]) -> list[ConfigFault]:
    """Every fault of the samples, every mapping without one, every name that they show misspelt."""
    faults: list[ConfigFault] = []
    read: dict[str, list[_Sample]] = {event_type: [] for event_type in mappings}
    for file, raw in sorted(samples.items()):
        event_type = file.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
        if event_type not in mappings:
            cure = f"{nearest_to(event_type, mappings)} Else delete the folder"
            faults.append(ConfigFault(file, 1, f"no mapping is named `{clip(event_type)}`", cure))
            continue
        sample = _read(file, raw, event_type, faults)
        if sample is not None:
            read[event_type].append(sample)
    for event_type, mapping in mappings.items():
        faults += _check(
            mapping, read[event_type], has_any=any(f"/{event_type}/" in f"/{file}" for file in samples)
        )
    return sorted(set(faults), key=lambda fault: (fault.file, fault.line, fault.what))


def _check(mapping: Mapping, samples: list[_Sample], *, has_any: bool) -> Iterable[ConfigFault]:
    if not has_any:
        yield ConfigFault(mapping.file, 1, "has no sample", f"add samples/{mapping.event_type}/plain.json")
    for choice in mapping.choices:
        if choice.template is not None and not choice.template.is_sendable:
            what = f"template {choice.template_id} is {clip(choice.template.status)} at Zalo"
            yield ConfigFault(mapping.file, choice.line, what, "use another template, or pull the snapshot again")
    for sample in samples:
        if sample.event is not None:
            yield from _compare(mapping, sample, sample.event)
    yield from _misspelt(mapping, [sample.event.names() for sample in samples if sample.event is not None])


def _read(file: str, raw: bytes, event_type: str, faults: list[ConfigFault]) -> _Sample | None:
    try:
        document = json.loads(raw.decode())
    except json.JSONDecodeError as error:
        faults.append(ConfigFault(file, error.lineno, f"is not JSON: {error.msg}", "mend the line"))
        return None
    except (ValueError, RecursionError):
        faults.append(ConfigFault(file, 1, "is not JSON in UTF-8 that can be read", "mend the file"))
        return None
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key), dict) for key in ("event", "expect")
    ):
        faults.append(ConfigFault(file, 1, "is no sample", 'write {"event": {…}, "expect": {…}}'))
        return None
    expect = document["expect"]
    sample = _Sample(file, raw.decode(), None, expect)
    wrong = [_unknown(sample, key, known) for key, known in _keys(document, expect)] + list(_shape(sample))
    event = {"id": "sample", "type": event_type, **document["event"]}
    if event["type"] != event_type:
        wrong.append(
            sample.fault("event", f"its event is of another type than `{event_type}`", "move it or mend its type")
        )
    if wrong:
        faults += wrong
        return None
    try:
        return msgspec.structs.replace(
            sample, event=read_event(event, default_source="sample", needs_specversion=False)
        )
    except MalformedEvent as error:
        if expect.get("error") != error.code:
            faults += [
                sample.fault("event", f"event{fault.pointer} {fault.detail}", "mend it") for fault in error.errors
            ]
        return sample


def _keys(document: dict[str, Any], expect: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    unknown = [(key, ("event", "expect")) for key in document if key not in ("event", "expect")]
    return unknown + [(key, _OUTCOMES) for key in expect if key not in _OUTCOMES]


def _unknown(sample: _Sample, key: str, known: Iterable[str]) -> ConfigFault:
    return sample.fault(key, f"`{clip(key)}` is not a key of a sample here", nearest_to(key, known))


def _shape(sample: _Sample) -> Iterable[ConfigFault]:
    """What is wrong with `expect` itself, before any event is looked at."""
    expect = sample.expect
    if "error" in expect:
        if expect["error"] not in _CODES:
            yield sample.fault(
                "error", "expects an error that filling cannot end in", f"write one of {', '.join(_CODES)}"
            )
    elif "skipped" in expect:
        if expect["skipped"] is not True:
            yield sample.fault("skipped", "`skipped` can only be true", "write true, or expect something else")
    else:
        for key in _REQUIRED:
            if key not in expect:
                yield sample.fault(
                    "expect", f"does not say which `{key}` it expects", f"add {key}, skipped or error"
                )
        if not isinstance(expect.get("template_data", {}), dict):
            yield sample.fault("template_data", "`template_data` is not an object", "write parameter: text")


def _compare(mapping: Mapping, sample: _Sample, event: Event) -> Iterable[ConfigFault]:
    expect = sample.expect
    try:
        made = fill(mapping, event)
    except (MappingFailed, TemplateConstraint, InvalidPhone) as error:
        yield from _compare_error(mapping, sample, event, error)
        return
    if "error" in expect:
        yield sample.fault(
            "error", f"expects {expect['error']}, and it can be filled", "mend the mapping or the sample"
        )
    elif isinstance(made, Filled):
        yield from _compare_filled(sample, made)
    elif "skipped" not in expect:
        yield sample.fault(
            "expect", "is skipped: no template's `when` holds", 'mend a `when`, or expect {"skipped": true}'
        )


def _compare_error(mapping: Mapping, sample: _Sample, event: Event, error: GatewayError) -> Iterable[ConfigFault]:
    expected = sample.expect.get("error")
    if expected == error.code:
        return
    if expected is not None:
        what = f"expects {expected} and ends in {error.code}: {error.detail}"
        yield sample.fault("error", what, "mend the mapping or the sample")
        return
    paths = {pointer(*path): path for rule in _rules(mapping) for path in rule.expression.paths}
    for trouble in draft(mapping, event).troubles:
        what = f"{trouble.error.code} for {sample.file}: {trouble.fault.pointer} {trouble.fault.detail}"
        meant = _meant(event.names(), paths.get(trouble.fault.pointer, ()), _NEAR)
        cure = "mend the expression or the sample" if meant is None else f"did you mean `{_dotted(meant)}`?"
        yield ConfigFault(mapping.file, trouble.line, what, cure)


def _compare_filled(sample: _Sample, made: Filled) -> Iterable[ConfigFault]:
    expect = sample.expect
    cure = "mend the mapping or the sample"
    if "skipped" in expect:
        yield sample.fault("skipped", f"expects a skip, and template {made.template_id} is filled", cure)
        return
    if str(expect["template_id"]) != made.template_id:
        what = f"expects template {clip(expect['template_id'])} and gets {made.template_id}"
        yield sample.fault("template_id", what, cure)
    if expect["phone"] != made.phone:
        yield sample.fault(
            "phone", f"expects another phone than {mask(made.phone)}", f"{cure}: 84 and nine digits"
        )
    wanted = expect["template_data"]
    for name in sorted(wanted.keys() | made.template_data.keys()):
        one, other = wanted.get(name), made.template_data.get(name)
        if one != other:
            shown = (
                "another text (it is secret)" if name in made.secret else f"{_shown(one)} and gets {_shown(other)}"
            )
            yield sample.fault(name, f"expects for `{clip(name)}` {shown}", cure)
    if "not_before" in expect:
        got = None if made.not_before is None else made.not_before.isoformat().replace("+00:00", "Z")
        if expect["not_before"] != got:
            yield sample.fault(
                "not_before", f"expects not_before {clip(expect['not_before'])} and gets {got}", cure
            )


def _shown(value: Any) -> str:
    return "nothing" if value is None else clip(json.dumps(value, ensure_ascii=False), 120)


def _misspelt(mapping: Mapping, shapes: list[dict[str, Any]]) -> Iterable[ConfigFault]:
    """Names that a default hides: no sample has them, and one has a name that is very much like it.

    One that the mapping names as well is not what was meant: `data.phone2 | or_else(data.phone)` is no slip.
    """
    named = {path for rule in _rules(mapping) for path in rule.expression.paths}
    for rule in _rules(mapping):
        for path in rule.expression.paths:
            if any(_has(shape, path) for shape in shapes):
                continue
            meant = next(filter(None, (_meant(shape, path, _VERY_NEAR) for shape in shapes)), None)
            if meant is not None and meant not in named and _is_hidden(rule, shapes):
                what = f"no sample has `{_dotted(path)}`, named in `{rule.key}`"
                cure = f"did you mean `{_dotted(meant)}`? Else add a sample that has it"
                yield ConfigFault(mapping.file, rule.line, what, cure)


def _is_hidden(rule: Rule, shapes: list[dict[str, Any]]) -> bool:
    """True if some sample gets through the rule, so that no other fault tells of the missing name."""
    for shape in shapes:
        try:
            rule.expression.run(shape)
        except Refusal:
            continue
        return True
    return False


def _rules(mapping: Mapping) -> Iterable[Rule]:
    if mapping.not_before is not None:
        yield mapping.not_before
    for choice in mapping.choices:
        if choice.when is not None:
            yield choice.when
        yield choice.phone
        yield from choice.params


def _has(value: Any, path: Path) -> bool:
    for step in path:
        if not _leads(value, step):
            # What a null hides, or a list is too short for, is no misspelt name.
            return value is None or (isinstance(value, list) and isinstance(step, int))
        value = value[step]
    return True


def _leads(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and -len(value) <= step < len(value)
    return isinstance(value, dict) and step in value


def _meant(names: dict[str, Any], path: Path, cutoff: float) -> Path | None:
    """The path with its first unknown name replaced by the nearest one that this event has there."""
    value: Any = names
    for place, step in enumerate(path):
        if _leads(value, step):
            value = value[step]
            continue
        if not isinstance(value, dict) or not isinstance(step, str):
            return None
        near = get_close_matches(step, sorted(value), n=1, cutoff=cutoff)
        if near:
            return (*path[:place], near[0], *path[place + 1 :])
        data = names.get("data")
        return ("data", *path) if place == 0 and isinstance(data, dict) and step in data else None
    return None


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
