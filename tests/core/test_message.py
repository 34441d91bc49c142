"""What can become of one message, under any order of what is learned about it."""

from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.conclusion import concluded
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
    given_up,
)
from gateway.core.message import RESEND_DELAY, Attempt, Message, claimed, expired, received, waiting
from gateway.core.orders import resent
from gateway.core.receipt import Receipt
from gateway.core.silence import Delivered, Pending, answered, msg_ids
from tests.messages import make_queued

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


def born(accepted_at: datetime = NOON, *, life: timedelta = HOUR, **changes: Any) -> Message:
    return make_queued(accepted_at, life=life, **changes)


def begun(message: Message, now: datetime = NOON) -> Message:
    return claimed(message, owner="us", now=now, lease=LEASE)


def silent(message: Message, now: datetime = NOON) -> Message:
    """As it is after Zalo has said of everything it took that no phone has it."""
    return answered(message, Pending(), now, about=msg_ids(message))


# -- every order of the evidence --
#
# Evidence is what is learned of an attempt: that Zalo took it, that nobody can tell, that a phone has the message, that
# none has. It CONVERGES: at rest, which is when every attempt is concluded and no question is due, the status does not
# depend on the order in which it was learned, nor on how often. It is so because the statuses have an order, each piece
# of evidence stands for one of them, and learning it leads to the higher of the two: `max` asks for no order.
# Silence alone is an answer to a question of ours, and none before there is a msg_id to ask about or while a request is
# under way. It is not lost by that: a message that is `sent` has a question due.

EVIDENCE = {
    Fact.UNCERTAIN: State.UNKNOWN,
    Fact.ACCEPTED: State.SENT,
    Fact.SILENT: State.UNDELIVERED,
    Fact.RECEIPT: State.DELIVERED,
}
LEVELS: list[tuple[State | Special, ...]] = [
    (State.SENDING,),
    (State.UNKNOWN, State.QUEUED_AGAIN, State.SENDING_AGAIN, Special.MAYBE_AGAIN),
    (State.SENT,),
    (State.UNDELIVERED,),
    (State.DELIVERED,),
]


def level(state: State | Special) -> int:
    return next(number for number, states in enumerate(LEVELS) if state in states)


@pytest.mark.parametrize("fact", EVIDENCE)
@pytest.mark.parametrize("state", [state for states in LEVELS for state in states if isinstance(state, State)])
def test_evidence_leads_to_the_higher_of_what_was_known_and_what_it_says(state: State, fact: Fact) -> None:
    cell = NEXT[state][fact]
    if fact is Fact.SILENT and level(state) < level(State.SENT):
        assert cell in (Special.NOTED, Special.NEVER)
    else:
        assert level(state if cell is Special.NOTED else cell) == max(level(state), level(EVIDENCE[fact]))


Learned = tuple[Fact, int]


def learn(message: Message, learned: Learned, now: datetime) -> Message:
    fact, number = learned
    match fact:
        case Fact.ACCEPTED:
            return concluded(message, number, accepted(f"m{number}"), now)
        case Fact.UNCERTAIN:
            return concluded(message, number, UNCERTAIN, now)
        case Fact.RECEIPT:
            return received(message, RECEIPT, now)
        case _:
            return silent(message, now) if message.state is State.SENT and not message.open_attempt else message


def at_rest(message: Message, order: tuple[Learned, ...], now: datetime) -> Message:
    """After every lease has lapsed and, if Zalo has anything to say, every question is answered."""
    if (attempt := message.open_attempt) is not None:
        message = learn(message, (Fact.UNCERTAIN, attempt.number), now)
    assert (message.ask_at is not None) == (message.state in (State.SENT, State.UNKNOWN))
    return silent(message, now) if message.state is State.SENT and (Fact.SILENT, 0) in order else message


def orders(*facts: Learned) -> dict[tuple[Learned, ...], set[tuple[Learned, ...]]]:
    """Every order of everything that can be learned, and of each part of it."""
    parts = {part for count in range(1, len(facts) + 1) for part in combinations(facts, count)}
    return {part: set(permutations(part)) for part in parts}


def strongest(facts: tuple[Learned, ...]) -> State:
    """What the evidence comes to; silence about what nobody knows to be taken is none."""
    known = {fact for fact, _ in facts} | {Fact.UNCERTAIN}
    if Fact.ACCEPTED not in known:
        known.discard(Fact.SILENT)
    return max((EVIDENCE[fact] for fact in known), key=level)


