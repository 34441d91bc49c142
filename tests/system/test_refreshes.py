"""Killed around refreshes, again and again: no refresh token is presented beyond once and once more, and none is lost quietly.

A refresh is begun by sends whose access token Zalo has forgotten; its answer is held back a little, so that kills
fall before it, while it is awaited, and after it. The long form: KILLS=100.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.system.stage import Process, Stage, eventually, order

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("KILLS", "8"))
HELD_BACK_S = 0.04
LONGEST_LIFE_S = 0.16


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Process]:
    """One of its own: what it knows of refreshes is counted."""
    process = Process(["simulator", "--port", "0"], tmp_path / "simulator.log")
    yield process
    process.stop()


def status(stage: Stage) -> Any:
    (row,) = json.loads(stage.command("token", "status", "--json").stdout)
    return row


def is_settled(gateway: Process) -> str:
    """What has become of the account once no refresh is under way: that it sends, or that it needs a person."""
    checks = gateway.ask("GET", "/readyz?verbose").body["checks"]
    account = next(check for check in checks if check["check"] == "account main")
    if account["status"] == "ok":
        return "sends"
    return "needs a person" if account["cure"].startswith("zns-gateway") else ""


def test_kills_around_refreshes_present_no_token_beyond_once_and_once_more(stage: Stage) -> None:
    chance = random.Random(KILLS)
    stage.write_config(delivery='probe_every = "1s"')
    stage.import_grant()
    ends: Counter[str] = Counter()
    ids: set[str] = set()
    gateway = stage.serve()
    for turn in range(KILLS):
        stage.simulator.ask("POST", "/__sim/expire", {"what": "access"})
        stage.fault(at="refresh", do="delay", value=HELD_BACK_S)
        for number in range(3):
            answer = gateway.post(order(f"kill-{turn}-{number}"), Prefer="respond-async")
            ids.add(answer.message["tracking_id"])
        time.sleep(chance.uniform(0, LONGEST_LIFE_S))  # any instant will do
        gateway.kill()
        stage.simulator.ask("DELETE", "/__sim/faults")
        gateway = stage.serve()
        gateway.post(order(f"kill-{turn}-after"), Prefer="respond-async")
        end = eventually(lambda it=gateway: is_settled(it))  # type: ignore[misc]
        ends[end] += 1
        if end == "needs a person":
            assert status(stage)["health"] in ("lost", "dead")
            stage.import_grant()  # and nothing has to be forced
    eventually(lambda: not {"queued", "sending"} & set(gateway.statuses().values()), 60)
    gateway.stop()

    presented = Counter(
        it["presented"] for it in stage.ledger()["refreshes"] if it["grant_type"] == "refresh_token"
    )
    assert max(presented.values()) <= 2
    assert ends["sends"] > 0
    sent = Counter(it["tracking_id"] for it in stage.ledger()["messages"])
    assert max(sent.values()) == 1, "no message was sent twice"
    outcomes = Counter(it["outcome"] for it in stage.ledger()["refreshes"] if it["grant_type"] == "refresh_token")
    print(f"{KILLS} kills: {dict(ends)}; refreshes at Zalo: {dict(outcomes)}")


def test_two_processes_with_fifty_expired_sends_each_refresh_once(stage: Stage) -> None:
    stage.import_grant()
    first, second = stage.serve(), stage.serve()
    try:
        stage.simulator.ask("POST", "/__sim/expire", {"what": "access"})
        with ThreadPoolExecutor(100) as pool:
            posts = [(it, f"two-{n}-{number}") for number in range(50) for n, it in enumerate((first, second))]
            answers = list(pool.map(lambda each: each[0].post(order(each[1])), posts))
        assert {answer.status for answer in answers} <= {200, 202}
        eventually(lambda: set(first.statuses().values()) <= {"sent", "delivered"})
        refreshes = [it for it in stage.ledger()["refreshes"] if it["grant_type"] == "refresh_token"]
        assert [it["outcome"] for it in refreshes] == ["rotated"]
        sent = Counter(it["tracking_id"] for it in stage.ledger()["messages"])
        assert (len(sent), max(sent.values())) == (100, 1)
    finally:
        first.stop()
        second.stop()
