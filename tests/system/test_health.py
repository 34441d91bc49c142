"""`/livez`, `/readyz`, `/metrics` and the schema: what probes and the platform team's monitoring see."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.http.health import Readiness
from tests.system.stage import Process, Stage, eventually, order

pytestmark = pytest.mark.system

PREFIX = "zns_gateway_"
PROMISED = {
    "events": {"type", "outcome"},
    "messages": {"status"},
    "attempts": {"account", "outcome", "error"},
    "send_seconds": {"account"},
    "accept_to_sent_seconds": {"account", "priority"},
    "accept_to_delivered_seconds": {"account"},
    "queue_depth": {"account", "priority"},
    "queue_oldest_seconds": {"account", "priority"},
    "token_expires_seconds": {"account", "token"},
    "refreshes": {"account", "outcome"},
    "quota_remaining": {"account"},
    "webhooks": {"account", "verdict"},
    "callbacks": {"caller", "outcome"},
    "mapping_reloads": {"outcome"},
    "holds": {"account", "scope", "reason"},
    "mappings_age_seconds": set(),
}
STRANGE = "strange-and-from-outside"


@pytest.fixture(scope="module")
def gateway(scene: Stage) -> Iterator[Process]:
    with scene.serving() as process:
        sent = process.post(order("h-1")).body["tracking_id"]
        process.post(order("h-2", scene.phones["error:-118"]))
        process.post(order("h-3", type=f"unmapped.{STRANGE}"))
        process.post(order(STRANGE, source=STRANGE, type="order.paid"), Idempotency_Key=STRANGE)
        process.post({STRANGE: STRANGE})
        process.ask("POST", "/webhooks/zalo/main", b"{}")
        process.ask("POST", "/webhooks/zalo/main", {"event_name": STRANGE})
        process.ask("GET", f"/{STRANGE}")
        scene.simulator.ask("POST", "/__sim/expire", {"what": "access"})
        process.post(order("h-4"))
        eventually(lambda: process.message(sent)["status"] == "delivered")
        yield process


def families(gateway: Process) -> dict[str, Any]:
    """What Prometheus reads, by name without the prefix."""
    answer = gateway.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {family.name: family for family in text_string_to_metric_families(answer.body)}
    assert all(name.startswith(PREFIX) for name in found)
    return {name.removeprefix(PREFIX): family for name, family in found.items()}


def test_alive_says_no_more_than_that(gateway: Process) -> None:
    answer = gateway.ask("GET", "/livez")
    assert (answer.status, answer.body) == (200, {"status": "ok"})


def test_ready_lists_its_checks_only_when_asked(gateway: Process) -> None:
    assert gateway.ask("GET", "/readyz").body == {"status": "ok"}
    told = gateway.ask("GET", "/readyz?verbose").body
    assert msgspec.to_builtins(msgspec.convert(told, Readiness)) == told, "it is what is described"
    assert told["status"] == "ok"
    assert {check["check"]: check["status"] for check in told["checks"]} == {
        "store": "ok",
        "mappings": "ok",
        "account main": "ok",
    }


def test_every_promised_number_is_there_with_its_labels(gateway: Process) -> None:
    found = families(gateway)
    assert PROMISED.keys() <= found.keys()
    for name, labels in PROMISED.items():
        seen = {frozenset(sample.labels) - {"le"} for sample in found[name].samples}
        assert seen <= {frozenset(labels)}, name


def test_the_numbers_tell_what_happened(gateway: Process) -> None:
    def is_told() -> bool:
        found = families(gateway)
        counted = {
            (sample.name, frozenset(sample.labels.values())): sample.value
            for family in found.values()
            for sample in family.samples
        }

        def of(name: str, *labels: str) -> float:
            return float(counted.get((PREFIX + name, frozenset(labels)), 0))

        return (
            of("events_total", "order.paid", "sent") >= 1
            and of("events_total", "unmapped", "unmapped-event") == 1
            and of("events_total", "unmapped", "malformed-event") == 1
            and of("attempts_total", "main", "refused", "recipient-not-on-zalo") == 1
            and of("messages_total", "delivered") >= 1
            and of("refreshes_total", "main", "rotated") == 1
            and of("webhooks_total", "main", "forged") == 1
            and of("token_expires_seconds", "main", "access") > 80_000
            and of("token_expires_seconds", "main", "refresh") > 80 * 86_400
            and of("quota_remaining", "main") > 0
            and of("send_seconds_count", "main") >= 3
        )

    eventually(is_told)


def test_no_label_comes_from_outside(gateway: Process) -> None:
    assert STRANGE not in gateway.ask("GET", "/metrics").body
    values = {
        value for it in families(gateway).values() for sample in it.samples for value in sample.labels.values()
    }
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]+", value) for value in values)


def test_the_interface_is_described_by_the_gateway_itself(gateway: Process) -> None:
    told = gateway.ask("GET", "/schema/openapi.json")
    assert told.status == 200
    assert told.body["openapi"].startswith("3.1")


def test_an_account_without_a_grant_is_a_warning_with_its_cure(stage: Stage) -> None:
    with stage.serving(has_grant=False) as gateway:
        answer = gateway.ask("GET", "/readyz?verbose")
        assert answer.status == 200
        (check,) = [it for it in answer.body["checks"] if it["check"] == "account main"]
        assert check["status"] == "warning"
        assert "token import main" in check["cure"]
