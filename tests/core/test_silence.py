"""When a silent message is asked about, what an answer makes of it, and when nobody asks any more."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.core.conclusion import concluded
from gateway.core.delivery import Accepted, Category, DeliveryError, State, Uncertain
from gateway.core.message import Message, claimed, received
from gateway.core.receipt import Receipt
from gateway.core.silence import (
    MOST_ASKS,
    Delivered,
    Pending,
    answered,
    asking,
    given_up,
    last_word,
    may_ask,
    msg_ids,
)
from tests.messages import make_queued

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=3)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
UNCERTAIN = Uncertain(DeliveryError("timed-out", Category.TRANSIENT, "", permanent=False, advice=""))


def begun() -> Message:
    return claimed(make_queued(NOON, life=HOUR, grace=MINUTE), owner="us", now=NOON, lease=MINUTE)


def sent(*others: str) -> Message:
    message = concluded(begun(), 1, Accepted("m1"), NOON)
    return msgspec.structs.replace(message, other_msg_ids=others)


def test_the_first_question_comes_when_time_limit_and_grace_are_over() -> None:
    assert sent().ask_at == NOON + 2 * HOUR + MINUTE


def test_after_that_it_is_asked_again_after_1_5_and_30_minutes_then_hourly_for_a_day_and_then_no_more() -> None:
    message, now, pauses = sent(), LATER, []
    while may_ask(message):
        message = asking(message, now)
        assert message.ask_at is not None
        pauses.append(message.ask_at - now)
        now = message.ask_at
    assert pauses[:3] == [MINUTE, 5 * MINUTE, 30 * MINUTE]
    assert pauses[3:] == [HOUR] * 25  # the last of them is when it is given up
    assert message.asks == MOST_ASKS == 28


def test_a_question_is_no_event_of_the_message_s_life_but_a_new_version_that_others_must_not_ask_from() -> None:
    before = sent()
    after = asking(before, LATER)
    assert (after.timeline, after.updated_at, after.state) == (before.timeline, before.updated_at, State.SENT)
    assert after.version == before.version + 1


@pytest.mark.parametrize(("said", "then"), [(NOON + HOUR, NOON + HOUR), (None, LATER)])
def test_yes_is_a_receipt_with_zalo_s_time_where_it_gave_one(said: datetime | None, then: datetime) -> None:
    message = answered(asking(sent(), LATER), Delivered(said), LATER, about=["m1"])
    assert (message.state, message.delivered_at, message.ask_at, message.asks) == (State.DELIVERED, then, None, 0)
    assert (message.timeline[-1].fact, message.timeline[-1].cause) == ("receipt", "asked")


def test_no_is_silence_and_a_later_receipt_is_still_heard() -> None:
    message = answered(asking(sent(), LATER), Pending(), LATER, about=["m1"])
    assert (message.state, message.ask_at, message.asks) == (State.UNDELIVERED, None, 0)
    assert (message.timeline[-1].fact, message.timeline[-1].cause) == ("silent", "asked")
    assert received(message, Receipt("m1", None, None), LATER).state is State.DELIVERED


def test_silence_about_less_than_zalo_has_taken_by_now_is_noted_and_the_question_stays_due() -> None:
    message = asking(sent("m2"), LATER)
    assert msg_ids(message) == ("m1", "m2")
    after = answered(message, Pending(), LATER, about=["m1"])
    assert (after.state, after.ask_at) == (State.SENT, message.ask_at)
    assert answered(after, Pending(), LATER, about=["m1", "m2"]).state is State.UNDELIVERED


def test_an_answer_that_comes_after_the_receipt_takes_nothing_back() -> None:
    delivered = received(sent(), Receipt("m1", None, NOON + MINUTE), LATER)
    for answer in (Pending(), Delivered(LATER)):
        after = answered(delivered, answer, LATER, about=["m1"])
        assert (after.state, after.delivered_at) == (State.DELIVERED, NOON + MINUTE)


def test_what_nobody_can_explain_stays_sent_and_what_nobody_can_tell_any_more_stays_unknown() -> None:
    unknown = concluded(begun(), 1, UNCERTAIN, NOON)
    for message, word in ((sent(), "silence-unexplained"), (unknown, "unsettled")):
        after = given_up(message, LATER)
        assert (after.state, after.ask_at) == (message.state, None)
        assert last_word(message) == after.timeline[-1].fact == word
        assert (after.updated_at, after.version) == (LATER, message.version + 1)


def test_an_unknown_message_is_not_asked_about_and_given_up_when_nothing_can_tell_any_more() -> None:
    unknown = concluded(begun(), 1, UNCERTAIN, NOON)
    assert not may_ask(unknown)
    assert unknown.ask_at is not None
    assert not unknown.is_settled(unknown.ask_at)
    assert unknown.is_settled(unknown.ask_at - timedelta(microseconds=1))
