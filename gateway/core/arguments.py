"""The arguments of a filter, checked at load time against what the filter's function says it takes.

Annotations are the rule: `str`, `int` and `bool` are constants, `Table` names a table of labels, `object` is
a value that may come from the event, and `Evaluate` is an expression that the function works out by itself.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import nodes

from .choices import Evaluate, Names, Table
from .expressions import Expression, all_paths, applied
from .mapping_faults import nearest_to
from .transforms import Filter
from .values import Refusal, is_number

NO_TABLE: Final = re.compile(r"uses a table \[labels\..*\] that is not there")

Compile = Callable[[nodes.Node], Expression]
Labels = Mapping[str, Table]


class BadArguments(Exception):
    """A filter is given what it does not take; never leaves core."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.what = what
        self.cure = cure


def literal(node: nodes.Node) -> Any:
    """The constant that is written here; None if it is something else."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and is_number(node.node.value):
        return -node.node.value
    return node.value if isinstance(node, nodes.Const) else None


def filtered(
    node: nodes.Filter, known: Filter, part: Expression, compile_node: Compile, labels: Labels
) -> Expression:
    """The filter of this node applied to `part`; raises BadArguments."""
    signature = inspect.signature(known.apply)
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise BadArguments("takes * arguments", "write them one by one")
    given = {str(pair.key): pair.value for pair in node.kwargs}
    try:
        bound = signature.bind(part, *node.args, **given)
    except TypeError as error:
        raise BadArguments(f"does not take these: {error}", f"write {_usage(node.name, signature)}") from None
    arguments = []
    for parameter, one in _pairs(signature, bound):
        value = _argument(parameter, one, compile_node, labels) if isinstance(one, nodes.Node) else one
        if value is _UNFIT:
            raise BadArguments(f"needs a constant for {parameter.name}", f"write {_usage(node.name, signature)}")
        arguments.append(value)
    if known.check is not None:
        try:
            known.check(*[None if isinstance(value, Expression) else value for value in arguments])
        except ValueError as error:
            raise BadArguments("cannot do that", str(error)) from None
    if next(iter(signature.parameters.values())).annotation is Evaluate:
        return _chosen(known, part, arguments)
    return _applied(known, part, arguments)


_UNFIT = object()


def _pairs(signature: inspect.Signature, bound: inspect.BoundArguments) -> list[tuple[inspect.Parameter, Any]]:
    """Each of the function's parameters but its first, with the node given for it or its default."""
    bound.apply_defaults()
    pairs: list[tuple[inspect.Parameter, Any]] = []
    for name, given in list(bound.arguments.items())[1:]:
        parameter = signature.parameters[name]
        many = given if parameter.kind is inspect.Parameter.VAR_POSITIONAL else [given]
        pairs += [(parameter, one) for one in many]
    return pairs


def _argument(parameter: inspect.Parameter, node: nodes.Node, compile_node: Compile, labels: Labels) -> Any:
    wanted, value = parameter.annotation, literal(node)
    if wanted in (Evaluate, Evaluate | None):
        return compile_node(node)
    if wanted is object:
        return compile_node(node) if value is None else value
    if wanted is Table:
        return _table(value, labels)
    if wanted in (int, int | None):
        return value if type(value) is int else _UNFIT
    return value if isinstance(value, bool if wanted is bool else str) else _UNFIT


def _table(name: Any, labels: Labels) -> Any:
    if not isinstance(name, str):
        return _UNFIT
    if name not in labels:
        raise BadArguments(f"uses a table [labels.{name}] that is not there", nearest_to(name, labels))
    return labels[name]


def _chosen(known: Filter, part: Expression, arguments: list[Any]) -> Expression:
    """The filter that is given expressions; a refusal that they did not locate is located at the value."""
    runs = [value.run if isinstance(value, Expression) else value for value in arguments]
    choose, where = known.apply(part.run, *runs), part.pointer

    def run(names: Names) -> Any:
        try:
            return choose(names)
        except Refusal as refusal:
            raise refusal.located(where) from None

    return Expression(run, _paths(part, arguments))


def _applied(known: Filter, part: Expression, arguments: list[Any]) -> Expression:
    if not any(isinstance(value, Expression) for value in arguments):
        return applied(part, known.apply, *arguments)
    function, where = known.apply, part.pointer

    def run(names: Names) -> Any:
        given = [value.run(names) if isinstance(value, Expression) else value for value in arguments]
        try:
            return function(part.run(names), *given)
        except Refusal as refusal:
            argument = None if refusal.argument is None else arguments[refusal.argument]
            raise refusal.located(argument.pointer if isinstance(argument, Expression) else where) from None

    return Expression(run, _paths(part, arguments))


def _paths(part: Expression, arguments: list[Any]) -> tuple[tuple[str | int, ...], ...]:
    return all_paths([part, *(value for value in arguments if isinstance(value, Expression))])


def _usage(name: str, signature: inspect.Signature) -> str:
    takes = [
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
        for parameter in list(signature.parameters.values())[1:]
    ]
    return f"{name}({', '.join(takes)})"
