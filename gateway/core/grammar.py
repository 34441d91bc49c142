"""Jinja's expressions, with Jinja's own grammar and none of its machine.

Jinja parses the text; what it finds is turned into Expressions, node by node, from a list of what is allowed.
There is no template to render, no global, no call, no loop and no Python attribute, so there is nothing to
break out of, and what an event holds is only ever a value.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from . import values
from .arguments import BadArguments, Labels, filtered, literal
from .choices import TESTS
from .expressions import (
    Expression,
    Path,
    all_paths,
    applied,
    combined,
    constant,
    followed,
    joined,
    sliced,
)
from .mapping_faults import nearest_to
from .slips import cure_of
from .transforms import FILTERS
from .values import Refusal

MAX_SOURCE: Final = 4000  # characters of one value in a mapping
_MAX_DEPTH: Final = 60


_GRAMMAR: Final = Environment(autoescape=True, keep_trailing_newline=True)  # parses; it never renders anything


class ExpressionFault(msgspec.Struct, frozen=True):
    """What is wrong in an expression; `line` counts from 1 inside its text."""

    line: int
    what: str
    cure: str


class BrokenExpression(Exception):
    """A text of a mapping is not one of this language; never leaves core."""

    def __init__(self, faults: list[ExpressionFault]) -> None:
        super().__init__("; ".join(fault.what for fault in faults))
        self.faults = faults


def compile_text(source: str, labels: Labels) -> Expression:
    """The Expression of a text with `{{ … }}` in it; one that is nothing else keeps its value's type."""
    return _compile(source, labels, _parse_text)


def compile_condition(source: str, labels: Labels) -> Expression:
    """The Expression of a bare expression, as `when` holds it."""
    return _compile(source, labels, _parse_condition)


def _compile(source: str, labels: Labels, parse: Callable[[str], list[nodes.Expr]]) -> Expression:
    if len(source) > MAX_SOURCE:
        raise _broken(1, f"is longer than {MAX_SOURCE} characters", "make it shorter")
    compiler = _Compiler(labels)
    try:
        parts = [compiler.compile(node) for node in parse(source)]
    except TemplateSyntaxError as error:
        raise _broken(error.lineno, f"is no expression: {error.message}", cure_of(source)) from None
    except RecursionError:
        raise _broken(1, "is nested too deeply", "make it simpler") from None
    if compiler.faults:
        raise BrokenExpression(compiler.faults)
    return parts[0] if len(parts) == 1 else joined(parts)


def _broken(line: int, what: str, cure: str) -> BrokenExpression:
    return BrokenExpression([ExpressionFault(line, what, cure)])


def _parse_text(source: str) -> list[nodes.Expr]:
    found: list[nodes.Expr] = []
    for node in Parser(_GRAMMAR, source).parse().body:
        if not isinstance(node, nodes.Output):
            raise _broken(node.lineno, "holds a statement {% … %}", "write expressions only: {{ a if b else c }}")
        found += node.nodes
    return found or [nodes.Const("")]


def _parse_condition(source: str) -> list[nodes.Expr]:
    if "{{" in source or "{%" in source:
        raise _broken(1, "is an expression by itself", "leave out the braces: when = 'data.total >= 1000000'")
    parser = Parser(_GRAMMAR, source, state="variable")
    expression = parser.parse_expression()
    if not parser.stream.eos:
        raise TemplateSyntaxError("there is more after its end", parser.stream.current.lineno)
    return [expression]


_BINARY: Final[Mapping[type[nodes.Node], Callable[[Any, Any], Any]]] = {
    nodes.Add: values.add,
    nodes.Sub: values.subtract,
    nodes.Mul: values.multiply,
    nodes.Div: values.divide,
    nodes.FloorDiv: values.floor_divide,
    nodes.Mod: values.modulo,
}
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": values.equal,
    "ne": lambda left, right: not values.equal(left, right),
    "lt": lambda left, right: values.order(left, right) < 0,
    "gt": lambda left, right: values.order(left, right) > 0,
    "lteq": lambda left, right: values.order(left, right) <= 0,
    "gteq": lambda left, right: values.order(left, right) >= 0,
    "in": values.contains,
    "notin": lambda left, right: not values.contains(left, right),
}
_REFUSED: Final[Mapping[type[nodes.Node], tuple[str, str]]] = {
    nodes.Call: ("calls something", "use a filter: {{ value | filter(…) }}"),
    nodes.Pow: ("uses **", "multiply with *"),
    nodes.Dict: ("holds an object {…}", "use a [labels.…] table and the filter label"),
}


