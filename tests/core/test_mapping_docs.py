"""Every example of docs/mappings.md is what the language does, and every part of the language is on that page."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from gateway.core.choices import TESTS, Table
from gateway.core.event import read_event
from gateway.core.grammar import compile_condition, compile_text
from gateway.core.mapping import Filled, compile_mappings, fill
from gateway.core.moments import DIRECTIVES
from gateway.core.transforms import FILTERS
from gateway.core.values import Refusal, nfc, text_of

PAGE = (Path(__file__).parents[2] / "docs/mappings.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
MAPPING = next(text for kind, text in BLOCKS if kind == "toml")
EVENT = read_event(
    json.loads(next(text for kind, text in BLOCKS if kind == "json")), default_source="/", needs_specversion=False
)
LABELS = {"payment_method": Table(tomllib.loads(MAPPING)["labels"]["payment_method"])}
TABLES = re.findall(r"^\| Expression \| Goes out as \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
ROWS = [
    (expression.replace("\\|", "|"), outcome.replace("\\|", "|"))
    for expression, outcome in re.findall(r"^\| `(.+)` \| ((?:refused: )?`.*`) \|$", "".join(TABLES), re.MULTILINE)
]


def outcome_of(expression: str) -> str:
    try:
        return f"`{nfc(text_of(compile_text('{{ ' + expression + ' }}', LABELS).run(EVENT.names())))}`"
    except Refusal as refused:
        where = refused.where or compile_text("{{ " + expression + " }}", LABELS).pointer
        return f"refused: `{where}`"


@pytest.mark.parametrize(("expression", "outcome"), ROWS)
def test_an_example_goes_out_as_the_page_says(expression: str, outcome: str) -> None:
    assert outcome_of(expression) == outcome


def test_the_whole_mapping_makes_the_message_that_the_page_tells_of() -> None:
    known = compile_mappings({"order.paid.toml": MAPPING.encode()}, templates={}, accounts=["main"])
    made = fill(known.mappings["order.paid"], EVENT)
    assert isinstance(made, Filled)
    assert made.phone == "84912345678"
    said = PAGE.replace("\n", " ")
    for name, text in made.template_data.items():
        assert name in ("order_id", "payment_method") or f"`{name}` *{text}*" in said


def test_the_recipes_are_keys_of_a_mapping() -> None:
    recipes = [tomllib.loads(text) for kind, text in BLOCKS if kind == "toml"][1:]
    assert len(recipes) == 3
    for recipe in recipes:
        for key, source in recipe.items():
            (compile_condition if key == "when" else compile_text)(source, {"state": Table(a="A")})


def test_every_filter_test_and_directive_is_on_the_page_with_an_example() -> None:
    assert len(ROWS) == "".join(TABLES).count("\n") > 80
    told = set(re.findall(r"`([a-z_]+)(?:\([^`]*\))?`(?=[^|\n]*\|)", PAGE.split("## Filters")[1]))
    assert set(FILTERS) <= told
    used = set(re.findall(r"\| ([a-z_]+)", "\n".join(expression for expression, _ in ROWS)))
    assert set(FILTERS) <= used
    assert all(f"`{name}`" in PAGE for name in TESTS)
    assert all(directive in PAGE for directive in DIRECTIVES)
