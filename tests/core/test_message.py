"""What can become of one message, under any order of what is learned about it."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.delivery import (
    NEXT,
    Accepted,
    Category,
    Deferred,
    DeliveryError,
    Fact,
    Outcome,
    Quota,
    Reason,
    Refused,
    Scope,
    Special,
    State,
    Uncertain,
    Until,
    Wait,
)
from gateway.core.identity import TrackingId
from gateway.core.message import (
    RESEND_DELAY,
    Attempt,
    Message,
    claimed,
    concluded,
    expired,
    received,
    stored,
    waiting,
)
from gateway.core.receipt import Receipt

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
LEASE = timedelta(seconds=22)
HOUR = timedelta(hours=1)


def error(code: str = "zalo-unavailable") -> DeliveryError:
    return DeliveryError(code, Category.TRANSIENT, "what it means", permanent=False, advice="wait")


def accepted(msg_id: str = "m1") -> Accepted:
    return Accepted(msg_id, NOON + timedelta(seconds=1), Quota(500, 499))


REFUSED = Refused(error("recipient-not-on-zalo"))
DEFERRED = Deferred(error(), Wait(Reason.RETRY, Scope.MESSAGE, Until.BACKOFF))
UNCERTAIN = Uncertain(error("timed-out"))
RECEIPT = Receipt("m1", "t" * 26, NOON + timedelta(seconds=2))
OUTCOMES: list[Outcome] = [accepted(), REFUSED, DEFERRED, UNCERTAIN]


def born(*, resends: bool = False, life: timedelta = HOUR, **changes: Any) -> Message:
    message = Message(
        tracking_id=TrackingId("t" * 26),
        caller="checkout",
        mode="live",
        event_id="evt-1",
        event_source="/checkout",
        event_type="order.paid",
        mapping_version="sha256:0",
        account="main",
        template_id="400001",
        phone="84*****4321",
        priority="normal",
        resends=resends,
        ignores_quiet_hours=False,
        time_limit=timedelta(hours=2),
        life=life,
        state=State.QUEUED,
        accepted_at=NOON,
        expires_at=NOON + life,
        updated_at=NOON,
    )
    return msgspec.structs.replace(stored(message, NOON), **changes)


def begun(message: Message, now: datetime = NOON) -> Message:
    return claimed(message, owner="us", now=now, lease=LEASE)


def silent(message: Message) -> Message:
    """What the table says of `silent`, which no flow causes yet."""
    cell = NEXT[message.state][Fact.SILENT]
    assert cell is not Special.NEVER
    return (
        msgspec.structs.replace(message, state=cell, version=message.version + 1)
        if isinstance(cell, State)
        else message
    )


# -- one attempt, every order --


def after(message: Message, fact: Fact, now: datetime) -> Message:
    match fact:
        case Fact.ACCEPTED:
            return concluded(message, 1, accepted(), now)
        case Fact.UNCERTAIN:
            return concluded(message, 1, UNCERTAIN, now)
        case Fact.RECEIPT:
            return received(message, RECEIPT, now)
        case _:
            return silent(message)


def orders(facts: tuple[Fact, ...]) -> list[tuple[Fact, ...]]:
    """Every order in which these can be learned: without a msg_id nobody can ask and find silence."""
    return [
        order
        for order in permutations(facts)
        if Fact.SILENT not in order or order.index(Fact.SILENT) > order.index(Fact.ACCEPTED)
    ]


EVIDENCE = [
    (Fact.ACCEPTED, Fact.RECEIPT),
    (Fact.ACCEPTED, Fact.UNCERTAIN),
    (Fact.UNCERTAIN, Fact.RECEIPT),
    (Fact.ACCEPTED, Fact.SILENT),
    (Fact.ACCEPTED, Fact.RECEIPT, Fact.UNCERTAIN),
    (Fact.ACCEPTED, Fact.UNCERTAIN, Fact.SILENT),
    (Fact.ACCEPTED, Fact.RECEIPT, Fact.SILENT),
    (Fact.ACCEPTED, Fact.RECEIPT, Fact.UNCERTAIN, Fact.SILENT),
    (Fact.ACCEPTED, Fact.ACCEPTED, Fact.RECEIPT, Fact.UNCERTAIN, Fact.UNCERTAIN, Fact.SILENT),
]


@pytest.mark.parametrize("resends", [False, True])
@pytest.mark.parametrize("begins_again", [False, True])
@pytest.mark.parametrize("facts", EVIDENCE, ids="+".join)
def test_every_order_of_the_evidence_about_an_attempt_ends_alike(
    facts: tuple[Fact, ...], resends: bool, begins_again: bool
) -> None:
    ends = set()
    for order in orders(facts):
        message, now = begun(born(resends=resends)), NOON
        for fact in order:
            now += timedelta(seconds=3)
            message = after(message, fact, now)
            if begins_again and message.state is State.QUEUED_AGAIN:
                message = begun(message, now)
        what_it_knows = (
            message.state,
            message.msg_id,
            message.other_msg_ids,
            message.sent_at,
            message.delivered_at,
        )
        ends.add((*what_it_knows, message.error, message.quota if Fact.ACCEPTED in facts else None))
    assert len(ends) == 1


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ((Fact.ACCEPTED, Fact.UNCERTAIN), State.SENT),
        ((Fact.UNCERTAIN, Fact.RECEIPT), State.DELIVERED),
        ((Fact.ACCEPTED, Fact.UNCERTAIN, Fact.SILENT), State.UNDELIVERED),
        ((Fact.ACCEPTED, Fact.SILENT, Fact.RECEIPT), State.DELIVERED),
    ],
)
def test_the_strongest_evidence_decides(facts: tuple[Fact, ...], state: State) -> None:
    message = begun(born())
    for fact in facts:
        message = after(message, fact, NOON)
    assert message.state is state


# -- everything that can happen, in any order --


class Life(RuleBasedStateMachine):
    """One message with whatever its own attempts, Zalo and the clock do to it, sense or not."""

    @initialize(resends=st.booleans(), life_s=st.sampled_from([1, 9, 15, 60, 3600]))
    def it_is_born(self, resends: bool, life_s: int) -> None:
        self.message = born(resends=resends, life=timedelta(seconds=life_s))
        self.now = NOON
        self.fates: dict[int, Outcome] = {}
        self.msg_ids: set[str] = set()
        self.delivered_at: datetime | None = None

    def step(self, after: Message) -> None:
        assert after.version > self.message.version
        assert len(after.timeline) > len(self.message.timeline)
        assert self.delivered_at is None or after.delivered_at == self.delivered_at
        self.delivered_at = after.delivered_at
        self.message = after
        known = {after.msg_id, *after.other_msg_ids}
        assert self.msg_ids <= known
        self.msg_ids |= {one for one in known if one is not None}

    @rule(seconds=st.integers(0, 30))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def may_have_gone(self) -> int:
        """How many requests Zalo may have taken, as far as anybody was told."""
        return sum(isinstance(fate, Accepted | Uncertain) for fate in self.fates.values())

    @precondition(lambda self: self.message.state.is_waiting)
    @rule()
    def it_is_claimed(self) -> None:
        assert self.may_have_gone() <= (1 if self.message.resends else 0)
        moment = self.message.next_attempt_at
        self.now = self.now if moment is None else max(self.now, moment)
        self.step(begun(self.message, self.now))

    @precondition(lambda self: self.message.attempts)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES), delay_s=st.integers(0, 100))
    def an_attempt_is_concluded(self, data: st.DataObject, outcome: Outcome, delay_s: int) -> None:
        number = data.draw(st.integers(1, self.message.attempts))
        if isinstance(outcome, Accepted):
            outcome = accepted(f"m{number}")
        before = self.message
        moment = self.now + timedelta(seconds=delay_s)
        self.step(concluded(before, number, outcome, self.now, next_attempt_at=moment))
        if isinstance(self.fates.get(number, UNCERTAIN), Uncertain):
            self.fates[number] = outcome
        else:
            assert self.message.state is before.state
            assert self.message.unsettled == before.unsettled

    @rule()
    def a_receipt_comes(self) -> None:
        self.step(received(self.message, RECEIPT, self.now))
        assert self.message.state is State.DELIVERED

    @precondition(lambda self: self.message.state.is_waiting)
    @rule()
    def its_time_is_over(self) -> None:
        self.step(expired(self.message, self.now))
        assert not self.message.state.is_waiting

    @precondition(lambda self: self.message.state in (State.SENT, State.UNDELIVERED, State.DELIVERED))
    @rule()
    def nothing_is_heard(self) -> None:
        self.message = silent(self.message)

    @invariant()
    def at_most_one_try_more_than_is_certain(self) -> None:
        assert self.may_have_gone() <= (2 if self.message.resends else 1)

    @invariant()
    def only_one_attempt_is_under_way_and_only_while_sending(self) -> None:
        state, unsettled = self.message.state, self.message.unsettled
        numbers = [one.number for one in unsettled if one.is_open]
        assert len(numbers) <= 1
        assert numbers in ([], [self.message.attempts])
        assert not (state.is_sending and not numbers)
        assert not (state.is_waiting and numbers)

    @invariant()
    def what_is_settled_leaves_nothing_in_doubt(self) -> None:
        state, unsettled = self.message.state, self.message.unsettled
        if state in (State.QUEUED, State.FAILED, State.EXPIRED):
            assert unsettled == ()
        if state is State.SENDING:
            assert [one.is_open for one in unsettled] == [True]
        if state is State.UNKNOWN:
            assert unsettled != ()

    @invariant()
    def it_waits_only_for_a_moment_before_its_expiry(self) -> None:
        moment = self.message.next_attempt_at
        assert moment is None or (self.message.state.is_waiting and moment < self.message.expires_at)

    @invariant()
    def the_error_is_the_last_word_and_nothing_once_sent(self) -> None:
        if self.message.state in (State.SENT, State.UNDELIVERED, State.DELIVERED):
            assert self.message.error is None
        if self.message.state in (State.UNKNOWN, State.FAILED):
            assert self.message.error is not None

    @invariant()
    def it_has_what_its_status_promises(self) -> None:
        if self.message.state in (State.SENT, State.UNDELIVERED):
            assert self.message.msg_id is not None
            assert self.message.sent_at is not None
        assert (self.message.delivered_at is not None) == (self.message.state is State.DELIVERED)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)


# -- single promises --


def test_an_uncertain_attempt_is_never_followed_by_another_unless_the_mapping_resends() -> None:
    message = concluded(begun(born()), 1, UNCERTAIN, NOON)
    assert message.state is State.UNKNOWN
    assert message.next_attempt_at is None


@given(st.integers(0, 40))
def test_the_second_try_comes_ten_seconds_after_the_first_began_or_later(answered_after_s: int) -> None:
    now = NOON + timedelta(seconds=answered_after_s)
    message = concluded(begun(born(resends=True)), 1, UNCERTAIN, now)
    assert message.state is State.QUEUED_AGAIN
    assert message.next_attempt_at == max(now, NOON + RESEND_DELAY)


def test_there_is_no_second_try_without_time_for_it() -> None:
    message = concluded(begun(born(resends=True, life=RESEND_DELAY)), 1, UNCERTAIN, NOON)
    assert message.state is State.UNKNOWN


def test_a_second_try_that_is_uncertain_too_is_the_last() -> None:
    message = concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON)
    message = concluded(begun(message), 2, UNCERTAIN, NOON)
    assert message.state is State.UNKNOWN
    assert [one.number for one in message.unsettled] == [1, 2]


def test_there_is_one_second_try_even_if_the_first_turns_out_not_to_have_been_one() -> None:
    message = concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON)
    message = concluded(message, 1, DEFERRED, NOON, next_attempt_at=NOON)
    assert message.state is State.QUEUED
    assert concluded(begun(message), 2, UNCERTAIN, NOON).state is State.UNKNOWN


def test_a_deferred_second_try_is_still_one_beside_an_unsettled_first() -> None:
    message = concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON)
    message = concluded(begun(message), 2, DEFERRED, NOON, next_attempt_at=NOON + timedelta(minutes=1))
    assert message.state is State.QUEUED_AGAIN
    assert expired(message, NOON + HOUR).state is State.UNKNOWN
    assert expired(message, NOON + HOUR).error == DEFERRED.error


def test_a_refused_second_try_says_nothing_of_the_first() -> None:
    message = concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON)
    message = concluded(begun(message), 2, REFUSED, NOON)
    assert message.state is State.UNKNOWN
    assert message.error == REFUSED.error
    assert concluded(message, 1, REFUSED, NOON).state is State.FAILED


@pytest.mark.parametrize("late", [REFUSED, DEFERRED])
def test_a_late_answer_while_another_attempt_is_in_doubt_does_not_settle_the_message(late: Outcome) -> None:
    message = concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON)
    message = concluded(begun(message), 2, UNCERTAIN, NOON)
    message = concluded(message, 1, late, NOON, next_attempt_at=NOON)
    assert message.state is State.UNKNOWN
    assert concluded(message, 2, REFUSED, NOON).state is State.FAILED


def resent(message: Message) -> Message:
    """As an operator's resend leaves it; the flow for that is still to come."""
    assert NEXT[message.state][Fact.RESEND] is State.QUEUED_AGAIN
    return msgspec.structs.replace(message, state=State.QUEUED_AGAIN, back=message.state, was_resent=True)


