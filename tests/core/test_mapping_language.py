"""The expressions: what each part of the language means, and that nothing else is in it."""

from typing import Any

import pytest

from gateway.core.choices import Table
from gateway.core.errors import pointer
from gateway.core.expressions import Expression
from gateway.core.grammar import BrokenExpression, compile_condition, compile_text
from gateway.core.values import Refusal, text_of

LABELS = {"method": Table(cod="Khi nhận hàng", card="Thẻ"), "flag": Table(true="Bật", false="Tắt")}
NAMES: dict[str, Any] = {
    "id": "evt-1",
    "time": "2026-11-23T03:15:00Z",
    "data": {
        "name": "Nguyễn Văn An",
        "total": 1250000,
        "float": 0.1,
        "text": "12",
        "zero": 0,
        "empty": "",
        "null": None,
        "yes": True,
        "items": [{"name": "Áo", "qty": 2}, {"name": "Quần", "qty": 1}],
        "keys": {"full-name": "An", "items": "a member", "0": "zero"},
        "index": 1,
        "key": "name",
        "method": "cod",
        "tags": ["vip", "new"],
        "day": "2026-11-20",
    },
}


def value_of(expression: str) -> Any:
    return compile_text("{{ " + expression + " }}", LABELS).run(NAMES)


def written(source: str) -> str:
    return text_of(compile_text(source, LABELS).run(NAMES))


def refusal_of(expression: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        text_of(value_of(expression))
    return refused.value


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ data.name }}", "Nguyễn Văn An"),
        ("{{ data.items[0].name }}", "Áo"),
        ("{{ data.items.1.name }}", "Quần"),
        ("{{ data.items[-1]['name'] }}", "Quần"),
        ("{{ data.items[data.index].name }}", "Quần"),
        ("{{ data.items[0][data.key] }}", "Áo"),
        ("{{ data.keys.items }}", "a member"),
        ('{{ data.keys["full-name"] }}', "An"),
        ('{{ data.keys["0"] }}', "zero"),
        ("{{ data.name[:6] }}", "Nguyễn"),
        ("{{ data.name[-2:] }}", "An"),
        ("{{ data.tags[1:] | join }}", "new"),
        ("Hi {{ data.name }}!", "Hi Nguyễn Văn An!"),
        ("{{ data.total }}/{{ data.zero }}", "1250000/0"),
        ("{# a comment #}x", "x"),
        ("no expression", "no expression"),
        ("", ""),
        ("{{ 'a' ~ 1 ~ data.text }}", "a112"),
        ("{{ 'a' + 'b' }}", "ab"),
        ("{{ data.float + 0.2 }}", "0.3"),
        ("{{ data.total * 3 / 4 - 1 }}", "937499"),
        ("{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }}", "3 -4 2"),
        ("{{ (1 / 3) | round(2) }}", "0.33"),
        ("{{ -data.total }}", "-1250000"),
        ("{{ 'a' if data.yes else 'b' }}", "a"),
        ("{{ 'a' if not data.yes else 'b' }}", "b"),
        ("{{ 'a' if data.total > 5 and data.zero == 0 else 'b' }}", "a"),
        ("{{ 'a' if 0 < data.index < 2 else 'b' }}", "a"),
        ("{{ 'a' if data.null == none else 'b' }}", "a"),
        ("{{ 'a' if data.name != none else 'b' }}", "a"),
        ("{{ 'a' if data.method in ['card', 'cod'] else 'b' }}", "a"),
        ("{{ 'a' if 'vip' in data.tags else 'b' }}", "a"),
        ("{{ 'a' if 'Văn' in data.name else 'b' }}", "a"),
        ("{{ 'a' if 'name' not in data.keys else 'b' }}", "a"),
        ("{{ data.empty or data.name }}", "Nguyễn Văn An"),
        ("{{ [data.total, data.zero, 7] | min }}", "0"),
        ("{{ data.method | label('method') }}", "Khi nhận hàng"),
        ("{{ data.text | label('method', 'khác') }}", "khác"),
        ("{{ data.null | label('method', 'khác') }}", "khác"),
        ("{{ data.text | label('method', data.name) }}", "Nguyễn Văn An"),
        ("{{ data.method | label('method', data.missing) }}", "Khi nhận hàng"),
        ("{{ data.yes | label('flag') }}", "Bật"),
        ("{{ data.items | length }}", "2"),
        ("{{ data.day | days_between(time) }}", "3"),
        ("{{ time | plus(days=data.index) | local('%d') }}", "24"),
        ("{{ data.items | join(', ', item='{qty} x {name}') }}", "2 x Áo, 1 x Quần"),
    ],
)
def test_what_an_expression_makes(source: str, text: str) -> None:
    assert written(source) == text


