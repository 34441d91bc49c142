"""`templates pull` and `templates diff`: the snapshots say what Zalo says, and everybody is told what that changes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.template import read_template
from tests.system.commands import edited, on_terminal, said
from tests.system.snapshots import (
    SHIPPING,
    USED,
    announced,
    file_of,
    files,
    live,
    pull_all,
    rewritten,
    with_copies,
    zalo_that_says,
)
from tests.system.stage import Process, Stage

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One of this module's own: its templates change."""
    process = Process(["simulator", "--port", "0"], tmp_path_factory.mktemp("simulator") / "simulator.log")
    yield process
    process.stop()


@pytest.fixture
def stage(tmp_path: Path, simulator: Process) -> Stage:
    """With copies of the shipped files, and a grant."""
    stage = with_copies(tmp_path, simulator)
    stage.import_grant()
    return stage


@pytest.fixture
def pulled(stage: Stage) -> Stage:
    """With snapshots that are what Zalo says."""
    pull_all(stage)
    return stage


# Pulling


def test_all_that_mappings_use_is_pulled_and_nothing_is_written_twice(stage: Stage) -> None:
    shutil.rmtree(stage.folder / "templates")
    told = said(stage.command("templates", "pull"), 0)
    assert sorted(told.splitlines()) == sorted(f"{template_id}: new" for template_id in USED)
    found = files(stage)
    assert found.keys() == {f"{template_id}.json" for template_id in USED}, "and no temporary file"
    for template_id in USED:
        raw = file_of(stage, template_id).read_bytes()
        read_template(raw)
        assert raw.decode() == json.dumps(live(stage, template_id), ensure_ascii=False, indent=2) + "\n"
    told = said(stage.command("templates", "pull"), 0)
    assert sorted(told.splitlines()) == sorted(f"{template_id}: unchanged" for template_id in USED)
    assert files(stage) == found, "not even touched"
    said(stage.command("check"), 0)


def test_one_is_pulled_and_the_others_stay(stage: Stage) -> None:
    before = files(stage)
    said(stage.command_here("templates", "pull", SHIPPING), 0, f"{SHIPPING}: changed: ", "acceptNull false → true")
    after = files(stage)
    assert [name for name in before if before[name] != after[name]] == [f"{SHIPPING}.json"]


def test_a_template_that_no_mapping_uses_can_be_pulled(stage: Stage) -> None:
    assert said(stage.command_here("templates", "pull", "320004", "320004"), 0) == "320004: new\n"
    assert json.loads(file_of(stage, "320004").read_bytes()) == live(stage, "320004")


def test_what_only_looks_otherwise_is_left_alone(pulled: Stage) -> None:
    document = json.loads(file_of(pulled, SHIPPING).read_text())
    file_of(pulled, SHIPPING).write_text(json.dumps(dict(reversed(document.items()))))
    before = files(pulled)
    assert said(pulled.command_here("templates", "pull", SHIPPING), 0) == f"{SHIPPING}: unchanged\n"
    assert files(pulled) == before


def test_a_snapshot_that_cannot_be_read_is_cured_as_check_says(pulled: Stage) -> None:
    file_of(pulled, SHIPPING).write_text("{")
    said(pulled.command_here("check"), 1, "templates pull")
    said(pulled.command_here("templates", "pull"), 0, f"{SHIPPING}: changed: no readable snapshot")
    said(pulled.command_here("check"), 0)


def test_a_refusal_does_not_stop_the_others(pulled: Stage) -> None:
    file_of(pulled, SHIPPING).unlink()
    done = pulled.command("templates", "pull", "999", SHIPPING)
    told = said(done, 2, "999: Zalo has no such template for account main (-109)", quiet=False)
    assert done.stdout.decode() == f"{SHIPPING}: new\n"
    assert told.count("999") == 1
    assert file_of(pulled, SHIPPING).exists()
    assert not file_of(pulled, "999").exists()


def test_a_mapping_without_a_template_at_zalo_is_named(pulled: Stage) -> None:
    mapping = edited(pulled.folder / "mappings" / "shipping.status.toml", (f'"{SHIPPING}"', '"999"'))
    line = next(n for n, text in enumerate(mapping.read_text().splitlines(), start=1) if text == "[[template]]")
    for command, code in (("pull", 2), ("diff", 1)):
        said(
            pulled.command_here("templates", command),
            code,
            "(-109)",
            f"{mapping}:{line}: uses template 999, which Zalo does not have",
            quiet=False,
        )