def test_what_an_operator_sends_again_after_silence_goes_back_to_undelivered_when_refused() -> None:
    message = begun(resent(silent(concluded(begun(born()), 1, accepted(), NOON))))
    assert concluded(message, 2, REFUSED, NOON).state is State.UNDELIVERED


def test_a_late_refusal_beside_what_zalo_took_moves_nothing() -> None:
    message = begun(concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON))
    message = resent(silent(concluded(message, 2, accepted(), NOON)))
    assert concluded(message, 1, REFUSED, NOON).state is State.QUEUED_AGAIN
    assert concluded(begun(message), 1, REFUSED, NOON).state is State.SENDING_AGAIN


def test_a_message_that_is_sent_again_goes_by_its_new_msg_id_and_keeps_the_old_one() -> None:
    message = begun(resent(silent(concluded(begun(born()), 1, accepted("m1"), NOON))))
    message = concluded(message, 2, accepted("m2"), NOON)
    assert (message.msg_id, message.other_msg_ids, message.error) == ("m2", ("m1",), None)


def test_a_second_yes_to_a_sent_message_is_kept_beside_the_first() -> None:
    message = begun(concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON))
    message = concluded(message, 1, accepted("m1"), NOON)
    message = concluded(message, 2, accepted("m2"), NOON)
    assert (message.state, message.msg_id, message.other_msg_ids) == (State.SENT, "m1", ("m2",))


