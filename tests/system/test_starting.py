"""`serve` and `demo` from the shell: why a gateway does not start, and what it takes to try one."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.storage.owners import Owners
from tests.system.commands import edited, run, said
from tests.system.stage import ROOT, Process, Speaker, Stage, eventually, order
from tests.transport.fault_server import closed_port

pytestmark = pytest.mark.system


def test_serve_refuses_broken_mappings_and_prints_their_faults(config: Path) -> None:
    edited(config.parent / "mappings" / "order.paid.toml", ("data.total | vnd", "data.total | vdn"))
    said(
        run("--config", str(config), "serve", "--simulator", folder=config.parent), 2, "order.paid.toml:", "`vnd`"
    )


def test_serve_names_every_variable_that_is_not_set(config: Path) -> None:
    told = said(run("--config", str(config), "serve"), 2)
    for variable in ("GATEWAY_KEY", "ZALO_APP_ID", "ZALO_APP_SECRET", "ZALO_OA_SECRET", "CHECKOUT_KEY_SHA256"):
        assert f"export {variable}" in told


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
        (
            lambda text: re.sub(r"sqlite://\S+", 'mysql://localhost/0"', text),
            ["store.url", "sqlite:///", "gateway.toml:"],
        ),
        (lambda text: re.sub(r"sqlite://\S+", 'sqlite:////proc/none/x.db"', text), ["/proc/none"]),
        (
            lambda text: re.sub(r"keys = \[.*\]", 'keys = ["short"]', text),
            ["secrets.keys", "32 bytes", "gateway.toml:"],
        ),
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
    # Nor does a real grant get into a store that is sealed for everybody to open.
    before = stage.config.parent.joinpath("gateway.db").read_bytes()
    grant = b'{"access_token":"real-access","refresh_token":"real-refresh","expires_in":"90000"}'
    said(stage.command("token", "import", "main", "--replace", given=grant), 2, "a store of its own")
    assert stage.config.parent.joinpath("gateway.db").read_bytes() == before


@pytest.mark.parametrize("has_public_door", [False, True])
def test_a_simulated_store_opens_for_every_command_whatever_is_set(config: Path, has_public_door: bool) -> None:
    edited(config, ("port = 8080", "port = 0"))
    if has_public_door:
        edited(config, ("public_port = 0", f"public_port = {closed_port()}"))
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
        gateway = Speaker(line.split()[-1])
        key = "simulator-checkout"
        path = f"/v1/messages/{gateway.ask('POST', '/v1/events', order('s-simulated'), key).body['tracking_id']}"
        eventually(lambda: gateway.ask("GET", path, key=key).body["status"] == "delivered")
        for environment in ({}, {"GATEWAY_KEY": OTHER_KEY}):
            said(
                run("--config", str(config), "messages", "list", folder=folder, environment=environment),
                0,
                "delivered",
            )
            said(
                run("--config", str(config), "token", "status", folder=folder, environment=environment),
                0,
                "working",
            )
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def shown_generation(config: Path) -> int:
    (row,) = json.loads(run("--config", str(config), "token", "status", "--json").stdout)
    generation: int = row["generation"]
    return generation


@pytest.mark.parametrize(
    ("is_same_port", "words"), [(True, "choose another port"), (False, "another gateway serves")]
)
def test_a_second_gateway_with_a_simulator_leaves_the_first_ones_grant_alone(
    config: Path, is_same_port: bool, words: str
) -> None:
    """Neither where it has no door nor where it has one of its own on the same store."""
    edited(config, ("port = 8080", "port = 0"), ("sqlite:///var", f"sqlite:///{config.parent}/var"))
    arguments = ["--config", str(config), "serve", "--simulator"]
    first = Process(arguments, config.parent / "log")
    try:
        if is_same_port:
            edited(config, ("port = 0", f"port = {first.url.rpartition(':')[2]}"))
        generation = shown_generation(config)
        said(run(*arguments), 2, words)
        assert shown_generation(config) == generation
        assert first.ask("POST", "/v1/events", order("s-first"), "simulator-checkout").body["status"] == "sent"
    finally:
        assert first.stop() == 0


def test_neither_a_command_nor_the_one_before_keeps_a_gateway_with_a_simulator_from_starting(config: Path) -> None:
    edited(config, ("port = 8080", "port = 0"), ("sqlite:///var", f"sqlite:///{config.parent}/var"))
    using = Owners(config.parent / "var" / "gateway.db.owners")
    for event_id in ("s-once", "s-again"):
        gateway = Process(["--config", str(config), "serve", "--simulator"], config.parent / "log")
        try:
            answer = gateway.ask("POST", "/v1/events", order(event_id), "simulator-checkout")
        finally:
            assert gateway.stop() == 0
        assert answer.body["status"] == "sent"
    using.close()


def test_demo_shows_what_becomes_of_events_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run("--config", str(ROOT / "config" / "gateway.toml"), "demo", folder=tmp_path)
    told = said(
        done, 0, "recipient-not-on-zalo", "skipped", "Idempotency-Replayed: true", "Everything went as it should"
    )
    assert "delivered" in told
    assert list(tmp_path.iterdir()) == []