class TestMissing:
    @pytest.mark.parametrize(
        ("expression", "text"),
        [
            ("data.missing | default('d')", "d"),
            ("data.missing.deep[3].x | default('d')", "d"),
            ("data.null | default('d')", "d"),
            ("data.null.deep | default('d')", "d"),
            ("data.name.deep | default('d')", "d"),
            ("data.items[9].name | default('d')", "d"),
            ("data.missing | upper | shorten(5) | default('d')", "d"),
            ("data.null | upper | default('d')", "d"),
            ("data.empty | default('d')", ""),
            ("data.empty | default('d', empty=true)", "d"),
            ("data.empty | default('d', true)", "d"),
            ("data.zero | default('d', true)", "0"),
            ("data.missing | default(data.name)", "Nguyễn Văn An"),
            ("data.name | default(data.missing)", "Nguyễn Văn An"),
            ("data.missing | or_else(data.null, data.empty, data.zero, data.name)", "0"),
            ("data.missing | or_else(data.empty) | or_else('d')", "d"),
            ("data.missing | or_else('')", ""),
            ("'a' if data.missing is defined else 'b'", "b"),
            ("'a' if data.missing.deep is undefined else 'b'", "a"),
            ("'a' if data.missing is not filled else 'b'", "a"),
            ("'a' if data.zero is filled else 'b'", "a"),
            ("'a' if data.empty is empty else 'b'", "a"),
            ("'a' if data.null is none else 'b'", "a"),
            ("'a' if data.null is defined else 'b'", "a"),
            ("'a' if data.text is string and data.zero is number and data.yes is boolean else 'b'", "a"),
            ("'a' if data.items is list and data.keys is object and data.yes is not number else 'b'", "a"),
        ],
    )
    def test_missing_null_empty_and_zero_are_four_things(self, expression: str, text: str) -> None:
        assert written("{{ " + expression + " }}") == text

    @pytest.mark.parametrize(
        ("expression", "where"),
        [
            ("data.missing", "/data/missing"),
            ("data.missing.deep", "/data/missing/deep"),
            ("data.items[9].name", "/data/items/9/name"),
            ("data.name.upper", "/data/name/upper"),
            ("data.items.name", "/data/items/name"),
            ("data.items.append", "/data/items/append"),
            ("data.keys.values", "/data/keys/values"),
            ("data.name[0]", "/data/name/0"),
            ("data.keys[0]", "/data/keys/0"),
            ("subject", "/subject"),
            ("data.missing | upper", "/data/missing"),
            ("data.missing or 'x'", "/data/missing"),
            ("data.missing is none", "/data/missing"),
            ("data.missing == none", "/data/missing"),
            ("'x' if data.missing else 'y'", "/data/missing"),
            ("data.null | or_else(data.missing)", "/data/missing"),
            ("data['a/b~c']", "/data/a~1b~0c"),
            ("lipsum", "/lipsum"),
            ("range", "/range"),
            ("self", "/self"),
            ("data.__class__", "/data/__class__"),
            ("data.name.__class__.__mro__", "/data/name/__class__/__mro__"),
        ],
    )
    def test_any_other_use_of_a_missing_name_is_refused_at_its_pointer(self, expression: str, where: str) -> None:
        assert refusal_of(expression).where == where


