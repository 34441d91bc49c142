"""What a mapping makes of its samples, held against what they expect; and one slip is told as one fault.

A slip in a mapping shows in many samples. It is told where it was made: at the rule, if a rule cannot be worked
out or if every sample that is filled expects something else of it; at the sample, if only some do.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from .errors import InvalidPhone, MappingFailed, TemplateConstraint, clip, pointer
from .event import Event
from .expressions import Path
from .filling import Choice, Draft, Mapping, Trouble, draft, fill
from .mapping_faults import ConfigFault
from .misspelt import NEAR, dotted, has, meant_path, misspelt, rules
from .phone import mask

_MEND: Final = "mend the mapping or the sample"
_BRACELESS: Final = re.compile(r"\{? *(?:data|id|source|subject|time|type)(?:\.\w+| *\|).*")


class Sample(msgspec.Struct, frozen=True):
    """One sample file: the event (None if it cannot be read as one) and what is expected of it."""

    file: str
    text: str
    event: Event | None
    expect: dict[str, Any]

    @property
    def is_filled(self) -> bool:
        """True if it expects a message."""
        return "error" not in self.expect and "skipped" not in self.expect

    def fault(self, path: Path, what: str, cure: str) -> ConfigFault:
        """A fault on the line of the member that the path leads to, or of the nearest object around it."""
        return ConfigFault(self.file, self.line(path), what, cure)

    def line(self, path: Path) -> int:
        """The line of the member, as far as the path can be followed."""
        at = 0
        for step in path:
            name = re.escape(json.dumps(str(step), ensure_ascii=False))
            found = re.compile(rf"{name}\s*:").search(self.text, at)
            if found is None:
                break
            at = found.start()
        return self.text.count("\n", 0, at) + 1


class _Difference(msgspec.Struct, frozen=True):
    """A value that a sample expects and does not get; `key` is the parameter, or what else differs."""

    sample: Sample
    key: str
    path: Path
    what: str
    cure: str = _MEND

    @property
    def fault(self) -> ConfigFault:
        return self.sample.fault(self.path, self.what, self.cure)


class _Rendered(msgspec.Struct, frozen=True):
    """A sample with an event, and what the mapping makes of it."""

    sample: Sample
    event: Event
    made: Draft


def compare(mapping: Mapping, samples: Sequence[Sample]) -> list[ConfigFault]:
    """Every way in which the mapping and its samples disagree."""
    all_of_them = [
        _Rendered(sample, sample.event, draft(mapping, sample.event))
        for sample in samples
        if sample.event is not None
    ]
    filled = [each for each in all_of_them if each.sample.is_filled]
    if len(filled) > 1 and all(each.made.is_skipped for each in filled) and mapping.choices[0].when is not None:
        what = f"no sample is filled: `when` holds for none of the {len(filled)} that expect a message"
        return [ConfigFault(mapping.file, mapping.choices[0].when.line, what, "mend the `when`")]
    slips = list(misspelt(mapping, [each.event.names() for each in all_of_them]))
    hidden = {rule.key for rule, _ in slips}
    found = [fault for _, fault in slips]
    troubles, told = _troubles(mapping, filled)
    found += troubles
    whole, single = _differences(mapping, filled, hidden)
    found += whole
    is_explained = bool(found)
    found += [difference.fault for difference in single]
    for each in all_of_them:
        if not each.sample.is_filled and not (told & {_mark(it) for it in each.made.troubles}):
            found += _other_outcome(mapping, each, is_explained=is_explained)
    return found


def _mark(trouble: Trouble) -> tuple[int, str, str]:
    return trouble.line, trouble.key, trouble.fault.pointer


def _troubles(
    mapping: Mapping, filled: Sequence[_Rendered]
) -> tuple[list[ConfigFault], set[tuple[int, str, str]]]:
    """What keeps samples from being filled, each trouble once, and the marks of these."""
    paths = {pointer(*path): path for rule in rules(mapping) for path in rule.expression.paths}
    groups: dict[tuple[int, str, str], list[tuple[_Rendered, Trouble]]] = {}
    found = []
    for each in filled:
        others = [other.event.names() for other in filled if other is not each]
        for trouble in each.made.troubles:
            slip = _slip_of_sample(each, paths.get(trouble.fault.pointer, ()), others)
            if slip is None:
                groups.setdefault(_mark(trouble), []).append((each, trouble))
            elif slip not in found:
                found.append(slip)
    for (line, _, at), group in groups.items():
        first, trouble = group[0]
        more = f" and {len(group) - 1} more" if len(group) > 1 else ""
        what = f"{trouble.error.code} for {first.sample.file}{more}: {at} {trouble.fault.detail}"
        meant = next(
            filter(None, (meant_path(it.event.names(), paths.get(at, ()), NEAR) for it, _ in group)), None
        )
        cure = _cure(trouble) if meant is None else f"did you mean `{dotted(meant)}`?"
        found.append(ConfigFault(mapping.file, line, what, cure))
    return found, set(groups)


def _slip_of_sample(each: _Rendered, path: Path, others: list[dict[str, Any]]) -> ConfigFault | None:
    """The sample's own slip: a member that it alone lacks, and has under a name that is very much like it."""
    meant = meant_path(each.event.names(), path, NEAR)
    if meant is None or len(meant) != len(path) or not any(has(other, path) for other in others):
        return None
    depth = next(place for place, (one, other) in enumerate(zip(path, meant, strict=True)) if one != other)
    what = f"its event has no `{dotted(path[: depth + 1])}`, which the other samples have, but `{meant[depth]}`"
    return each.sample.fault(("event", *meant[: depth + 1]), what, f"did you mean `{path[depth]}`?")