def test_a_broken_mapping_stops_no_other(pulled: Stage) -> None:
    mapping = pulled.folder / "mappings" / "shipping.status.toml"
    mapping.write_text("[[template\n")
    edited(pulled.folder / "mappings" / "auth.otp.toml", ("phone =", "fone ="))
    file_of(pulled, "310001").unlink()
    done = pulled.command_here("templates", "pull")
    said(done, 2, f"{mapping}:1: ", "310001: new", quiet=False)
    assert done.stdout.count(b"unchanged") == len(USED) - 2


def test_the_status_of_a_template_is_told(pulled: Stage) -> None:
    event = {"event": "template_status", "template_id": SHIPPING, "new_status": "DISABLE", "reason": "Báo xấu"}
    with announced(pulled, event, {"event": event["event"], "template_id": SHIPPING, "new_status": "ENABLE"}):
        told = said(pulled.command_here("templates", "diff"), 1, "shipping.status.toml:", "DISABLE at Zalo")
        for line in (
            "status ENABLE → DISABLE",
            "reason none → Báo xấu",
            "status DISABLE: Zalo does not send it",
        ):
            assert f"{SHIPPING}: {line}" in told.splitlines()
        said(pulled.command_here("templates", "pull"), 0, "status ENABLE → DISABLE", "Zalo does not send it")
        said(pulled.command_here("templates", "diff"), 0, "status DISABLE: Zalo does not send it")
        said(pulled.command_here("check"), 1, "DISABLE at Zalo")
    said(
        pulled.command_here("templates", "pull", "320001"), 0, "PENDING_REVIEW: goes out in development mode only"
    )


def test_a_quality_is_recorded_and_is_no_change(pulled: Stage) -> None:
    event = {"event": "template_quality", "template_id": SHIPPING, "quality": "LOW"}
    with announced(pulled, event, event | {"quality": "HIGH"}):
        told = said(pulled.command_here("templates", "diff", SHIPPING), 0)
        assert told == f"{SHIPPING}: no difference (templateQuality HIGH → LOW)\n"
        told = said(pulled.command_here("templates", "pull", SHIPPING), 0)
        assert told == f"{SHIPPING}: unchanged (templateQuality HIGH → LOW)\n"
        assert json.loads(file_of(pulled, SHIPPING).read_text())["templateQuality"] == "LOW"


NO_DEFINITIONS = {
    "1": ({"templateId": "310003", "listParams": []}, "another template, 310003"),
    "2": ({"templateId": "2"}, "has no `listParams`"),
    "3": ({"templateId": "3", "listParams": [{"name": "a"}, {"name": "a"}]}, "twice"),
    "4": ({"templateId": "4", "listParams": [{"name": "\ud800"}]}, "cannot be written"),
    "5": ([], "not what Zalo's API gives"),
    "6": (b"<html>", "not what Zalo's API gives"),
    "7": (b'{"error":0,"data":{"listParams":[]},"data":{}}', "not what Zalo's API gives"),
    "8": (b'{"error":-120,"message":"x"}', "refuses to tell: the Official Account lacks the permission"),
}


def test_what_is_no_definition_of_the_template_is_never_written(pulled: Stage) -> None:
    before = files(pulled)
    bodies = {template_id: body for template_id, (body, _) in NO_DEFINITIONS.items()}
    bodies["9"] = {"templateId": 9, "listParams": []}
    raw = {
        template_id: body if isinstance(body, bytes) else json.dumps({"error": 0, "data": body}).encode()
        for template_id, body in bodies.items()
    }
    with zalo_that_says(pulled, raw) as asked:
        done = pulled.command_here("templates", "pull", *raw)
        told = said(done, 2, quiet=False).splitlines()
        assert asked == list(raw)
        said(pulled.command_here("templates", "diff", "8"), 2, "(-120)")
    assert told.pop(0) == "9: new", "an id may be a number"
    for line, (template_id, (_, word)) in zip(told, NO_DEFINITIONS.items(), strict=True):
        assert line.startswith(f"{template_id}: ")
        assert word in line
    after = files(pulled)
    assert after.pop("9.json")[0] == b'{\n  "templateId": 9,\n  "listParams": []\n}\n'
    assert after == before


# Telling


