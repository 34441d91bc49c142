import json

import pytest

from gateway.simulator.faults import Asked as Fault
from gateway.simulator.faults import Do
from gateway.simulator.webhooks import LADDER_S, Event, mac_of
from gateway.simulator.zalo import APP_ID, OA_ID, OA_SECRET, Zalo

from .stage import NOON, Scene, phone_of


@pytest.fixture
def posting(scene: Scene) -> Scene:
    """A scene whose webhooks go somewhere."""
    scene.zalo.deliveries.url = "http://127.0.0.1:1/"
    return scene


def due_after(scene: Scene, seconds: float) -> list[str]:
    """The tracking ids of what is due once the time has moved on."""
    scene.hands.move(seconds)
    return [event.tracking_id or "" for event in scene.zalo.deliveries.due()]


def test_the_mac_vector_holds() -> None:
    body = (
        b'{"sender":{"id":"2893352839501541173"},"recipient":{"id":"84123456789"},'
        b'"event_name":"user_received_message","message":{"delivery_time":"1602960467432",'
        b'"msg_id":"15a0cc0bbb13bd4ce403","tracking_id":"tracking_id"},'
        b'"app_id":"2074138120372622546","timestamp":"1602560967477"}'
    )
    wanted = "mac=116d216bed99bd9280d522f2d593a2177bab7957dd91417a7b0fe00aefffa430"
    assert mac_of("2074138120372622546", body, "1602560967477", "test-oa-secret") == wanted


def test_a_receipt_is_signed_and_all_text(posting: Scene) -> None:
    msg_id = posting.send("84912345678", tracking_id="t-5")["data"]["msg_id"]
    posting.hands.move(0.5)
    [event] = posting.zalo.deliveries.due()
    now = str(int((NOON + 0.5) * 1000))
    assert json.loads(event.body) == {
        "sender": {"id": OA_ID},
        "recipient": {"id": "84912345678"},
        "event_name": "user_received_message",
        "message": {"delivery_time": now, "msg_id": msg_id, "tracking_id": "t-5"},
        "app_id": APP_ID,
        "timestamp": now,
    }
    assert event.headers() == {
        "Content-Type": "application/json",
        "User-Agent": "ZaloWebhook",
        "X-ZEvent-Server": "ZNS",
        "X-ZEvent-Signature": mac_of(APP_ID, event.body, now, OA_SECRET),
    }


def test_receipts_follow_by_the_fate_of_the_number(posting: Scene) -> None:
    for outcome in ("delivered", "late", "never", "duplicate"):
        posting.send(phone_of(posting.credentials, outcome), tracking_id=outcome)
    assert due_after(posting, 0.49) == []
    assert due_after(posting, 0.01) == ["delivered", "duplicate", "duplicate"]
    assert due_after(posting, 10) == ["late"]
    assert due_after(posting, 1e6) == []


def test_an_early_receipt_is_to_be_posted_before_the_answer(posting: Scene) -> None:
    posting.send(phone_of(posting.credentials, "early"))
    [message] = posting.zalo.ledger.messages.values()
    assert message.delivered_at == message.accepted_at
    assert due_after(posting, 100) == []


@pytest.mark.parametrize(
    ("do", "value", "seen"),
    [
        ("drop", None, [(0.5, []), (1e6, [])]),
        ("duplicate", None, [(0.5, ["a", "a"])]),
        ("late", 7, [(0.5, []), (7, ["a"])]),
        ("early", None, [(1e6, [])]),
        ("reorder", None, [(0.5, []), (5, ["a"]), (1e6, [])]),
    ],
)
def test_a_webhook_fault_strikes_the_next_accepted_message(
    posting: Scene, do: Do, value: float | None, seen: list[tuple[float, list[str]]]
) -> None:
    posting.zalo.faults.add(Fault(at="webhook", do=do, value=value, count=1))
    posting.send("84900000118")
    posting.send(tracking_id="a")
    assert [(wait, due_after(posting, wait)) for wait, _ in seen] == seen
    [message] = posting.zalo.ledger.messages.values()
    assert message.delivered_at is not None


def test_a_reordered_receipt_is_overtaken_by_the_next(posting: Scene) -> None:
    posting.zalo.faults.add(Fault(at="webhook", do="reorder", count=1))
    posting.send(tracking_id="first")
    posting.hands.move(1)
    posting.send(tracking_id="second")
    assert due_after(posting, 0.5) == ["second"]
    assert due_after(posting, 0.5) == ["first"]
    assert due_after(posting, 1e6) == []


def test_what_is_not_answered_with_200_climbs_the_ladder_and_is_then_given_up(posting: Scene) -> None:
    posting.send()
    posting.hands.move(0.5)
    [event] = posting.zalo.deliveries.due()
    body = event.body
    answers: list[int | None] = [None, 500, 204, 302, None]
    for num_retry, (wait, status) in enumerate(zip(LADDER_S, answers, strict=True), start=1):
        posting.zalo.deliveries.answered(event, status)
        assert due_after(posting, wait - 0.01) == []
        posting.hands.move(0.01)
        [event] = posting.zalo.deliveries.due()
        assert (event.body, event.headers()["num_retry"]) == (body, str(num_retry))
    posting.zalo.deliveries.answered(event, 500)
    assert due_after(posting, 1e6) == []


def test_200_ends_the_ladder(posting: Scene) -> None:
    posting.zalo.deliveries.answered(Event(b"{}", None, "x"), 200)
    assert due_after(posting, 1e6) == []


def test_without_an_address_messages_are_delivered_all_the_same(scene: Scene) -> None:
    scene.send()
    assert due_after(scene, 0.5) == []
    [message] = scene.zalo.ledger.messages.values()
    assert message.delivered_at == NOON + 0.5


def test_a_faster_clock_brings_what_is_under_way_sooner(posting: Scene) -> None:
    posting.send(phone_of(posting.credentials, "late"), tracking_id="late")
    posting.zalo.clock.rescale(100)
    assert due_after(posting, 0.1) == []
    assert due_after(posting, 0.006) == ["late"]


def test_a_realistic_delay_is_three_to_ten_seconds() -> None:
    zalo = Zalo(realistic=True, seed=3)
    drawn = [zalo.deliveries.receipt_delay_s() for _ in range(200)]
    assert 3 <= min(drawn) < 4
    assert 9 < max(drawn) <= 10
