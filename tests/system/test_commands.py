"""Every command as a user would run it: what it prints, how it ends, and what it says when it cannot."""

import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from gateway.cli import cli
from tests.system.commands import edited, run, said
from tests.system.stage import ROOT, Process, Stage, order

pytestmark = pytest.mark.system


def paths(command: click.Command, context: click.Context, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names that lead to each command and group."""
    yield path
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from paths(found, click.Context(found, context, name), (*path, name))


def parsed(line: str) -> tuple[str, ...]:
    """The names of the commands in the line, all of whose words click has accepted."""
    words = shlex.split(line, comments=True)
    end = next((place for place, word in enumerate(words) if word in ("|", "<", ">")), len(words))
    context = cli.make_context(words[0], words[1:end])
    names: list[str] = []
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, arguments = context.command.resolve_command(context, rest)
        assert name is not None
        assert command is not None
        context = command.make_context(name, arguments, parent=context)
        names.append(name)
    return tuple(names)


ALL = list(paths(cli, click.Context(cli, info_name="zns-gateway")))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_help_of_every_command_ends_with_examples_that_work(path: tuple[str, ...]) -> None:
    told = CliRunner().invoke(cli, [*path, "--help"], prog_name="zns-gateway")
    assert told.exit_code == 0
    _, found, examples = told.output.rpartition("Examples:\n")
    assert found, told.output
    for line in filter(None, map(str.strip, examples.splitlines())):
        assert line.startswith("zns-gateway "), line
        assert parsed(line)[: len(path)] == path, line


def test_help_and_version_tell_what_there_is() -> None:
    told = said(run("--help"), 0)
    for group, *commands in filter(None, ALL):
        assert re.search(rf"^  {group} ", told, re.MULTILINE), group
        for command in commands:
            assert re.search(rf"^  {group} .*: (.*, )?{command}[,.]", told, re.MULTILINE), (group, command)
    said(run("--version"), 0, "zns-gateway")
    said(run("chekc"), 2, "No such command")


@pytest.mark.parametrize(
    "arguments", [["--config", "nowhere.toml", "check"], ["check", "--config", "nowhere.toml"]]
)
def test_a_configuration_that_is_not_there_is_named(arguments: list[str]) -> None:
    said(run(*arguments), 2, "nowhere.toml", "--config")


def test_the_configuration_may_be_named_by_the_environment() -> None:
    said(run("check", environment={"GATEWAY_CONFIG": "elsewhere.toml"}), 2, "elsewhere.toml")


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
    said(
        done,
        1,
        "order.paid.toml:",
        "mapping-failed: /data/total",
        "invalid-phone: /data/customer/phone",
        "DH-1001",
    )
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


@pytest.mark.parametrize(
    "command", ["token status", "token rekey", "token import main", "messages list", "templates diff"]
)
def test_where_only_the_log_of_a_store_is_left_every_command_says_so(stage: Stage, command: str) -> None:
    (stage.folder / "gateway.db-wal").write_bytes(b"what was written last")
    grant = json.dumps(stage.simulator.ask("GET", "/__sim/credentials").body["grant"]).encode()
    said(stage.command_here(*command.split(), given=grant), 2, "gateway.db-wal is: put the store back")
    assert not (stage.folder / "gateway.db").exists()


def test_json_is_all_that_is_printed(scene: Stage, gateway: Process, config: Path) -> None:
    gateway.post(order("c-json"))
    edited(config.parent / "mappings" / "order.paid.toml", ("data.total | vnd", "data.total | vdn"))
    for arguments in (["messages", "list"], ["token", "status"], ["key", "new", "x"], ["check"]):
        done = scene.command(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, b""), arguments
        assert json.loads(done.stdout)
    broken = run("--config", str(config), "check", "--json")
    assert (broken.returncode, broken.stderr) == (1, b"")
    assert json.loads(broken.stdout)["faults"] == [
        {
            "file": str(config.parent / "mappings" / "order.paid.toml"),
            "line": 19,
            "what": "`total` uses an unknown filter `vdn`",
            "cure": "did you mean `vnd`?",
        }
    ]
    made = json.loads(run("key", "new", "x", "--json").stdout)
    assert made["key_sha256"] == hashlib.sha256(made["key"].encode()).hexdigest()


def test_the_demonstration_as_json_tells_every_answer_and_no_phone() -> None:
    done = run("demo", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    played = json.loads(done.stdout)
    assert [act["http"] for act in played] == [200, 200, 422, 200, 200, 422]
    assert not re.search(rb"(?<![0-9a-f.])(84|0)[0-9]{9}(?![0-9a-f.])", done.stdout)
