"""The docs say what the code does, and the tree keeps its own rules."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from click import Context

from gateway.cli import cli
from gateway.config import load
from gateway.core.delivery import Fact, Reason
from gateway.core.view import Status
from gateway.zalo import codes
from tests.house.diagram import PAGE, page_with_diagram

ROOT = Path(__file__).parent.parent.parent
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
]
PAGES = [path for path in TRACKED if path.suffix == ".md"]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def test_the_diagram_is_that_of_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_diagram(text) == text, "python -m tests.house.diagram writes it anew"


def headings(name: str) -> dict[str, str]:
    """What the page says under each heading that is a code."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    found = re.findall(r"^### `?([a-z-]+)`?[^\n]*\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    return dict(found)


def codes_in_the_source() -> Iterator[str]:
    """Every literal that is given as a `code`: of an exception's class, or of an error that a message has."""
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Assign(targets=[ast.Name("code")], value=ast.Constant(str(code))):
                    yield code
                case ast.keyword("code", ast.Constant(str(code))):
                    yield code
                case _:
                    pass


def test_every_code_is_on_a_page_of_errors_with_what_to_do_and_what_it_costs() -> None:
    told = headings("zalo-errors.md") | headings("errors.md")
    known = {
        *codes_in_the_source(),
        *(code.code for code in codes.TABLE.values()),
        *codes.OUR_WORDS,
        "unrecognised",
        *("expired", "cancelled"),  # the codes of the problems, as the statuses are called
    }
    assert known - told.keys() == set()
    assert told.keys() - known == set()
    assert [code for code, text in told.items() if not re.search(r"^- \*\*You\*\*: \w", text, re.MULTILINE)] == []
    assert [
        code for code, text in told.items() if not re.search(r"^- \*\*Costs\*\*: \w", text, re.MULTILINE)
    ] == []


def test_every_status_reason_and_fact_is_on_the_page_of_statuses() -> None:
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)
    named = [
        set(re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"^\|([^|]*)\|", part, re.MULTILINE))))
        for part in parts
    ]
    facts = {*Fact, "stored", "settle", "silence-unexplained", "unsettled"}
    assert (named[0], named[1], named[-1]) == (set(get_args(Status)), set(Reason), facts)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("adr", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda path: path.stem)
def test_an_adr_is_short_and_whole(adr: Path) -> None:
    text = adr.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    parts = ("Status", "Context", "Decision", "Consequences", "Refused")
    assert [part for part in parts if f"**{part}.**" not in text and f"## {part}" not in text] == []


def test_every_command_is_in_the_readme_or_the_docs() -> None:
    told = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in cli.list_commands(Context(cli)) if f"{name}" not in told] == []


def test_the_shipped_configuration_shows_every_key_with_its_default() -> None:
    from gateway.config import Account, Caller, Delivery, Server, Store, Zalo

    text = (ROOT / "config" / "gateway.toml").read_text(encoding="utf-8")
    for kind in (Server, Store, Zalo, Delivery, Account, Caller):
        for name in kind.__struct_fields__:
            assert re.search(rf"^(# )?{name} = ", text, re.MULTILINE), f"{kind.__name__}.{name} is not shown"
    settings = load(ROOT / "config" / "gateway.toml", may_be_unset=True).settings
    for name, kind in (("server", Server), ("store", Store), ("zalo", Zalo), ("delivery", Delivery)):
        assert getattr(settings, name) == kind(), f"[{name}] shows another value than the default"


def test_no_address_of_a_registry_and_no_path_of_a_machine() -> None:
    # Put together here, so that this file does not hold what it looks for.
    hosts = [
        "pypi" + ".org",
        "python" + "hosted",
        "deb." + "debian",
        "registry." + "npm",
        "/wo" + "rk/",
        "/ro" + "ot/",
    ]
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in TRACKED
        if path.is_file()
        for host in hosts
        if host.encode() in path.read_bytes()
    ]
    assert found == []


def test_no_room_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "services", "service", "managers", "manager"}
    assert [path for path in TRACKED if path.suffix == ".py" and path.stem in empty] == []