@pytest.mark.parametrize(
    ("expression", "where"),
    [
        *(("data.total > '5'", "/data/total"), ("data.text == 12", "/data/text"), ("data.yes == 1", "/data/yes")),
        *(
            ("data.items == data.tags", None),
            ("data.null < 1", "/data/null"),
            ("'a' in data.total", "/data/total"),
        ),
        *(
            ("data.text + 1", "/data/text"),
            ("data.name * 3", "/data/name"),
            ("data.tags + data.tags", "/data/tags"),
        ),
        *(("data.total / data.zero", None), ("data.total % 0", "/data/total"), ("data.yes + 1", "/data/yes")),
        *(("data.total * 9999999999999999999999", "/data/total"), ("-data.name", "/data/name")),
        *(
            ("data.null", "/data/null"),
            ("data.yes", "/data/yes"),
            ("data.items", "/data/items"),
            ("data.keys", None),
        ),
        *(("data.day | plus(days=1)", None), ("data.text | label('method')", "/data/text")),
        *(("data.null | label('method')", "/data/null"), ("data.items | label('method', 'x')", "/data/items")),
        *(("data.total | local('%d')", "/data/total"), ("data.text | plus(days=data.name)", "/data/text")),
        *(("data.day | plus(days=99999999)", None), ("1 / 3", None)),
    ],
)
def test_what_does_not_go_together_is_refused(expression: str, where: str | None) -> None:
    try:
        found = compile_text("{{ " + expression + " }}", LABELS)
    except BrokenExpression:
        return  # refused even earlier
    with pytest.raises(Refusal) as refused:
        text_of(found.run(NAMES))
    if where is not None and refused.value.where is not None:
        assert refused.value.where == where


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("{% if data.a %}x{% endif %}", "statement"),
        ("{% for a in data %}{{ a }}{% endfor %}", "statement"),
        ("{% set a = 1 %}", "statement"),
        ("{% macro a() %}{% endmacro %}", "statement"),
        ("{% include 'x' %}", "statement"),
        ("{{ data.name.upper() }}", "calls"),
        ("{{ range(9) }}", "calls"),
        ("{{ data.a ** 9 }}", "**"),
        ("{{ {'a': 1} }}", "object"),
        ("{{ data.a if data.b }}", "else"),
        ("{{ data.a[::2] }}", "slice"),
        ("{{ data.a[data.b:] }}", "slice"),
        ("{{ data.a | nope }}", "unknown filter"),
        ("{{ data.a | attr('x') }}", "unknown filter"),
        ("{{ data.a | map('upper') }}", "unknown filter"),
        ("{{ data.a is nope }}", "unknown test"),
        ("{{ data.a is defined(1) }}", "arguments"),
        ("{{ data.a | upper(1) }}", "does not take"),
        ("{{ data.a | shorten }}", "does not take"),
        ("{{ data.a | shorten('x') }}", "constant"),
        ("{{ data.a | shorten(data.n) }}", "constant"),
        ("{{ data.a | shorten(1.5) }}", "constant"),
        ("{{ data.a | shorten(0) }}", "cannot"),
        ("{{ data.a | shorten(3, '...') }}", "cannot"),
        ("{{ data.a | local(data.form) }}", "constant"),
        ("{{ data.a | local('%Q') }}", "cannot"),
        ("{{ data.a | local('%d', 'Mars') }}", "cannot"),
        ("{{ data.a | local('%d', zone='Asia/Tokyo', x=1) }}", "does not take"),
        ("{{ data.a | plus(days=1.5) }}", "cannot"),
        ("{{ data.a | plus(weeks=1) }}", "does not take"),
        ("{{ data.a | round(99) }}", "cannot"),
        ("{{ data.a | replace('', 'x') }}", "cannot"),
        ("{{ data.a | join(item='{} x') }}", "cannot"),
        ("{{ data.a | first(-1) }}", "cannot"),
        ("{{ data.a | label }}", "does not take"),
        ("{{ data.a | label('nope') }}", "not there"),
        ("{{ data.a | label(data.b) }}", "constant"),
        ("{{ data.a | upper(*data.b) }}", "* arguments"),
        ("{{ data.a | upper(**data.b) }}", "* arguments"),
        ("{{ 1e999 }}", "finite"),
        ("{{ 99999999999999999999999999 }}", "large"),
        ("{{ '\\ud800' }}", "surrogate"),
        ("{{", "no expression"),
        ("{{ data. }}", "no expression"),
        ("{{ data.a | }}", "no expression"),
        ("{{ (data.a }}", "no expression"),
        ("{{ 'a }}", "no expression"),
        ("{{ " + "(" * 1500 + " }}", "deep"),
        ("{{ 1" + "+1" * 1500 + " }}", "deep"),
        ("{{ data.a" + "|upper" * 100 + " }}", "deep"),
        ("x" * 5000, "longer"),
    ],
)
def test_nothing_else_is_in_the_language(source: str, word: str) -> None:
    with pytest.raises(BrokenExpression) as broken:
        compile_text(source, LABELS)
    assert word in str(broken.value)


def test_every_fault_of_one_text_is_found_with_its_line() -> None:
    with pytest.raises(BrokenExpression) as broken:
        compile_text("{{ data.a | vdn }}\n{{ data.b() }}\n\n{{ data.c is non }}", LABELS)
    assert [fault.line for fault in broken.value.faults] == [1, 2, 4]
    assert [fault.cure for fault in broken.value.faults][::2] == ["did you mean `vnd`?", "did you mean `none`?"]


def test_a_condition_is_an_expression_without_braces() -> None:
    assert compile_condition("data.total >= 1000000 and data.items[0].qty == 2", LABELS).run(NAMES) is True
    for wrong in ("{{ data.total }}", "data.total data.total", "data.total >=", "", "data.total; 1", "{% if %}"):
        with pytest.raises(BrokenExpression):
            compile_condition(wrong, LABELS)


def test_an_expression_knows_what_it_names() -> None:
    def named(source: str) -> list[str]:
        found: Expression = compile_text(source, LABELS)
        return [pointer(*path) for path in found.paths]

    assert named("{{ data.a.b | default(data.c) }} {{ data.a.b }}") == ["/data/a/b", "/data/c"]
    assert named("{{ data.a | local('%d') }}") == ["/data/a"]
    assert named("{{ 'x' if data.a is defined else data.b[0] }}") == ["/data/a", "/data/b/0"]
    assert compile_text("{{ 1 + 2 }} x", LABELS).is_constant
