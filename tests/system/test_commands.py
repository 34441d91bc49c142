"""Every command as a user would run it: what it prints, how it ends, and what it says when it cannot."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system.stage import ROOT, Process, Stage, order

pytestmark = pytest.mark.system

Done = subprocess.CompletedProcess[bytes]


def run(*arguments: str, given: bytes | None = None, folder: Path = ROOT, **environment: str) -> Done:
    """The command has ended; of the environment it saw only these variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        input=given,
        capture_output=True,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        check=False,
        timeout=60,
    )


def said(done: Done, code: int, *words: str, quiet: bool = True) -> str:
    """What a command said that ended with this code, in all these words and without a traceback."""
    both = (done.stdout + done.stderr).decode()
    assert done.returncode == code, both
    assert all(word in both for word in words), both
    assert "Traceback" not in both
    assert not (quiet and code == 2 and done.stdout), "what cannot be done is told on standard error alone"
    return both


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped configuration, to be broken."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path / "config" / "gateway.toml"


def edited(file: Path, *changes: tuple[str, str]) -> Path:
    text = file.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text)
    return file


def test_help_and_version_tell_what_there_is() -> None:
    told = said(run("--help"), 0)
    for command in ("serve", "simulator", "demo", "check", "preview", "key", "token", "messages", "openapi"):
        assert re.search(rf"^  {command} ", told, re.MULTILINE), command
    said(run("--version"), 0, "zns-gateway")
    said(run("chekc"), 2, "No such command")


@pytest.mark.parametrize("arguments", [["--config", "nowhere.toml", "check"], ["check", "--config", "nowhere.toml"]])
def test_a_configuration_that_is_not_there_is_named(arguments: list[str]) -> None:
    said(run(*arguments), 2, "nowhere.toml", "--config")


def test_the_configuration_may_be_named_by_the_environment() -> None:
    said(run("check", GATEWAY_CONFIG="elsewhere.toml"), 2, "elsewhere.toml")


def test_check_finds_nothing_wrong_with_what_is_shipped_and_needs_no_secret() -> None:
    told = said(run("check"), 0, "no faults", "GATEWAY_KEY")
    assert "note: config/gateway.toml:" in told


def test_check_prints_every_fault_of_every_file_at_once_with_its_line_and_cure(config: Path) -> None:
    edited(config, ('wait = "10s"', 'wait = "10x"'), ("max_batch = 1000", "max_bach = 1000"))
    beside = config.parent
    edited(beside / "mappings" / "order.paid.toml", ("data.total | vnd", "data.total | vdn"))
    (beside / "templates" / "310001.json").write_text("{")
    sample = next((beside / "samples" / "shipping.status").glob("*.json"))
    edited(sample, ('"expect"', '"expects"'))
    shutil.rmtree(beside / "samples" / "payment.request")
    done = run("--config", str(config), "check")
    told = said(done, 1)
    for file, word in (
        (config, "10x"),
        (config, "did you mean `max_batch`?"),
        (beside / "mappings" / "order.paid.toml", "did you mean `vnd`?"),
        (beside / "templates" / "310001.json", "templates pull"),
        (sample, "expect"),
        (beside / "mappings" / "payment.request.toml", "sample"),
    ):
        hits = [line for line in told.splitlines() if re.match(rf"{re.escape(str(file))}:\d+: ", line)]
        assert hits or word == "10x", (file, told)
        if word != "10x":
            assert any(word in line for line in hits), (word, hits)
    assert re.search(r":\d+: `server.wait` cannot be understood, write a duration", told)
    assert done.stdout.decode().count("\n") >= 6, "faults are what check prints"


def test_serve_refuses_broken_mappings_and_prints_their_faults(config: Path) -> None:
    edited(config.parent / "mappings" / "order.paid.toml", ("data.total | vnd", "data.total | vdn"))
    said(run("--config", str(config), "serve", "--simulator", folder=config.parent), 2, "order.paid.toml:", "`vnd`")


def test_serve_names_every_variable_that_is_not_set(config: Path) -> None:
    told = said(run("--config", str(config), "serve"), 2)
    for variable in ("GATEWAY_KEY", "ZALO_APP_ID", "ZALO_APP_SECRET", "ZALO_OA_SECRET", "CHECKOUT_KEY_SHA256"):
        assert f"export {variable}" in told