def test_the_answer_after_the_receipt_fills_in_what_the_receipt_could_not_say() -> None:
    message = received(begun(born()), Receipt(None, "t" * 26, None), NOON)
    assert message.delivered_at == NOON
    message = concluded(message, 1, accepted(), NOON)
    assert (message.state, message.msg_id, message.quota) == (State.DELIVERED, "m1", Quota(500, 499))


@pytest.mark.parametrize("late", [False, True])
def test_what_could_only_go_out_at_its_expiry_has_expired_with_its_error(late: bool) -> None:
    message = begun(born(resends=late))
    if late:
        message = concluded(message, 1, UNCERTAIN, NOON)
    message = concluded(message, 1, DEFERRED, NOON, next_attempt_at=message.expires_at)
    assert message.state is State.EXPIRED
    assert message.error == DEFERRED.error
    assert message.next_attempt_at is None


def test_what_waits_for_a_cure_waits_without_a_moment() -> None:
    message = concluded(begun(born()), 1, DEFERRED, NOON, next_attempt_at=None)
    assert message.state is State.QUEUED
    assert message.next_attempt_at is None


def test_waiting_for_something_else_is_no_event_of_its_life() -> None:
    message = waiting(born(), reason=Reason.RATE, next_attempt_at=NOON)
    assert message.timeline == born().timeline
    assert message.version == born().version + 1


def test_a_claim_writes_down_who_sends_and_for_how_long() -> None:
    message = begun(born(reason=Reason.RETRY, next_attempt_at=NOON))
    assert message.open_attempt == Attempt(1, "us", NOON, NOON + LEASE)
    assert (message.attempts, message.reason, message.next_attempt_at) == (1, None, None)


def test_an_unknown_message_counts_as_settled_until_nothing_can_tell_any_more() -> None:
    message = concluded(begun(born()), 1, UNCERTAIN, NOON)
    last = NOON + message.time_limit + timedelta(days=1)
    assert message.is_settled(last - timedelta(microseconds=1))
    assert not message.is_settled(last)
    assert received(message, RECEIPT, last).is_settled(last + HOUR)


def test_time_never_runs_backwards_in_a_message() -> None:
    message = received(begun(born(), NOON + HOUR), RECEIPT, NOON)
    assert message.updated_at == NOON + HOUR
