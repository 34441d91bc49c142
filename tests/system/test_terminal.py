"""What a person sees: tables that fit, faults that can be clicked on, colours where they belong; and in a pipe all of it."""

import json
import re
from pathlib import Path

import pytest

from tests.system.commands import edited, on_terminal, run
from tests.system.stage import Process, Stage, eventually, order

pytestmark = pytest.mark.system

ID = re.compile(r"\b[0-9a-z]{26}\b")


@pytest.fixture(scope="module")
def ids(scene: Stage, gateway: Process) -> list[str]:
    """Three messages of one caller, newest first: a skipped one, a refused one, a delivered one."""
    delivered = gateway.post(order("term-1", scene.phones["delivered"])).body["tracking_id"]
    refused = gateway.post(order("term-2", scene.phones["error:-118"])).message["tracking_id"]
    data = {"status": "sorting", "order_id": "1", "recipient": {"name": "An", "phone": "0912345678"}}
    skipped = gateway.post({"id": "term-3", "type": "shipping.status", "data": data}).body["tracking_id"]
    eventually(lambda: gateway.message(delivered)["status"] == "delivered")
    return [skipped, refused, delivered]


@pytest.mark.parametrize("columns", [50, 60, 80, 120, 200])
def test_a_list_fits_the_terminal_one_line_a_message_and_its_id_is_whole(
    scene: Stage, ids: list[str], columns: int
) -> None:
    shown = on_terminal("--config", str(scene.config), "messages", "list", columns=columns)
    heading, *rows = shown.lines[: 1 + len(ids)]
    assert shown.code == 0
    assert [ID.findall(row) for row in rows] == [[each] for each in ids]
    assert all(len(line) <= columns for line in [heading, *rows]), shown
    assert ("status" in heading, "recipient-not-on-zalo" in rows[1]) == (True, columns >= 80)
    assert ("phone" in heading) == (columns >= 120)
    assert "caller" not in heading, "there is one"
    left_out = next((line for line in shown.lines if line.startswith("cut or left out: ")), "")
    assert ("phone" in left_out) == (columns < 120)


def test_in_a_pipe_a_list_is_whole_and_plain(scene: Stage, ids: list[str]) -> None:
    told = scene.command("messages", "list").stdout.decode()
    heading, *rows = told.splitlines()
    assert heading.split() == ["accepted", "status", "type", "caller", "phone", "tracking_id", "error"]
    assert [ID.findall(row) for row in rows] == [[each] for each in ids]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z  ", row) for row in rows)
    assert "…" not in told
    assert "\x1b" not in told


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_message_and_the_grants_fit_the_terminal(scene: Stage, ids: list[str], columns: int) -> None:
    shown = on_terminal("--config", str(scene.config), "messages", "show", ids[1], columns=columns)
    assert all(len(line) <= columns for line in shown.lines), shown
    assert columns < 80 or any(
        re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}Z +refused +failed +1 +recipient-not-on-zalo.*", line)
        for line in shown.lines
    )
    assert any(line.split() == ["advice", "use", "another", "channel"] for line in shown.lines)
    grants = on_terminal("--config", str(scene.config), "token", "status", columns=columns)
    assert all(len(line) <= columns for line in grants.lines), grants
    assert ("last refreshed" in grants.lines[0]) == (columns >= 80)
    assert (" (in " in grants.lines[1]) == (columns >= 120)


def test_three_mistakes_are_told_with_places_that_can_be_clicked_on(config: Path) -> None:
    edited(
        config.parent / "mappings/order.paid.toml", ("data.total | vnd", "data.total | vdn"), ('"main"', '"mian"')
    )
    edited(config.parent / "samples/bill.issued/large.json", ('"1.250 m³"', '"1250 m³"'))
    shown = on_terminal("--config", "config/gateway.toml", "check", folder=config.parent.parent)
    assert shown.code == 1
    assert [line.split(" ")[0] for line in shown.lines if not line.startswith(" ")] == [
        "config/mappings/order.paid.toml:3:",
        "config/mappings/order.paid.toml:19:",
        "config/samples/bill.issued/large.json:31:",
        "3",
    ]
    assert shown.lines[-1] == "3 faults in 2 files"
    assert all(len(line) <= 80 for line in shown.lines)
    piped = run("--config", "config/gateway.toml", "check", folder=config.parent.parent)
    assert " ".join(" ".join(shown.lines[:-1]).split()) == " ".join(piped.stdout.decode().split())


def test_colours_are_for_a_terminal_that_wants_them() -> None:
    assert "\x1b[" in on_terminal("check")
    assert "\x1b" not in on_terminal("check", environment={"NO_COLOR": "1"})
    assert "\x1b" not in on_terminal("check", environment={"TERM": "dumb"})
    assert b"\x1b" not in run("check").stdout


def test_json_is_the_same_on_a_terminal(scene: Stage, ids: list[str]) -> None:
    for command in (
        ["messages", "list", "--json"],
        ["messages", "show", ids[0], "--json"],
        ["token", "status", "--json"],
    ):
        shown = on_terminal("--config", str(scene.config), *command, columns=40)
        assert json.loads(shown) == json.loads(scene.command(*command).stdout)


@pytest.mark.parametrize(
    ("command", "seen"),
    [(["token", "import", "main"], b"Ctrl-D"), (["preview", "-"], b"Ctrl-D"), (["demo"], b"listening")],
)
def test_ctrl_c_ends_a_command_in_a_word(scene: Stage, command: list[str], seen: bytes) -> None:
    shown = on_terminal("--config", str(scene.config), *command, interrupt_at=seen)
    assert shown.code == 130
    assert shown.lines[-1] == "interrupted"
    assert "Traceback" not in shown