def test_preview_prints_the_very_body_that_zalo_gets(scene: Stage, gateway: Process) -> None:
    file = scene.folder / "event.json"
    file.write_text(json.dumps(order("c-1")))
    done = scene.command("preview", str(file), "--reveal")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    answer = gateway.post(order("c-1"))
    (taken,) = scene.sent(answer.body["tracking_id"])
    assert list(body) == ["phone", "template_id", "template_data", "tracking_id"]
    assert (body["phone"], body["template_id"]) == (taken["phone"], taken["template_id"])
    assert body["tracking_id"] == taken["tracking_id"]


def test_preview_in_a_pipe_masks_the_phone_and_what_is_secret() -> None:
    body = json.loads(run("preview", "config/samples/auth.otp/plain.json").stdout)
    assert re.fullmatch(r"84\*{5}\d{4}", body["phone"])
    assert body["template_data"] == {"otp": "*****"}
    shown = json.loads(run("preview", "config/samples/auth.otp/plain.json", "--reveal").stdout)
    assert re.fullmatch(r"84\d{9}", shown["phone"])
    assert shown["template_data"]["otp"].isdigit()


def test_preview_tells_what_cannot_be_filled_and_shows_the_rest() -> None:
    event = order("c-2", phone="12")
    del event["data"]["total"]
    done = run("preview", "-", given=json.dumps(event).encode())
    said(done, 1, "order.paid.toml:", "mapping-failed: /data/total", "invalid-phone: /data/customer/phone", "DH-1001")
    assert done.stdout == b"", "what is no body of a request is not on standard output"


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        ({"id": "1", "type": "shipping.status", "data": {"status": "sorting"}}, 0, "skipped"),
        ({"id": "1", "type": "order.payd", "data": {}}, 2, "order.paid"),
        ({"type": "order.paid", "data": {}}, 2, "/id"),
        ([], 2, "object"),
    ],
)
def test_preview_says_why_there_is_nothing_to_send(given: Any, code: int, word: str) -> None:
    said(run("preview", "-", given=json.dumps(given).encode()), code, word)


def test_preview_of_a_caller_that_is_not_there_names_those_that_are() -> None:
    said(run("preview", "config/samples/auth.otp/plain.json", "--caller", "nobody"), 2, "checkout", "platform")


def test_a_new_key_is_printed_once_with_the_digest_of_its_bytes() -> None:
    told = said(run("key", "new", "checkout"), 0, "[callers.checkout]")
    key = re.search(r"^  (zns_\S+)$", told, re.MULTILINE)
    digest = re.search(r'key_sha256 = \["([0-9a-f]{64})"\]', told)
    assert key is not None
    assert digest is not None
    assert digest[1] == hashlib.sha256(key[1].encode()).hexdigest()
    assert told.count(key[1]) == 1
    assert said(run("key", "new", "checkout"), 0) != told
    said(run("key", "new", "a b"), 2, "name")
    said(run("key", "new", "team.checkout"), 0, '[callers."team.checkout"]')


def test_openapi_prints_the_committed_document() -> None:
    assert run("openapi").stdout.decode() == (ROOT / "openapi" / "gateway.yaml").read_text()
    assert json.loads(run("openapi", "--json").stdout) == yaml.safe_load(run("openapi").stdout)


def test_messages_are_listed_and_shown_beside_a_running_gateway(scene: Stage, gateway: Process) -> None:
    sent = gateway.post(order("c-[red]3[/]")).body
    refused = gateway.post(order("c-4", scene.phones["error:-118"])).body["message"]
    listed = json.loads(scene.command("messages", "list", "--json").stdout)
    assert [item["tracking_id"] for item in listed["items"]][:2] == [refused["tracking_id"], sent["tracking_id"]]
    table = scene.command("messages", "list", "--status", "failed").stdout.decode()
    assert refused["tracking_id"] in table
    assert sent["tracking_id"] not in table
    shown = scene.command("messages", "show", sent["tracking_id"]).stdout.decode()
    assert "c-[red]3[/]" in shown, "what others write is never markup"
    assert "stored" in shown
    told = json.loads(scene.command("messages", "show", sent["tracking_id"], "--json").stdout)
    assert told == gateway.message(sent["tracking_id"])