class _Compiler:
    """Turns nodes into Expressions and keeps every fault that it meets on the way.

    A node of Jinja's is compiled by the method that `_METHODS` names for its class; one without a method is
    refused.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.faults: list[ExpressionFault] = []
        self._depth = 0

    def compile(self, node: nodes.Node) -> Expression:
        """The node's Expression; an empty one where a fault was noted."""
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                return self._fault(node, "is nested too deeply", "make it simpler")
            method = _METHODS.get(type(node))
            if method is not None:
                return method(self, node)
            unknown = ("holds something that is not of this language", "see docs/mappings.md")
            return self._fault(node, *_REFUSED.get(type(node), unknown))
        finally:
            self._depth -= 1

    def _fault(self, node: nodes.Node, what: str, cure: str) -> Expression:
        self.faults.append(ExpressionFault(node.lineno or 1, what, cure))
        return constant("")

    def text(self, node: nodes.TemplateData) -> Expression:
        return constant(node.data)

    def const(self, node: nodes.Const) -> Expression:
        try:
            if values.is_number(node.value):
                return constant(values.exact(node.value))
            if isinstance(node.value, str):
                return constant(values.nfc(node.value))
        except Refusal as refusal:
            return self._fault(node, f"holds a constant that {refusal.detail}", "write another one")
        return constant(node.value)

    def path(self, node: nodes.Name | nodes.Getattr | nodes.Getitem) -> Expression:
        path = _static_path(node)
        if path is not None:
            return followed(path)
        if isinstance(node, nodes.Getattr):
            return combined(values.member, self.compile(node.node), constant(node.attr))
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            return self._slice(node, node.arg)
        if isinstance(node, nodes.Getitem):
            key = self.compile(node.arg)
            return combined(values.member if key.is_constant else values.looked_up, self.compile(node.node), key)
        return self._fault(node, "names nothing", "see docs/mappings.md")

    def _slice(self, node: nodes.Getitem, span: nodes.Slice) -> Expression:
        ends = [None if end is None else literal(end) for end in (span.start, span.stop)]
        given = [end for end in (span.start, span.stop) if end is not None]
        if span.step is not None or not all(type(literal(end)) is int for end in given):
            return self._fault(
                node, "takes a slice that is not [from:to] in whole numbers", "say first(n) or last(n)"
            )
        return sliced(self.compile(node.node), slice(*ends))

    def sign(self, node: nodes.Neg | nodes.Pos) -> Expression:
        return applied(self.compile(node.node), values.negate if isinstance(node, nodes.Neg) else values.exact)

    def negation(self, node: nodes.Not) -> Expression:
        part = self.compile(node.node)
        return Expression(lambda names: not part.run(names), part.paths)

    def arithmetic(self, node: nodes.BinExpr) -> Expression:
        return combined(_BINARY[type(node)], self.compile(node.left), self.compile(node.right))

    def comparison(self, node: nodes.Compare) -> Expression:
        left = self.compile(node.expr)
        checks: list[Expression] = []
        for operand in node.ops:
            right = self.compile(operand.expr)
            checks.append(combined(_COMPARISONS[operand.op], left, right))
            left = right
        if len(checks) == 1:
            return checks[0]
        return Expression(lambda names: all(check.run(names) for check in checks), all_paths(checks))

    def both(self, node: nodes.And) -> Expression:
        left, right = self.compile(node.left), self.compile(node.right)
        return Expression(lambda names: left.run(names) and right.run(names), all_paths([left, right]))

    def either(self, node: nodes.Or) -> Expression:
        left, right = self.compile(node.left), self.compile(node.right)
        return Expression(lambda names: left.run(names) or right.run(names), all_paths([left, right]))

    def concatenation(self, node: nodes.Concat) -> Expression:
        return joined([self.compile(part) for part in node.nodes])

    def choice(self, node: nodes.CondExpr) -> Expression:
        if node.expr2 is None:
            return self._fault(node, "has an if without an else", 'say what else: … if … else ""')
        test, one, other = self.compile(node.test), self.compile(node.expr1), self.compile(node.expr2)
        return Expression(
            lambda names: one.run(names) if test.run(names) else other.run(names),
            all_paths([test, one, other]),
        )

    def list(self, node: nodes.List | nodes.Tuple) -> Expression:
        parts = [self.compile(item) for item in node.items]
        return Expression(lambda names: [part.run(names) for part in parts], all_paths(parts))

    def test(self, node: nodes.Test) -> Expression:
        test = TESTS.get(node.name)
        if test is None:
            return self._fault(node, f"uses an unknown test `{node.name}`", nearest_to(node.name, TESTS))
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            return self._fault(node, f"gives the test `{node.name}` arguments", "it takes none")
        part = self.compile(node.node)
        return Expression(lambda names: test(part.run, names), part.paths)

    def filter(self, node: nodes.Filter) -> Expression:
        part = constant("") if node.node is None else self.compile(node.node)
        known = FILTERS.get(node.name)
        if known is None:
            return self._fault(node, f"uses an unknown filter `{node.name}`", nearest_to(node.name, FILTERS))
        try:
            return filtered(node, known, part, self.compile, self.labels)
        except BadArguments as bad:
            return self._fault(node, f"filter `{node.name}` {bad.what}", bad.cure)


_METHODS: Final[Mapping[type[nodes.Node], Callable[[_Compiler, Any], Expression]]] = {
    nodes.TemplateData: _Compiler.text,
    nodes.Const: _Compiler.const,
    nodes.Name: _Compiler.path,
    nodes.Getattr: _Compiler.path,
    nodes.Getitem: _Compiler.path,
    nodes.Neg: _Compiler.sign,
    nodes.Pos: _Compiler.sign,
    nodes.Not: _Compiler.negation,
    **dict.fromkeys(_BINARY, _Compiler.arithmetic),
    nodes.Compare: _Compiler.comparison,
    nodes.And: _Compiler.both,
    nodes.Or: _Compiler.either,
    nodes.Concat: _Compiler.concatenation,
    nodes.CondExpr: _Compiler.choice,
    nodes.List: _Compiler.list,
    nodes.Tuple: _Compiler.list,
    nodes.Test: _Compiler.test,
    nodes.Filter: _Compiler.filter,
}


def _static_path(node: nodes.Node) -> Path | None:
    """The steps of `data.items[0].name`; None if one is worked out from the event or it begins elsewhere."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    step: Any = None
    if isinstance(node, nodes.Getattr):
        step = node.attr
    elif isinstance(node, nodes.Getitem):
        step = literal(node.arg)
    if not isinstance(node, nodes.Getattr | nodes.Getitem) or type(step) not in (str, int):
        return None
    base = _static_path(node.node)
    return None if base is None else (*base, step)
