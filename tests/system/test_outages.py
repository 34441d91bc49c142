"""What cannot be taken now: a limit is reached, or the store confirms nothing. Nothing is promised in vain."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count

import pytest

from tests.system.stage import Stage, eventually, order, problem

pytestmark = pytest.mark.system


def test_a_caller_over_its_own_rate_is_told_when_to_come_back(stage: Stage) -> None:
    text = stage.config.read_text().replace('events = ["bill.*"]', 'events = ["bill.*"]\nmax_per_second = 2')
    stage.config.write_text(text)
    with stage.serving() as gateway:
        answers = [gateway.post({"id": str(it)}, "other") for it in range(4)]
    problem(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_a_full_queue_takes_replays_only(stage: Stage) -> None:
    stage.write_config(delivery="max_queued = 1")
    with stage.serving(has_grant=False) as gateway:  # so everything waits
        first = gateway.post(order("full-1"))
        assert (first.status, first.body["status"], first.body["reason"]) == (202, "queued", "credentials")
        ids = count(2)
        refused = eventually(lambda: (it := gateway.post(order(f"full-{next(ids)}"))).status == 429 and it)
        problem(refused, 429, "too-many-requests")
        assert int(refused.headers["retry-after"]) >= 1
        assert gateway.post(order("full-1")).headers["idempotency-replayed"] == "true"


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """Nobody can change the store for as long as the context lasts."""
    with closing(sqlite3.connect(stage.folder / "gateway.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_while_the_store_confirms_nothing_no_event_is_promised_and_reading_goes_on(stage: Stage) -> None:
    with stage.serving() as gateway:
        tracking_id = gateway.post(order("locked-1")).body["tracking_id"]
        eventually(lambda: gateway.message(tracking_id)["status"] == "delivered")
        with locked(stage):
            refused = gateway.post(order("locked-2"))
            assert problem(refused, 503, "not-accepted")["retryable"] is True
            assert int(refused.headers["retry-after"]) >= 1
            assert gateway.ask("GET", "/readyz").status == 503
            assert gateway.ask("GET", "/livez").status == 200
            assert gateway.message(tracking_id)["status"] == "delivered"
        eventually(lambda: gateway.post(order("locked-2")).status == 200)
        eventually(lambda: gateway.ask("GET", "/readyz").status == 200)
        assert len(stage.sent(gateway.post(order("locked-2")).body["tracking_id"])) == 1


def test_a_send_whose_outcome_cannot_be_recorded_is_never_called_sent(stage: Stage) -> None:
    stage.fault(at="send", do="delay", value=0.5, count=1)
    with stage.serving() as gateway, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.post, order("unrecorded"), Prefer="wait=2")
        eventually(gateway.statuses)
        with locked(stage):
            answer = waiting.result()
            assert stage.sent(answer.body["tracking_id"]), "Zalo has taken it"
            assert (answer.status, answer.body["status"]) == (202, "sending")
        eventually(lambda: gateway.message(answer.body["tracking_id"])["status"] == "delivered")