def test_messages_say_what_they_cannot_do(scene: Stage, gateway: Process) -> None:
    said(scene.command("messages", "show", "nothing"), 2, "no message nothing")
    said(scene.command("messages", "list", "--status", "gone"), 2, "status")
    said(scene.command("messages", "list", "--cursor", "x"), 2, "cursor")
    said(scene.command("messages", "list", "--phone", "12"), 2, "phone")
    said(scene.command("messages", "list", "--limit", "0"), 2, "limit")


def test_messages_tell_what_a_paused_account_makes_them_wait_for(stage: Stage) -> None:
    with stage.serving(has_grant=False) as gateway:
        tracking_id = gateway.post(order("c-5")).body["tracking_id"]
        told = json.loads(stage.command("messages", "show", tracking_id, "--json").stdout)
        assert told == gateway.message(tracking_id)
        assert told["reason"] == "credentials"


def test_looking_makes_no_store(stage: Stage) -> None:
    said(stage.command("messages", "list"), 2, "no store")
    assert not (stage.folder / "gateway.db").exists()


def test_serve_on_a_taken_port_says_so_and_begins_nothing(scene: Stage, gateway: Process, stage: Stage) -> None:
    port = gateway.url.rpartition(":")[2]
    stage.config.write_text(stage.config.read_text().replace("port = 0", f"port = {port}"))
    said(stage.command("serve"), 2, f"127.0.0.1:{port}", "choose another port")


Change = Callable[[str], str]
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: re.sub(r"sqlite://\S+", 'redis://localhost/0"', text), ["redis", "SQLite", "gateway.toml:"]),
        (lambda text: re.sub(r"sqlite://\S+", 'mysql://localhost/0"', text), ["store.url", "sqlite:///", "gateway.toml:"]),
        (lambda text: re.sub(r"sqlite://\S+", 'sqlite:////proc/none/x.db"', text), ["/proc/none"]),
        (lambda text: re.sub(r"keys = \[.*\]", 'keys = ["short"]', text), ["secrets.keys", "32 bytes", "gateway.toml:"]),
        (lambda text: text.replace("[accounts.main]", "[acounts.main]"), ["did you mean `accounts`?"]),
    ],
)
def test_serve_says_why_it_cannot_start(stage: Stage, change: Change, words: list[str]) -> None:
    stage.config.write_text(change(stage.config.read_text()))
    said(stage.command("serve"), 2, *words)


def test_a_store_is_opened_only_with_its_key_and_only_by_its_own_kind(stage: Stage) -> None:
    stage.import_grant()
    text = stage.config.read_text()
    stage.config.write_text(re.sub(r"keys = \[.*\]", f'keys = ["{OTHER_KEY}"]', text))
    said(stage.command("serve"), 2, "secrets.keys", "put the key back")
    url = stage.simulator.url
    stage.config.write_text(text.replace(url, "https://zalo.invalid"))
    said(stage.command("serve"), 2, "simulated", "live")


def test_a_simulated_store_opens_for_every_command_whatever_is_set(config: Path) -> None:
    edited(config, ("port = 8080", "port = 0"))
    folder = config.parent
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--config", str(config), "serve", "--simulator"],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_KEY": OTHER_KEY},
        )
    assert process.stdout is not None
    try:
        lines = []
        while not (line := process.stdout.readline().decode()).startswith("listening on http://"):
            assert line, (folder / "log").read_text()
            lines.append(line)
        assert any(line.startswith("simulator on http://") for line in lines)
        assert any("Bearer simulator-checkout" in line for line in lines)
        for environment in ({}, {"GATEWAY_KEY": OTHER_KEY}):
            said(run("--config", str(config), "messages", "list", folder=folder, **environment), 0, "no such messages")
            said(run("--config", str(config), "token", "status", folder=folder, **environment), 0, "working")
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def test_demo_shows_what_becomes_of_events_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run("--config", str(ROOT / "config" / "gateway.toml"), "demo", folder=tmp_path)
    told = said(done, 0, "recipient-not-on-zalo", "skipped", "Idempotency-Replayed: true", "Everything went as it should")
    assert "delivered" in told
    assert list(tmp_path.iterdir()) == []
