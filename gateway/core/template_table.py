"""One `[[template]]` of a mapping file, read, compiled and held against the template's snapshot."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from .arguments import Labels
from .errors import InvalidPhone, clip
from .expressions import Expression, constant
from .filling import Choice, Rule
from .mapping_faults import meant_by, nearest_to
from .phone import normalise
from .template import Param, Template, wrong_with
from .toml_file import NOTHING, TomlFile
from .toml_lines import Path
from .values import MAX_NUMBER, Refusal, nfc, number_text, text_of

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")  # event types by contract, template ids as seen
KEYS: Final = frozenset({"when", "id", "phone", "secret", "omit_empty", "data"})
_MAX_EXPONENT: Final = 20
_TELLING: Final = 2  # parameters that are not the template's, before its id is the more likely slip


class Snapshot(msgspec.Struct, frozen=True):
    """A template's definition beside the config: what it says, and the digest of its bytes."""

    template: Template
    digest: bytes


class TemplateTable:
    """Reads one table; each method notes in the file what is wrong with its own key."""

    def __init__(
        self,
        file: TomlFile,
        path: Path,
        table: dict[str, Any],
        labels: Labels,
        snapshots: Mapping[str, Snapshot],
    ) -> None:
        self.file = file
        self.path = path
        self.table = table
        self.labels = labels
        self.snapshots = snapshots

    def choice(self) -> Choice:
        """The Choice as far as it can be read; it counts only if the file then has no fault."""
        template_id = self._id()
        snapshot = self.snapshots.get(template_id)
        template = None if snapshot is None else snapshot.template
        if template is not None and self._is_another(template):
            template = None
        if template is not None:
            self._take_as_meant(template)
        params = self._params(template)
        omit_empty = self._names("omit_empty", params) if params else frozenset()
        if template is not None and params:
            self._hold_against(template, params, omit_empty)
        return Choice(
            template_id=template_id,
            phone=self._phone(),
            params=params,
            line=self.file.line(self.path),
            when=self._when(),
            secret=self._names("secret", params) if params else frozenset(),
            omit_empty=omit_empty,
            template=template,
        )

    def _id(self) -> str:
        value = self.table.get("id")
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_NUMBER:
            return str(value)
        if isinstance(value, str) and IDENTIFIER.fullmatch(value):
            return value
        what = "the template has no `id`" if value is None else "`id` is no template id"
        self.file.fault((*self.path, "id"), what, "write the id that Zalo gave it, in quotes")
        return ""

    def _is_another(self, template: Template) -> bool:
        """True, and noted, if the data is exactly that of another template, and this one's id is the slip."""
        data = self.table.get("data")
        given = data.keys() if isinstance(data, dict) else set()
        if all(name in given for name in _required(template)) and given <= _named(template):
            return False
        fits = [
            template_id
            for template_id, other in sorted(self.snapshots.items())
            if given and _required(other.template) <= given <= _named(other.template)
        ]
        if len(fits) != 1 or len(given - _named(template)) < _TELLING:
            return False
        what = f"template {template.id} does not take this data, and {fits[0]} does"
        self.file.fault((*self.path, "id"), what, f"did you mean `{fits[0]}`?")
        return True

    def _take_as_meant(self, template: Template) -> None:
        """A parameter that the template does not have is noted, and read as the missing one that it nearly is."""
        data, known = self.table.get("data"), _named(template)
        path = (*self.path, "data")
        if not isinstance(data, dict):
            return
        unknown, required = [name for name in data if name not in known], _required(template) - data.keys()
        for name in unknown:
            missing = known - data.keys()
            if len(unknown) == len(required) == 1:  # the one that is there is the one that is not
                meant, cure = next(iter(required)), f"did you mean `{next(iter(required))}`?"
            else:
                meant = meant_by(name, missing) or ""
                cure = nearest_to(name, missing if meant else known)
            self.file.fault((*path, name), f"template {template.id} has no parameter `{clip(name)}`", cure)
            if meant:
                self.file.take_as(path, data, name, meant)

    def _params(self, template: Template | None) -> tuple[Rule, ...]:
        data = self.table.get("data")
        if isinstance(data, dict) and (data or (template is not None and not template.params)):
            return tuple(self._param(name, value) for name, value in data.items())
        self.file.fault(
            (*self.path, "data"), "the template has no data", "write [template.data] and its parameters"
        )
        return ()

    def _param(self, name: str, value: Any) -> Rule:
        path = (*self.path, "data", name)
        source = _digits(value)
        if source is None:
            what = f"the value of `{clip(name)}` is neither text nor a number"
            self.file.fault(path, what, "put it in quotes")
            return Rule(name, NOTHING, self.file.line(path))
        expression = self.file.expression(path, source, self.labels) or NOTHING
        if expression.is_constant:
            expression = self._constant(path, expression)
        return Rule(name, expression, self.file.line(path))

    def _constant(self, path: Path, expression: Expression) -> Expression:
        try:
            return NOTHING if expression is NOTHING else constant(nfc(text_of(expression.run({}))))
        except Refusal as refusal:
            self.file.fault(path, f"the value of `{clip(path[-1])}` {refusal.detail}", "write another one")
            return NOTHING

    def _names(self, key: str, params: tuple[Rule, ...]) -> frozenset[str]:
        names, known = self.table.get(key, []), [rule.key for rule in params]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self.file.fault((*self.path, key), f"`{key}` is not a list of parameters", f'write {key} = ["name"]')
            return frozenset()
        for place, name in enumerate(names):
            if name not in known:
                what = f"`{key}` names `{clip(name)}`, which is not a parameter of this template's data"
                self.file.fault((*self.path, key, place), what, nearest_to(name, known))
        return frozenset(names)

    def _when(self) -> Rule | None:
        if "when" not in self.table:
            return None
        path = (*self.path, "when")
        source = self.file.text(path, self.table["when"])
        if source == "" and isinstance(self.table["when"], str):
            self.file.fault(path, "`when` is empty", "write an expression, or leave `when` out for always")
        expression = self.file.condition(path, source, self.labels) if source else None
        if expression is not None and expression.is_constant and not isinstance(_fixed(expression), bool):
            cure = "compare a name of the event with it, or leave `when` out for always"
            self.file.fault(path, "`when` is the same for every event", cure)
        return Rule("when", expression or NOTHING, self.file.line(path))

    def _phone(self) -> Rule:
        path, cure = (*self.path, "phone"), "write phone = '{{ data.… }}'"
        expression: Expression | None = None
        if self.table.get("phone", "") == "":
            self.file.fault(path, "the template has no `phone`", cure)
        else:
            expression = self.file.expression(path, self.file.text(path, self.table["phone"]), self.labels)
        if expression is not None and expression.is_constant:
            try:
                normalise(expression.run({}))
            except (Refusal, InvalidPhone) as wrong:
                self.file.fault(path, f"`phone`: {wrong.detail}", cure)
        return Rule("phone", expression or NOTHING, self.file.line(path))

    def _hold_against(self, template: Template, params: tuple[Rule, ...], omit_empty: frozenset[str]) -> None:
        """Notes where the data and the snapshot do not fit, whatever an event holds."""
        known = {param.name: param for param in template.params}
        for rule in params:
            param = known.get(rule.key)
            if param is not None:
                self._hold_rule_against(param, rule, is_left_out=rule.key in omit_empty)
        given = {rule.key for rule in params}
        for param in template.params:
            if param.required and param.name not in given:
                what = f"`{param.name}` is missing, and template {template.id} requires it"
                self.file.fault((*self.path, "data"), what, f"add {param.name} = '{{{{ data.… }}}}'")

    def _hold_rule_against(self, param: Param, rule: Rule, *, is_left_out: bool) -> None:
        path = (*self.path, "data", rule.key)
        if rule.expression is not NOTHING and rule.expression.is_constant:
            wrong = wrong_with(param, text_of(rule.expression.run({})))
            if wrong is not None:
                self.file.fault(path, f"breaks the template's limits: {wrong}", "write another one")
        if param.required and is_left_out:
            what = f"`{rule.key}` may be left out, and the template requires it"
            self.file.fault(path, what, "take it out of omit_empty")


def _fixed(expression: Expression) -> Any:
    """The value of a constant; None if it has none."""
    try:
        return expression.run({})
    except Refusal:
        return None


def _required(template: Template) -> set[str]:
    return {param.name for param in template.params if param.required}


def _named(template: Template) -> set[str]:
    return {param.name for param in template.params}


def _digits(value: Any) -> str | None:
    """The text of a constant as it is written; None if it is neither text nor a number of ordinary size."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < _MAX_EXPONENT:
        return f"{value:f}"
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return number_text(value) if is_whole and -MAX_NUMBER < value < MAX_NUMBER else None