def _cure(trouble: Trouble) -> str:
    if "code without a label" in trouble.fault.detail:
        return "add the code to the table, or a default: label(table, default)"
    return "mend the expression or the sample"


def _differences(
    mapping: Mapping, filled: Sequence[_Rendered], hidden: set[str]
) -> tuple[list[ConfigFault], list[_Difference]]:
    """What differs in every sample, told at the mapping's rule; and what differs in some, told there."""
    ready = [each for each in filled if not each.made.troubles]
    by_key: dict[str, list[_Difference]] = {}
    for each in ready:
        for difference in _differing(each):
            if difference.key not in hidden:
                by_key.setdefault(difference.key, []).append(difference)
    whole: list[ConfigFault] = []
    single: list[_Difference] = []
    for key, group in by_key.items():
        rule = _rule(mapping, ready, key)
        if rule is not None and len(group) == len(ready) > 1:
            what = f"all {len(group)} samples disagree with `{key}`: {group[0].sample.file} {group[0].what}"
            whole.append(ConfigFault(mapping.file, rule[0], what, rule[1] or _MEND))
        else:
            single += group
    return whole, single


def _rule(mapping: Mapping, ready: Sequence[_Rendered], key: str) -> tuple[int, str] | None:
    """The line that decides this difference if it is one for all samples, and the cure if it is plain."""
    choices = [each.made.choice for each in ready if each.made.choice is not None]
    if not choices or any(choice is not choices[0] for choice in choices):
        return None
    choice: Choice = choices[0]
    if key == "template_id":
        return choice.line, ""
    special = {"phone": choice.phone, "not_before": mapping.not_before}
    rule = special[key] if key in special else next((it for it in choice.params if it.key == key), None)
    if rule is None:
        return None
    text = str(rule.expression.run({})) if rule.expression.is_constant else ""
    return rule.line, f"write '{{{{ {text.strip('{} ')} }}}}'" if _BRACELESS.fullmatch(text) else ""


def _differing(each: _Rendered) -> Iterable[_Difference]:
    sample, made, expect = each.sample, each.made, each.sample.expect
    if made.choice is None or made.phone is None:
        what = "is skipped: no template's `when` holds"
        yield _Difference(sample, "", ("expect",), what, 'mend a `when`, or expect {"skipped": true}')
        return
    if str(expect["template_id"]) != made.choice.template_id:
        what = f"expects template {clip(expect['template_id'])} and gets {made.choice.template_id}"
        yield _Difference(sample, "template_id", ("expect", "template_id"), what)
    if expect["phone"] != made.phone:
        what = f"expects another phone than {mask(made.phone)}"
        yield _Difference(sample, "phone", ("expect", "phone"), what, f"{_MEND}: 84 and nine digits")
    wanted = expect["template_data"]
    for name in sorted(wanted.keys() | made.template_data.keys()):
        one, other = wanted.get(name), made.template_data.get(name)
        if one != other:
            is_secret = name in made.choice.secret
            shown = "another text (it is secret)" if is_secret else f"{_shown(one)} and gets {_shown(other)}"
            what = f"expects for `{clip(name)}` {shown}"
            yield _Difference(sample, name, ("expect", "template_data", name), what)
    if "not_before" in expect:
        got = None if made.not_before is None else made.not_before.isoformat().replace("+00:00", "Z")
        if expect["not_before"] != got:
            what = f"expects not_before {clip(expect['not_before'])} and gets {got}"
            yield _Difference(sample, "not_before", ("expect", "not_before"), what)


def _other_outcome(mapping: Mapping, each: _Rendered, *, is_explained: bool) -> Iterable[ConfigFault]:
    """What is wrong with a sample that expects an error or a skip; a fault of the mapping may explain it."""
    sample, made, expected = each.sample, each.made, each.sample.expect.get("error")
    at = ("expect", "skipped" if expected is None else "error")
    wanted = "a skip" if expected is None else expected
    try:
        fill(mapping, each.event)
    except (MappingFailed, TemplateConstraint, InvalidPhone) as error:
        if error.code != expected:
            yield sample.fault(at, f"expects {wanted} and ends in {error.code}: {error.detail}", _MEND)
        return
    if made.is_skipped:
        if expected is not None and not is_explained:
            yield sample.fault(at, f"expects {wanted}, and no template's `when` holds", _MEND)
    elif expected is None and made.choice is not None:
        yield sample.fault(at, f"expects a skip, and template {made.choice.template_id} is filled", _MEND)
    elif not is_explained:
        yield sample.fault(at, f"expects {wanted}, and it can be filled", _MEND)


def _shown(value: Any) -> str:
    return "nothing" if value is None else clip(json.dumps(value, ensure_ascii=False), 120)
