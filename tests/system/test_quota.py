"""The last messages of a day are kept for what is urgent, and nobody waits when Zalo gives more."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system.stage import KEYS, Process, Stage, eventually, order


@pytest.fixture
def scarce(tmp_path: Path) -> Iterator[Stage]:
    """A stage with a Zalo of its own that has twelve messages left, ten of which are kept for what is urgent."""
    simulator = Process(["simulator", "--port", "0"], tmp_path / "simulator.log")
    assert simulator.ask("POST", "/__sim/rules", {"daily_quota": 12}).status == 200
    stage = Stage(tmp_path, simulator)
    stage.write_config(account="urgent_reserve = 10")
    yield stage
    simulator.stop()


def quota(gateway: Process) -> Any:
    return gateway.ask("GET", "/v1/accounts", key=KEYS["platform"]).body["items"][0]["quota"]


def one_time_password(event_id: str) -> dict[str, Any]:
    return order(event_id, type="auth.otp", data={"phone": "0912345678", "otp": "123456"})


@pytest.mark.system
def test_the_reserve_is_for_what_is_urgent_until_zalo_gives_more(scarce: Stage) -> None:
    with scarce.serving() as gateway:
        eventually(lambda: quota(gateway)["remaining"] == 12)
        for number in range(2):
            assert gateway.post(order(f"quota-{number}")).body["status"] == "sent"
        kept_back = gateway.post(order("quota-kept-back"))
        message = kept_back.body
        assert (kept_back.status, message["status"], message["reason"]) == (202, "queued", "quota")
        moment = datetime.fromisoformat(message["next_attempt_at"])
        assert (moment + timedelta(hours=7)).strftime("%H:%M:%S") == "00:00:00"
        for number in range(10):
            assert gateway.post(one_time_password(f"quota-otp-{number}")).body["status"] == "sent"
        assert quota(gateway)["remaining"] == 0

        more = {"event": "daily_quota", "value": 100}
        assert scarce.simulator.ask("POST", "/__sim/events", more).status < 300
        eventually(lambda: gateway.message(message["tracking_id"])["status"] in ("sent", "delivered"))


@pytest.mark.system
def test_of_many_at_once_the_reserve_is_left(scarce: Stage) -> None:
    scarce.simulator.ask("POST", "/__sim/rules", {"daily_quota": 40})
    with scarce.serving() as gateway:
        eventually(lambda: quota(gateway)["remaining"] == 40)
        events = [order(f"quota-many-{number}", specversion="1.0") for number in range(100)]
        batch = gateway.ask(
            "POST",
            "/v1/events",
            events,
            KEYS["checkout"],
            Content_Type="application/cloudevents-batch+json",
        )
        assert batch.status == 202, batch
        eventually(lambda: len(scarce.ledger()["messages"]) == 30)
        eventually(lambda: quota(gateway)["remaining"] == 10)
        waiting = eventually(lambda: [it for it in listed(gateway) if it["reason"] == "quota"])
        assert len(waiting) == 70
        assert len(scarce.ledger()["messages"]) == 30


def listed(gateway: Process) -> list[Any]:
    answer = gateway.ask("GET", "/v1/messages?status=queued&limit=1000", key=KEYS["platform"])
    items: list[Any] = answer.body["items"]
    return items if all(it["reason"] == "quota" for it in items) else []