@pytest.mark.parametrize("resends", [False, True])
@pytest.mark.parametrize("begins_again", [False, True])
def test_every_order_of_the_evidence_about_an_attempt_ends_alike(resends: bool, begins_again: bool) -> None:
    learnable = [(Fact.ACCEPTED, 1), (Fact.ACCEPTED, 1), (Fact.RECEIPT, 0), (Fact.RECEIPT, 0), (Fact.UNCERTAIN, 1)]
    for facts, permuted in orders(*learnable, (Fact.SILENT, 0)).items():
        ends = set()
        for order in permuted:
            message, now = begun(born(resends=resends)), NOON
            for learned in order:
                now += timedelta(seconds=3)
                message = learn(message, learned, now)
                if begins_again and message.state is State.QUEUED_AGAIN:
                    message = begun(message, now)
            message = at_rest(message, order, now)
            assert level(message.state) == level(strongest(facts)), order
            what_it_knows = (message.msg_id, message.other_msg_ids, message.sent_at, message.delivered_at)
            was_taken = (Fact.ACCEPTED, 1) in facts
            ends.add((*what_it_knows, message.error, message.quota if was_taken else None))
        assert len(ends) == 1


def test_every_order_of_the_evidence_about_the_two_attempts_of_a_resend_ends_alike() -> None:
    both = [(Fact.ACCEPTED, 1), (Fact.ACCEPTED, 2), (Fact.UNCERTAIN, 1), (Fact.UNCERTAIN, 2)]
    for facts, permuted in orders(*both, (Fact.RECEIPT, 0), (Fact.RECEIPT, 0), (Fact.SILENT, 0)).items():
        for order in permuted:
            now = NOON + RESEND_DELAY
            message = begun(concluded(begun(born(resends=True)), 1, UNCERTAIN, now), now)
            for learned in order:
                now += timedelta(seconds=3)
                message = learn(message, learned, now)
            assert at_rest(message, order, now).state is strongest(facts), order


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
        self.step(silent(self.message, self.now))

    @precondition(lambda self: self.message.state in (State.SENT, State.UNDELIVERED, State.DELIVERED))
    @rule()
    def zalo_says_when_asked_that_a_phone_has_it(self) -> None:
        self.step(answered(self.message, Delivered(NOON), self.now, about=msg_ids(self.message)))
        assert self.message.state is State.DELIVERED

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


def sent_again(message: Message) -> Message:
    return begun(resent(message, born(), NOON, cause="ops"))


def test_what_an_operator_sends_again_after_silence_goes_back_to_undelivered_when_refused() -> None:
    message = sent_again(silent(concluded(begun(born()), 1, accepted(), NOON)))
    assert concluded(message, 2, REFUSED, NOON).state is State.UNDELIVERED


def test_a_late_refusal_beside_what_zalo_took_moves_nothing() -> None:
    message = begun(concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON))
    message = resent(silent(concluded(message, 2, accepted(), NOON)), born(), NOON, cause="ops")
    assert concluded(message, 1, REFUSED, NOON).state is State.QUEUED_AGAIN
    assert concluded(begun(message), 1, REFUSED, NOON).state is State.SENDING_AGAIN


def test_a_message_that_is_sent_again_goes_by_its_new_msg_id_and_keeps_the_old_one() -> None:
    message = sent_again(silent(concluded(begun(born()), 1, accepted("m1"), NOON)))
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
    assert message.error == given_up(DEFERRED.error)
    assert message.error.permanent, "whoever is told must not wait for what will not come"
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


@pytest.mark.parametrize("reason", [None, *Reason])
def test_what_expires_before_zalo_was_asked_says_what_it_had_waited_for(reason: Reason | None) -> None:
    after = expired(waiting(born(), reason=reason, next_attempt_at=None), NOON + HOUR)
    assert after.error is not None
    assert (after.error.code, after.error.permanent, after.error.zalo) == ("waited-too-long", True, None)
    assert after.timeline[-1].cause == (None if reason is None else f"waited for {reason}")


@pytest.mark.parametrize(
    ("early", "words"),
    [
        (timedelta(), "its time passed while it waited for more quota"),
        (timedelta(seconds=1), "its time would have passed while it waited for more quota"),
    ],
)
def test_what_could_only_go_too_late_is_not_said_to_have_waited_so_long(early: timedelta, words: str) -> None:
    message = waiting(born(), reason=Reason.QUOTA, next_attempt_at=None)
    error = expired(message, message.expires_at - early).error
    assert error is not None
    assert error.detail == words


def test_what_zalo_had_said_is_kept_and_a_second_try_that_expires_has_no_error_of_its_own() -> None:
    deferred = concluded(begun(born()), 1, DEFERRED, NOON, next_attempt_at=NOON)
    assert expired(deferred, NOON + HOUR).error == given_up(DEFERRED.error)
    again = concluded(begun(born(resends=True)), 1, UNCERTAIN, NOON)
    assert again.state is State.QUEUED_AGAIN
    assert expired(again, NOON + HOUR).error == again.error
