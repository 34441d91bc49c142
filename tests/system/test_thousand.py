"""A thousand messages through a Zalo whose word comes twice, too early, out of order or not at all."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import pytest

from tests.system.snapshots import rewritten, with_copies
from tests.system.stage import KEYS, Process, Speaker, Stage, eventually, order

pytestmark = pytest.mark.system

BATCH: Final = "application/cloudevents-batch+json"
SIZE: Final = 50
TEMPLATE: Final = "7895417a7d3f9461cd2e"
FATES: Final = {
    "ordinary": 600,
    "late": 80,
    "never": 60,
    "duplicate": 50,
    "early": 50,
    "error:-118": 40,
    "error:-1121": 20,
    "once:-100": 20,
    "cut": 40,
    "silence": 30,
    "html": 10,
}
# Of a hundred receipts thirty come twice, twenty too early, twenty out of order and five never. The simulator tries one
# fault after the other, so that each share is one of what those before it have left.
WEBHOOKS: Final = {"duplicate": 30 / 100, "early": 20 / 70, "reorder": 20 / 50, "drop": 5 / 30}

MISSING: Final = 20  # receipts at least that never came, of some forty


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Process]:
    """One of its own, whose clock runs fast and whose ledger holds these messages alone."""
    process = Process(["simulator", "--port", "0"], tmp_path / "simulator.log")
    process.ask("POST", "/__sim/clock", {"scale": 5})
    yield process
    process.stop()


@pytest.fixture
def stage(tmp_path: Path, simulator: Process) -> Stage:
    """A receipt is missed after a second and a half, a late phone has its message after two, a send waits for three."""
    stage = with_copies(tmp_path, simulator)
    rewritten(stage, TEMPLATE, timeout=1000)
    stage.write_config(
        zalo='read_timeout = "3s"',
        delivery='receipt_grace = "500ms"\npause_after_uncertain = 0\nretry_first = "200ms"',
    )
    for seed, (do, p) in enumerate(WEBHOOKS.items()):
        stage.fault(at="webhook", do=do, p=p, seed=seed)
    return stage


def batches(stage: Stage) -> list[list[Any]]:
    """A thousand events for phones of every fate, mixed, the same in every run."""
    numbers = {**stage.phones, "ordinary": "0912345678"}
    fates = [fate for fate, count in FATES.items() for _ in range(count)]
    random.Random(1000).shuffle(fates)
    events = [{**order(f"thousand-{n}", numbers[it]), "specversion": "1.0"} for n, it in enumerate(fates)]
    return [events[start : start + SIZE] for start in range(0, len(events), SIZE)]


def taken(gateway: Speaker, batch: list[Any]) -> set[str] | None:
    """The messages of the batch once it is answered; None while nobody is there to answer."""
    try:
        answer = gateway.post(batch, Content_Type=BATCH)
    except (OSError, HTTPException):
        return None
    if answer.status != 202 or any(it["http"] == 503 for it in answer.body["results"]):
        return None
    return {
        it.get("message", it.get("problem", {}).get("message"))["tracking_id"] for it in answer.body["results"]
    }


def told_by_zalo(ledger: Any) -> dict[str, str]:
    """The status that Zalo's own books give each message that got there.

    Delivered: a receipt was posted, or a question was asked when the phone had it. Undelivered: Zalo was asked, and
    the phone had not got it. Unknown: Zalo took it and said no word of it to anybody, or it was never let in.
    """
    asked = {it["msg_id"]: it["at"] for it in ledger["requests"] if it["path"] == "/message/status"}
    statuses = {
        it["tracking_id"]: "failed" if it["error"] else "unknown" for it in ledger["requests"] if it["phone"]
    }
    for it in ledger["messages"]:
        at = asked.get(it["msg_id"])
        if it["receipts"] or (at is not None and it["delivered_at"] is not None and at >= it["delivered_at"]):
            statuses[it["tracking_id"]] = "delivered"
        else:
            statuses[it["tracking_id"]] = "unknown" if at is None else "undelivered"
    return statuses


def differences(ids: set[str], stage: Stage, gateway: Process) -> dict[str, tuple[str, str]]:
    """Each message that is something else than Zalo's books say: what it is, and what it should be."""
    expected = dict.fromkeys(ids, "unknown") | told_by_zalo(stage.ledger())
    found = {
        it["tracking_id"]: it
        for it in gateway.ask("GET", "/v1/messages?limit=1000", key=KEYS["platform"]).body["items"]
    }
    for it, message in found.items():
        # Zalo refused it, and the gateway was killed before it heard that.
        if expected[it] == "failed" and (message["error"] or {}).get("code") == "no-outcome":
            expected[it] = "unknown"
    return {it: (found[it]["status"], expected[it]) for it in ids if found[it]["status"] != expected[it]}


def test_a_thousand_messages_come_to_what_zalos_own_ledger_says(stage: Stage) -> None:
    """To the message, although the gateway is killed in the middle; and none is taken twice."""
    with stage.serving() as first, ThreadPoolExecutor(4) as pool:
        speaker = Speaker(first.url)
        posts = [pool.submit(eventually, partial(taken, speaker, batch)) for batch in batches(stage)]
        eventually(lambda: sum(post.done() for post in posts) >= len(posts) // 2)
        first.kill()
        with stage.serving(has_grant=False) as gateway:
            speaker.url = gateway.url
            ids = set().union(*(post.result() for post in posts))
            assert len(ids) == sum(FATES.values())
            with suppress(AssertionError):
                eventually(lambda: not differences(ids, stage, gateway), 40)
            assert differences(ids, stage, gateway) == {}
    books = stage.ledger()
    assert len({it["tracking_id"] for it in books["messages"]}) == len(books["messages"]), (
        "Zalo took a message twice"
    )
    assert set(told_by_zalo(books).values()) == {"delivered", "undelivered", "failed", "unknown"}
    assert sum(it["delivered_at"] is not None and not it["receipts"] for it in books["messages"]) > MISSING
