import ast
import re
from pathlib import Path

import gateway.simulator
from gateway.simulator import control, faults, phones, rules, webhooks
from gateway.simulator.catalogue import SPECIAL_NOTES, catalogue
from gateway.simulator.ledger import KEPT
from gateway.simulator.routes import endpoints

from .stage import Scene

ROOM = Path(gateway.simulator.__file__).parent
MANUAL = (ROOM.parent.parent / "docs" / "simulator.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, str]:
    """The first two cells of each row of the table under a heading of the manual."""
    section = MANUAL.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1] for row in cells}


def test_nothing_of_the_rest_of_the_gateway_is_imported() -> None:
    for file in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("gateway") or name.startswith("gateway.simulator"), (file, name)
                assert not name.startswith("uvicorn"), file


def test_the_manual_lists_every_fixed_number() -> None:
    assert rows("Numbers with a fixed fate") == {phone: f"`{plan.name}`" for phone, plan in phones.PHONES.items()}


def test_the_manual_says_what_each_outcome_is() -> None:
    assert rows("Outcomes") == {str(fate): meaning for fate, meaning in phones.MEANINGS.items()}


def test_the_manual_lists_every_template() -> None:
    assert rows("Templates") == {each.template_id: f"{each.name}" for each in catalogue().values()}
    for note in SPECIAL_NOTES.values():
        assert note in MANUAL


def test_the_manual_lists_every_rule_with_its_default() -> None:
    defaults = rules.Rules()
    assert set(rules.MEANINGS) == set(defaults.__struct_fields__)
    assert set(rows("Rules")) == set(rules.MEANINGS)
    for meaning in rules.MEANINGS.values():
        assert meaning in MANUAL


def test_the_manual_lists_every_call(scene: Scene) -> None:
    for path in endpoints(scene.zalo):
        assert f"`{path}`" in MANUAL or re.search(rf"`(GET|POST|DELETE|GET, POST) {path}`", MANUAL), path
    for path, by_method in control.CALLS.items():
        for method in by_method:
            assert f"`{method} {path}`" in MANUAL, (method, path)


def test_the_manual_names_every_fault_and_number() -> None:
    for do in (*faults.OF_ANSWERS, *faults.OF_WEBHOOKS):
        assert f"`{do}`" in MANUAL
    assert f"{KEPT:,}" in MANUAL
    assert "30 s, 5, 15, 30 min, 1 h" in MANUAL
    assert webhooks.LADDER_S == (30, 300, 900, 1800, 3600)
