"""The state diagram of docs/statuses.md, made from the table: `python -m tests.house.diagram` writes it anew."""

import re
from pathlib import Path

from gateway.core.delivery import NEXT, Fact, Special, State

PAGE = Path(__file__).parent.parent.parent / "docs" / "statuses.md"
_BLOCK = re.compile(r"```mermaid\n.*?```", re.DOTALL)
_LEADS_TO = {
    Special.MAYBE_AGAIN: (State.UNKNOWN, State.QUEUED_AGAIN),
    Special.FAILED_IF_ALONE: (State.FAILED,),
    Special.QUEUED_IF_ALONE: (State.QUEUED,),
    Special.BACK: (State.UNKNOWN, State.UNDELIVERED),
}


def diagram() -> str:
    """Every way from one status to another, with the facts that lead there."""
    ways: dict[tuple[State, State], list[str]] = {}
    for state, row in NEXT.items():
        for fact in Fact:
            cell = row[fact]
            for target in (cell,) if isinstance(cell, State) else _LEADS_TO.get(cell, ()):
                ways.setdefault((state, target), []).append(fact.value)
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{_title(state)}" as {_name(state)}' for state in NEXT if "again" in state]
    lines += ["    [*] --> queued", "    [*] --> sending", "    [*] --> skipped"]
    lines += [f"    {_name(start)} --> {_name(end)}: {', '.join(facts)}" for (start, end), facts in ways.items()]
    return "\n".join([*lines, "```"])


def page_with_diagram(text: str) -> str:
    """The page with the diagram as it is now."""
    return _BLOCK.sub(lambda _: diagram(), text)


def _name(state: State) -> str:
    return state.value.replace("-", "_")


def _title(state: State) -> str:
    return state.value.replace("-", " ")


if __name__ == "__main__":
    PAGE.write_text(page_with_diagram(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
