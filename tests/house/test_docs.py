"""The docs say what the code does, and the tree keeps its own rules."""

import re
import subprocess
from pathlib import Path

import pytest
from click import Context

from gateway.cli import cli
from gateway.config import load
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
