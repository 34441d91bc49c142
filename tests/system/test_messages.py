"""`GET /v1/messages` and one message: filters, cursors, the feed, and who may see what."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.system.stage import KEYS, Process, Stage, eventually, order, problem

pytestmark = pytest.mark.system

BILL = {
    "period": "11/2026",
    "from": "2026-11-01",
    "to": "2026-11-30",
    "volume_m3": 12,
    "total": 100000,
    "customer": {"name": "An", "id": "C-1", "address": "12 Nguyễn Huệ", "phone": "0987654321"},
}


@pytest.fixture(scope="module")
def gateway(scene: Stage) -> Iterator[Process]:
    """A gateway that has seen some messages, all of them at their end."""
    with scene.serving() as process:
        for number in range(5):
            process.post(order(f"m-{number}"))
        process.post(order("m-refused", scene.phones["error:-118"]))
        process.post({"id": "b-1", "type": "bill.issued", "data": BILL}, "other")
        data = {"order_id": "DH-1", "status": "sorting", "recipient": {"name": "An", "phone": "0912345678"}}
        process.post({"id": "m-skip", "type": "shipping.status", "data": data})
        eventually(lambda: set(process.statuses().values()) == {"delivered", "failed", "skipped"})
        yield process


def listed(gateway: Process, asking: str = "platform", /, **filters: Any) -> Any:
    answer = gateway.ask("GET", f"/v1/messages?{urlencode(filters)}", key=KEYS[asking])
    assert answer.status == 200, answer.body
    return answer.body


def ids(page: Any) -> list[str]:
    return [item["event"]["id"] for item in page["items"]]


def test_the_newest_accepted_come_first_and_the_end_has_no_cursor(gateway: Process) -> None:
    page = listed(gateway)
    accepted = [item["accepted_at"] for item in page["items"]]
    assert accepted == sorted(accepted, reverse=True)
    assert (len(accepted), page["next_cursor"]) == (8, None)
    assert all("timeline" not in item for item in page["items"])


def test_cursors_lead_through_every_message_once(gateway: Process) -> None:
    seen: list[str] = []
    page = listed(gateway, limit=3)
    while page["next_cursor"] is not None:
        assert len(page["items"]) == 3
        seen += ids(page)
        page = listed(gateway, limit=3, cursor=page["next_cursor"])
    assert seen + ids(page) == ids(listed(gateway))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "failed"}, ["m-refused"]),
        ({"status": "skipped"}, ["m-skip"]),
        ({"status": "queued"}, []),
        ({"type": "bill.issued"}, ["b-1"]),
        ({"event_id": "m-3"}, ["m-3"]),
        ({"caller": "other"}, ["b-1"]),
        ({"phone": "0987654321"}, ["b-1"]),
        ({"phone": "+84 987 654 321"}, ["b-1"]),
        ({"phone": "84987654321", "type": "order.paid"}, []),
        ({"until": "2020-01-01T00:00:00Z"}, []),
        ({"since": "2999-01-01T00:00:00+07:00"}, []),
        ({"since": "2020-01-01T00:00:00Z", "event_id": "m-1"}, ["m-1"]),
    ],
)
def test_filters_narrow_the_list(gateway: Process, filters: dict[str, str], expected: list[str]) -> None:
    assert ids(listed(gateway, **filters)) == expected


def test_since_is_included_and_until_is_not(gateway: Process) -> None:
    moment = listed(gateway, event_id="m-2")["items"][0]["accepted_at"]
    assert "m-2" in ids(listed(gateway, since=moment))
    assert "m-2" not in ids(listed(gateway, until=moment))


def test_the_plus_of_a_zone_may_come_as_it_is(gateway: Process) -> None:
    answer = gateway.ask("GET", "/v1/messages?since=2020-01-01T00:00:00+07:00", key=KEYS["platform"])
    assert len(answer.body["items"]) == 8


@pytest.mark.parametrize("name", ["since", "until", "updated_after"])
@pytest.mark.parametrize("text", ["2026-11-24T02:00:00", "2026-W48-1", "20261124", "2026-11-24 02:00:00Z"])
def test_a_time_without_its_zone_or_in_another_form_is_refused_with_an_example(
    gateway: Process, name: str, text: str
) -> None:
    answer = gateway.ask("GET", f"/v1/messages?{urlencode({name: text})}", key=KEYS["platform"])
    assert (
        f"`{name}` must be a time with its zone, such as 2026" in problem(answer, 400, "invalid-request")["detail"]
    )


def test_a_sender_sees_its_own_and_an_operator_all(gateway: Process) -> None:
    assert ids(listed(gateway, "other")) == ["b-1"]
    assert {item["caller"] for item in listed(gateway, "checkout")["items"]} == {"checkout"}
    assert ids(listed(gateway, "other", caller="checkout")) == []
    assert ids(listed(gateway, "other", caller="other")) == ["b-1"]


def test_another_callers_message_is_not_found(gateway: Process) -> None:
    tracking_id = listed(gateway, event_id="b-1")["items"][0]["tracking_id"]
    path = f"/v1/messages/{tracking_id}"
    assert gateway.ask("GET", path, key=KEYS["other"]).status == 200
    assert gateway.ask("GET", path, key=KEYS["platform"]).status == 200
    hidden, absent = (gateway.ask("GET", it, key=KEYS["checkout"]) for it in (path, "/v1/messages/nothing"))
    assert hidden.status == absent.status == 404
    assert hidden.body == absent.body


def test_one_message_is_told_with_its_timeline(gateway: Process) -> None:
    tracking_id = listed(gateway, event_id="m-refused")["items"][0]["tracking_id"]
    message = gateway.message(tracking_id)
    assert [list(line) for line in message["timeline"]] == [["at", "fact", "status", "attempt", "cause"]] * 3
    stored, claim, refused = message["timeline"]
    assert (stored["fact"], claim["status"], claim["attempt"]) == ("stored", "sending", 1)
    assert (refused["fact"], refused["status"]) == ("refused", "failed")
    assert "-118" in refused["cause"]
    assert list(message)[:-1] == list(listed(gateway, event_id="m-refused")["items"][0])


def test_the_feed_tells_every_change_once_and_always_where_to_go_on(gateway: Process) -> None:
    page = listed(gateway, updated_after="2020-01-01T00:00:00Z", limit=3)
    seen: list[str] = []
    while page["items"]:
        seen += ids(page)
        page = listed(gateway, updated_after="2020-01-01T00:00:00Z", limit=3, cursor=page["next_cursor"])
    assert sorted(seen) == sorted(ids(listed(gateway)))
    assert page["next_cursor"] is not None
    new = gateway.post(order("m-0")).body  # a replay changes nothing
    assert ids(listed(gateway, updated_after="2020-01-01T00:00:00Z", cursor=page["next_cursor"])) == []
    assert new["status"] == "delivered"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=0000000010000",
        "limit=",
        "limit=１",
        "status=gone",
        "status=",
        "phone=12",
        "since=yesterday",
        "until=2026-13-01T00:00:00Z",
        "updated_after=",
        "cursor=abc",
        "cursor=c1",
        "cursor=",
        "updated_after=2026-01-01T00:00:00Z&cursor=s1",
        "updated_after=2026-01-01T00:00:00Z&cursor=c999999999",
        "colour=red",
        "status=sent&status=failed",
    ],
)
def test_a_parameter_that_cannot_be_read_is_an_invalid_request(gateway: Process, query: str) -> None:
    answer = gateway.ask("GET", f"/v1/messages?{quote(query, safe='=&')}", key=KEYS["platform"])
    assert (answer.status, answer.body["code"]) == (400, "invalid-request"), query
