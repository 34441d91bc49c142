"""What callers see, member by member, as the contract writes it."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.core.delivery import Reason, State
from gateway.core.hold import Hold
from gateway.core.message import Message
from gateway.core.view import view, view_with_timeline
from gateway.http.problems import encode
from tests.http.messages import NOW, failed, message, sent

# Copied from the contract, §4, "A Message".
EXAMPLE = msgspec.json.decode("""
{"tracking_id": "0c9m3k8q2v7x1n5t4r6w8y0z2b", "status": "sent", "reason": null, "settled": true,
 "event": {"id": "evt-1", "source": "/checkout", "type": "order.paid"}, "caller": "checkout", "mode": "live",
 "mapping": "order.paid", "mapping_version": "sha256:…", "account": "main", "template_id": "7895417a7d3f9461cd2e",
 "phone": "84*****4321", "priority": "normal", "attempts": 1,
 "msg_id": "a4d0243feee163bd3af2", "accepted_at": "…", "not_before": null, "next_attempt_at": null, "expires_at": "…",
 "sent_at": "…", "delivered_at": null, "updated_at": "…", "quota": {"daily": 500, "remaining": 499}, "error": null}
""")
ERROR = ["code", "category", "detail", "permanent", "advice", "zalo"]


def told(of: Message, hold: Hold | None = None) -> Any:
    return msgspec.json.decode(encode(view(of, NOW, hold)))


def test_a_message_has_the_members_of_the_contracts_example_in_its_order() -> None:
    assert list(told(sent())) == list(EXAMPLE)
    assert list(told(sent())["event"]) == list(EXAMPLE["event"])


def test_a_message_says_what_the_contracts_example_says() -> None:
    shown = told(sent())
    assert {name: shown[name] for name, value in EXAMPLE.items() if "…" not in str(value)} == {
        name: value for name, value in EXAMPLE.items() if "…" not in str(value)
    }


def test_times_are_rfc_3339_in_utc() -> None:
    assert told(sent())["accepted_at"] == "2026-11-23T08:00:00.123000Z"


def test_an_error_has_its_members_in_their_order_also_without_a_word_of_zalos() -> None:
    error = told(failed())["error"]
    assert list(error) == ERROR
    assert error["zalo"] == {"error": -118, "message": "Zalo account not existed"}


@pytest.mark.parametrize("state", State)
def test_the_second_try_is_not_told_from_the_first(state: State) -> None:
    assert told(message(state))["status"] == state.value.removesuffix("-again")


def test_what_a_message_waits_for_is_its_own_reason_or_what_holds_it() -> None:
    later = NOW + timedelta(minutes=1)
    waiting = message(reason=Reason.RETRY, next_attempt_at=later)
    assert (told(waiting)["reason"], told(waiting)["next_attempt_at"]) == ("retry", "2026-11-23T08:01:00.123000Z")
    hold = Hold("main", Reason.BILLING, NOW, "no money", "pay")
    assert (told(waiting, hold)["reason"], told(waiting, hold)["next_attempt_at"]) == ("billing", None)
    assert told(sent(), hold)["reason"] is None, "nothing holds what is not waiting"


def test_an_unknown_message_is_unsettled_once_nothing_can_tell_any_more() -> None:
    unknown = message(State.UNKNOWN)
    for after, is_settled in ((timedelta(0), True), (timedelta(hours=26, seconds=1), False)):
        assert view(unknown, NOW + after).settled is is_settled


def test_the_timeline_comes_last_with_the_members_of_the_contract() -> None:
    shown = msgspec.json.decode(encode(view_with_timeline(sent(), NOW)))
    assert list(shown) == [*EXAMPLE, "timeline"]
    assert [list(line) for line in shown["timeline"]] == [["at", "fact", "status", "attempt", "cause"]]