def test_differences_are_told_in_words_and_nothing_is_written(pulled: Stage) -> None:
    params = json.loads(file_of(pulled, SHIPPING).read_text())["listParams"]
    params[0]["maxLength"] = 99
    rewritten(pulled, SHIPPING, listParams=[*params[:-1], {"name": "voucher", "require": True}])
    file_of(pulled, "310003").unlink()
    before = files(pulled)
    told = said(pulled.command_here("templates", "diff"), 1).splitlines()
    assert [line for line in told if not line.endswith("no difference")] == [
        "310003: no snapshot yet",
        f"{SHIPPING}: customer_name: maxLength 99 → 30",
        f"{SHIPPING}: new parameter shipper_name (optional)",
        f"{SHIPPING}: parameter voucher is gone",
    ]
    assert files(pulled) == before
    assert said(pulled.command_here("templates", "diff", "310001"), 0) == "310001: no difference\n"


def test_mappings_that_a_pull_would_break_are_named_with_their_lines(pulled: Stage) -> None:
    mapping = pulled.folder / "mappings" / "shipping.status.toml"
    text = mapping.read_text()
    line = next(n for n, it in enumerate(text.splitlines(), start=1) if it.startswith("order_id ="))
    edited(mapping, ("order_id =", "order_number ="))
    params = json.loads(file_of(pulled, SHIPPING).read_text())["listParams"]
    for param in params:
        param["name"] = param["name"].replace("order_id", "order_number")
    rewritten(pulled, SHIPPING, listParams=params)
    told = json.loads(pulled.command_here("templates", "diff", "--json").stdout)
    assert [(it["file"], it["line"]) for it in told["breaks"]] == [(str(mapping), line)]
    assert "order_number" in told["breaks"][0]["what"]
    said(pulled.command_here("templates", "pull"), 0, f"{mapping}:{line}: ", "check finds")
    mapping.write_text(text)
    said(pulled.command_here("templates", "diff"), 0)


def test_a_sample_that_a_shorter_parameter_breaks_is_named(pulled: Stage) -> None:
    shown = live(pulled, SHIPPING)
    shown["listParams"][0]["maxLength"] = 2
    with zalo_that_says(pulled, {SHIPPING: json.dumps({"error": 0, "data": shown}).encode()}):
        told = json.loads(pulled.command_here("templates", "diff", SHIPPING, "--json").stdout)
    assert told["templates"][0]["changes"] == ["customer_name: maxLength 30 → 2"]
    mapping = pulled.folder / "mappings" / "shipping.status.toml"
    assert {it["file"] for it in told["breaks"]} == {str(mapping)}
    assert "takes at most 2" in told["breaks"][0]["what"]


def test_faults_that_are_there_anyway_are_not_told(pulled: Stage) -> None:
    edited(pulled.folder / "mappings" / "order.paid.toml", ("data.total | vnd", "data.total | vdn"))
    rewritten(pulled, SHIPPING, templateName="Tên cũ")
    told = said(pulled.command_here("templates", "diff"), 1, f"{SHIPPING}: templateName Tên cũ → Shipping status")
    assert "vdn" not in told


def test_json_is_all_that_is_printed(pulled: Stage) -> None:
    rewritten(pulled, SHIPPING, timeout=15000)
    for command in ("diff", "pull"):
        done = pulled.command_here("templates", command, SHIPPING, "--json")
        assert (done.returncode, done.stderr) == (1 if command == "diff" else 0, b"")
        told = json.loads(done.stdout)
        assert told["troubles"] == []
        assert told["templates"][0] == {
            "template_id": SHIPPING,
            "account": "main",
            "outcome": "changed",
            "changes": ["timeout 15000 → 7200000"],
            "passing": [],
            "status": "ENABLE",
            "is_written": command == "pull",
            "detail": None,
            "error": None,
        }
    done = pulled.command_here("templates", "pull", "999", "--json")
    assert (done.returncode, done.stderr) == (2, b"")
    (line,) = json.loads(done.stdout)["templates"]
    assert (line["outcome"], line["error"], line["is_written"]) == ("gone", -109, False)


def test_on_a_terminal_lines_fit(stage: Stage) -> None:
    for command in ("diff", "pull"):
        shown = on_terminal("--config", str(stage.config), "templates", command)
        assert shown.code == (1 if command == "diff" else 0)
        assert all(len(line) <= 80 for line in shown.lines), shown
