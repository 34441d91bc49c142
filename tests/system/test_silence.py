"""A webhook that never comes: what became of the message is found out by asking Zalo."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.system.stage import ROOT, Process, Stage, eventually, order

STATUS = "/message/status"


def hasten(stage: Stage) -> None:
    """Every template's time limit is a second, and nothing is waited for beyond that."""
    templates = stage.folder / "templates"
    templates.unlink()
    shutil.copytree(ROOT / "config" / "templates", templates)
    for path in templates.iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "timeout": 1000}))
    stage.write_config(delivery='receipt_grace = "0s"')


@pytest.fixture
def hasty(tmp_path: Path, simulator: Process) -> Iterator[Stage]:
    stage = Stage(tmp_path, simulator)
    hasten(stage)
    yield stage
    simulator.ask("DELETE", "/__sim/faults")


@pytest.fixture
def faster(simulator: Process) -> Iterator[None]:
    """What is late comes after three and a half seconds."""
    simulator.ask("POST", "/__sim/clock", {"scale": 3})
    yield
    simulator.ask("POST", "/__sim/clock", {"scale": 1})


def sent(gateway: Process, event_id: str, phone: str = "0912345678") -> str:
    """The tracking_id of an order that Zalo took."""
    answer = gateway.post(order(event_id, phone))
    assert answer.body["status"] == "sent", answer
    return str(answer.body["tracking_id"])


def asked(stage: Stage, tracking_id: str) -> list[Any]:
    """The questions about this message that reached Zalo."""
    told = stage.simulator.ask("GET", f"/__sim/ledger?tracking_id={tracking_id}").body
    return [it for it in told["requests"] if it["path"] == STATUS]


def becomes(gateway: Process, tracking_id: str, status: str) -> Any:
    """The message, once it has this status."""

    def look() -> Any:
        message = gateway.message(tracking_id)
        return message if message["status"] == status else None

    return eventually(look)


def let_time_pass(stage: Stage) -> None:
    """Every pause before another question is over."""
    with closing(sqlite3.connect(stage.folder / "gateway.db", timeout=20)) as store, store:
        assert store.execute("UPDATE message SET ask_at = 0 WHERE ask_at IS NOT NULL").rowcount > 0


@pytest.mark.system
def test_a_message_that_no_phone_got_is_undelivered_and_asked_about_once(hasty: Stage) -> None:
    with hasty.serving() as gateway:
        tracking_id = sent(gateway, "silence-never", hasty.phones["never"])
        message = becomes(gateway, tracking_id, "undelivered")
        assert (message["delivered_at"], message["settled"], message["error"]) == (None, True, None)
        assert [line["fact"] for line in message["timeline"]] == ["stored", "claim", "accepted", "silent"]
        assert len(asked(hasty, tracking_id)) == 1
        again = gateway.post(order("silence-never", hasty.phones["never"]))
        assert (again.status, again.body["status"]) == (200, "undelivered")


@pytest.mark.system
def test_a_message_whose_webhook_was_lost_is_delivered_at_the_time_that_zalo_says(hasty: Stage) -> None:
    with hasty.serving() as gateway:
        hasty.fault(at="webhook", do="drop", value=0, count=1)
        tracking_id = sent(gateway, "silence-dropped")
        message = becomes(gateway, tracking_id, "delivered")
        last = message["timeline"][-1]
        assert (last["fact"], last["cause"]) == ("receipt", "asked")
        assert message["accepted_at"] < message["delivered_at"] < last["at"]


@pytest.mark.system
def test_a_message_whose_webhook_came_is_not_asked_about(hasty: Stage) -> None:
    with hasty.serving() as gateway:
        heard = sent(gateway, "silence-heard")
        silent = sent(gateway, "silence-heard-not", hasty.phones["never"])
        becomes(gateway, heard, "delivered")
        becomes(gateway, silent, "undelivered")
        assert asked(hasty, heard) == []


@pytest.mark.system
@pytest.mark.parametrize(
    "fault", [{"do": "html", "value": 502}, {"do": "garbage"}, {"do": "cut"}, {"do": "error", "value": -100}]
)
def test_a_question_without_an_answer_is_asked_again_later(hasty: Stage, fault: dict[str, Any]) -> None:
    with hasty.serving() as gateway:
        hasty.fault(at="status", count=1, **fault)
        tracking_id = sent(gateway, f"silence-{fault['do']}", hasty.phones["never"])
        eventually(lambda: asked(hasty, tracking_id))
        assert gateway.message(tracking_id)["status"] == "sent"
        let_time_pass(hasty)
        becomes(gateway, tracking_id, "undelivered")
        assert len(asked(hasty, tracking_id)) == 2


@pytest.mark.system
def test_a_token_that_is_taken_no_more_is_renewed_and_the_question_follows_at_once(hasty: Stage) -> None:
    with hasty.serving() as gateway:
        hasty.fault(at="status", do="error", value=-124, count=1)
        tracking_id = sent(gateway, "silence-token", hasty.phones["never"])
        becomes(gateway, tracking_id, "undelivered")
        assert [it["error"] for it in asked(hasty, tracking_id)] == [-124, 0]
        assert gateway.post(order("silence-token-after")).body["status"] == "sent"


@pytest.mark.system
def test_what_fell_silent_while_nobody_served_is_asked_about_after_the_next_start(hasty: Stage) -> None:
    with hasty.serving() as gateway:
        tracking_id = sent(gateway, "silence-restart", hasty.phones["never"])
        gateway.kill()
    with hasty.serving() as gateway:
        becomes(gateway, tracking_id, "undelivered")


@pytest.mark.system
def test_two_gateways_on_one_store_ask_once_about_each_message(hasty: Stage) -> None:
    with hasty.serving() as gateway, hasty.serving(has_grant=False) as other:
        for number in range(20):
            sent(gateway if number % 2 else other, f"silence-two-{number}", hasty.phones["never"])
        ids = [
            gateway.post(order(f"silence-two-{n}", hasty.phones["never"])).body["tracking_id"] for n in range(20)
        ]
        for tracking_id in ids:
            becomes(gateway, tracking_id, "undelivered")
            assert len(asked(hasty, tracking_id)) == 1


@pytest.mark.system
def test_a_receipt_that_comes_after_silence_is_heard(hasty: Stage, faster: None) -> None:
    with hasty.serving() as gateway:
        tracking_id = sent(gateway, "silence-late", hasty.phones["late"])
        becomes(gateway, tracking_id, "undelivered")
        message = becomes(gateway, tracking_id, "delivered")
        assert message["timeline"][-1]["cause"] is None
