"""A Mapping, and what an event makes of it: a template's data for one phone, or a skip on purpose."""

from collections.abc import Mapping as Dict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import msgspec

from .errors import (
    Fault,
    GatewayError,
    InvalidPhone,
    MappingFailed,
    TemplateConstraint,
    pointer,
)
from .event import Event
from .expressions import Expression
from .moments import instant
from .phone import Phone, normalise
from .template import Template, check_params
from .values import Refusal, WrongPhone, is_empty, nfc, text_of


class Priority(StrEnum):
    """Which messages go first when not all can go at once."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


class Rule(msgspec.Struct, frozen=True):
    """One expression of a mapping file, and where it stands there."""

    key: str
    expression: Expression
    line: int


class Choice(msgspec.Struct, frozen=True):
    """One `[[template]]`: when it is used and how it is filled.

    `omit_empty` are left out when they come out empty.
    """

    template_id: str
    phone: Rule
    params: tuple[Rule, ...]
    line: int
    when: Rule | None = None
    secret: frozenset[str] = frozenset()
    omit_empty: frozenset[str] = frozenset()
    template: Template | None = None


class Mapping(msgspec.Struct, frozen=True):
    """How one event type becomes a message: one file, compiled. `version` covers all that decides it."""

    event_type: str
    file: str
    version: str
    account: str
    choices: tuple[Choice, ...]
    summary: str = ""
    owner: str = ""
    priority: Priority = Priority.NORMAL
    expires_after: timedelta = timedelta(hours=24)
    on_unknown: Literal["hold", "resend"] = "hold"
    quiet_hours: Literal["defer", "ignore"] = "defer"
    not_before: Rule | None = None


class Filled(msgspec.Struct, frozen=True):
    """What goes to Zalo. `secret` names the parameters that nothing may show; `not_before` is aware UTC."""

    template_id: str
    phone: Phone
    template_data: dict[str, str]
    secret: frozenset[str] = frozenset()
    not_before: datetime | None = None


class Skipped(msgspec.Struct, frozen=True):
    """No template's `when` held: nothing is to be sent, on purpose."""


class Trouble(msgspec.Struct, frozen=True):
    """Why a mapping could not be filled: what is raised for it, its fault, and the rule it came from."""

    error: type[GatewayError]
    fault: Fault
    key: str
    line: int


class Draft(msgspec.Struct, frozen=True):
    """As much as could be filled, and every trouble on the way; what could not be filled is missing."""

    choice: Choice | None
    phone: Phone | None
    template_data: dict[str, str]
    not_before: datetime | None
    troubles: tuple[Trouble, ...]

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What the troubles show to a caller."""
        return tuple(trouble.fault for trouble in self.troubles)

    @property
    def is_skipped(self) -> bool:
        """True if the event is skipped on purpose."""
        return self.choice is None and not self.troubles


_GRAVEST_FIRST = (MappingFailed, InvalidPhone, TemplateConstraint)


def fill(mapping: Mapping, event: Event) -> Filled | Skipped:
    """What the event makes of the mapping; raises MappingFailed, InvalidPhone or TemplateConstraint.

    The gravest of these is raised, with every fault that was found in its `errors`. No detail quotes the
    event.
    """
    made = draft(mapping, event)
    if made.troubles:
        raise _error(made.troubles)
    if made.choice is None or made.phone is None:
        return Skipped()
    return Filled(made.choice.template_id, made.phone, made.template_data, made.choice.secret, made.not_before)


def draft(mapping: Mapping, event: Event) -> Draft:
    """The mapping filled as far as the event allows, with every trouble that stopped the rest."""
    names = event.names()
    troubles: list[Trouble] = []
    choice = _chosen(mapping.choices, names, troubles)
    if choice is None:
        return Draft(None, None, {}, None, tuple(troubles))
    phone = _phone(choice.phone, names, troubles)
    data: dict[str, str] = {}
    for rule in choice.params:
        try:
            value = rule.expression.run(names)
            if rule.key in choice.omit_empty and is_empty(value):
                continue
            data[rule.key] = nfc(text_of(value))
        except Refusal as refusal:
            troubles.append(_trouble(rule, refusal, pointer("template_data", rule.key)))
    broken = check_params(choice.template, data) if choice.template is not None else []
    if broken:
        troubles += _constraints(choice, broken, troubles)
    not_before = _not_before(mapping.not_before, names, troubles)
    return Draft(choice, phone, data, not_before, tuple(troubles))


def _chosen(choices: tuple[Choice, ...], names: Dict[str, Any], troubles: list[Trouble]) -> Choice | None:
    for choice in choices:
        if choice.when is None:
            return choice
        try:
            if choice.when.expression.run(names):
                return choice
        except Refusal as refusal:
            troubles.append(_trouble(choice.when, refusal, ""))
            return None
    return None


def _phone(rule: Rule, names: Dict[str, Any], troubles: list[Trouble]) -> Phone | None:
    try:
        return normalise(rule.expression.run(names))
    except Refusal as refusal:
        troubles.append(_trouble(rule, refusal, ""))
    except InvalidPhone as error:
        where = rule.expression.pointer or ""
        detail = f"is no Vietnamese mobile number: it {error.errors[0].detail}"
        troubles.append(Trouble(InvalidPhone, Fault(where, detail), rule.key, rule.line))
    return None


def _not_before(rule: Rule | None, names: Dict[str, Any], troubles: list[Trouble]) -> datetime | None:
    if rule is None:
        return None
    try:
        value = rule.expression.run(names)
        return None if value == "" else instant(value)
    except Refusal as refusal:
        troubles.append(_trouble(rule, refusal.located(rule.expression.pointer), ""))
    return None


def _trouble(rule: Rule, refusal: Refusal, elsewhere: str) -> Trouble:
    """The trouble at the event's own place where that is known, else at `elsewhere`."""
    error = InvalidPhone if isinstance(refusal, WrongPhone) and rule.key == "phone" else MappingFailed
    where = refusal.located(rule.expression.pointer).where
    detail = f"{refusal.detail} (needed for `{rule.key}`)"
    return Trouble(error, Fault(elsewhere if where is None else where, detail), rule.key, rule.line)


def _constraints(choice: Choice, broken: list[Fault], troubles: list[Trouble]) -> list[Trouble]:
    """The template's limits that are broken, but for parameters that could not be filled at all."""
    unfilled = {trouble.key for trouble in troubles}
    rules = {rule.key: rule for rule in choice.params}
    found = []
    for fault in broken:
        name = fault.pointer.removeprefix("/template_data/").replace("~1", "/").replace("~0", "~")
        if name in unfilled:
            continue
        rule = rules.get(name)
        where = rule.expression.pointer if rule is not None else None
        line = rule.line if rule is not None else choice.line
        found.append(Trouble(TemplateConstraint, Fault(where or fault.pointer, fault.detail), name, line))
    return found


def _error(troubles: tuple[Trouble, ...]) -> GatewayError:
    raised = {trouble.error for trouble in troubles}
    error = next(each for each in _GRAVEST_FIRST if each in raised)
    faults = [trouble.fault for trouble in troubles]
    more = f", and {len(faults) - 1} more fault(s)" if len(faults) > 1 else ""
    first = next(trouble.fault for trouble in troubles if trouble.error is error)
    return error(f"{first.pointer or 'the event'} {first.detail}{more}", errors=faults)
