"""What operators may do to a message, in every state it can be in and at any moment of its life."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.conclusion import concluded
from gateway.core.delivery import NEXT, Accepted, Cell, Fact, Outcome, Reason, Special, State, Uncertain
from gateway.core.errors import InvalidRequest, WrongState
from gateway.core.message import Message, expired, received
from gateway.core.orders import MAX_NOTE_LENGTH, cancelled, resent, settled, signed, statuses_for
from gateway.core.silence import Pending, answered, msg_ids
from tests.core.test_message import HOUR, NOON, OUTCOMES, RECEIPT, REFUSED, UNCERTAIN, accepted, begun, born

BY = "by platform: the template was wrong"
LATER = NOON + HOUR


def unknown(**about: Any) -> Message:
    return concluded(begun(born(**about)), 1, UNCERTAIN, NOON)


def undelivered() -> Message:
    sent = concluded(begun(born()), 1, accepted(), NOON)
    return answered(sent, Pending(), NOON, about=msg_ids(sent))


LIVES: dict[State, Message] = {
    State.QUEUED: born(reason=Reason.RETRY, next_attempt_at=NOON),
    State.SENDING: begun(born()),
    State.QUEUED_AGAIN: unknown(resends=True),
    State.SENDING_AGAIN: begun(unknown(resends=True)),
    State.SENT: concluded(begun(born()), 1, accepted(), NOON),
    State.UNKNOWN: unknown(),
    State.DELIVERED: received(born(), RECEIPT, NOON),
    State.UNDELIVERED: undelivered(),
    State.FAILED: concluded(begun(born()), 1, REFUSED, NOON),
    State.EXPIRED: expired(born(), NOON),
    State.CANCELLED: cancelled(born(), NOON, cause=BY),
    State.SKIPPED: born(state=State.SKIPPED, template_id=None, phone=None),
}
FILLED = born(account="other", template_id="400002", phone="84*****9999", priority="urgent", life=3 * HOUR)


def in_(state: State) -> Message:
    """A message that has come to the state by what really happens to messages."""
    message = LIVES[state]
    assert message.state is state
    return message


def leads_to(cell: Cell, message: Message) -> State:
    return (message.back or State.UNKNOWN) if cell is Special.BACK else State(cell)


@pytest.mark.parametrize("state", State)
def test_a_message_is_cancelled_as_the_table_says(state: State) -> None:
    message, cell = in_(state), NEXT[state][Fact.CANCEL]
    if cell is Special.CONFLICT:
        with pytest.raises(WrongState, match=message.state.status):
            cancelled(message, LATER, cause=BY)
        return
    after = cancelled(message, LATER, cause=BY)
    assert after.state is leads_to(cell, message)
    assert (after.reason, after.next_attempt_at) == (None, None)
    assert after.timeline[-1] == msgspec.structs.replace(
        after.timeline[-1], at=LATER, fact="cancel", status=after.state.status, cause=BY
    )


@pytest.mark.parametrize("state", State)
def test_a_message_is_sent_again_as_the_table_says(state: State) -> None:
    message, cell = in_(state), NEXT[state][Fact.RESEND]
    if cell is Special.CONFLICT:
        with pytest.raises(WrongState, match=message.state.status):
            resent(message, FILLED, LATER, cause=BY)
        return
    after = resent(message, FILLED, LATER, cause=BY)
    assert after.state is leads_to(cell, message)
    assert after.timeline[:-1] == message.timeline
    line = after.timeline[-1]
    assert (line.at, line.fact, line.status, line.cause) == (LATER, "resend", "queued", BY)


@pytest.mark.parametrize("state", [State.UNKNOWN, State.UNDELIVERED])
def test_a_second_try_that_is_cancelled_or_expires_goes_back_to_where_it_came_from(state: State) -> None:
    again = resent(in_(state), FILLED, LATER, cause=BY)
    assert cancelled(again, LATER, cause=BY).state is state
    assert expired(again, LATER).state is state


@pytest.mark.parametrize("state", State)
def test_only_what_is_unknown_can_be_settled(state: State) -> None:
    message = in_(state)
    if state is not State.UNKNOWN:
        with pytest.raises(WrongState, match=message.state.status):
            settled(message, "failed", LATER, cause=BY)
        return
    delivered, failed = (settled(message, verdict, LATER, cause=BY) for verdict in ("delivered", "failed"))
    assert (delivered.state, delivered.delivered_at, delivered.error) == (State.DELIVERED, LATER, None)
    assert failed.state is State.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.permanent) == ("settled-as-failed", True)
    assert received(failed, RECEIPT, LATER).state is State.DELIVERED, "the phone knows better than a person"


def test_the_statuses_that_allow_an_order_are_those_whose_messages_it_can_be_given() -> None:
    assert statuses_for("cancel") == {"queued"}
    assert statuses_for("resend") == {"unknown", "undelivered", "failed", "expired"}


def test_who_is_sent_again_keeps_who_it_is_and_takes_all_else_from_the_mapping_in_force() -> None:
    before = in_(State.FAILED)
    after = resent(before, FILLED, LATER, cause=BY)
    taken = ("account", "template_id", "phone", "priority", "life", "expires_at", "mapping_version")
    kept = ("tracking_id", "caller", "mode", "event_id", "accepted_at", "attempts", "msg_id")
    assert all(getattr(after, name) == getattr(FILLED, name) for name in taken)
    assert all(getattr(after, name) == getattr(before, name) for name in kept)


def test_the_accounts_that_it_was_sent_through_may_still_have_a_word_to_say() -> None:
    after = resent(in_(State.UNKNOWN), FILLED, LATER, cause=BY)
    assert [after.is_of(account) for account in ("main", "other", "third")] == [True, True, False]
    same = resent(in_(State.UNKNOWN), born(), LATER, cause=BY)
    assert same.former_accounts == ()


def test_what_is_not_to_go_yet_waits_for_its_moment_also_when_it_is_sent_again() -> None:
    early = msgspec.structs.replace(FILLED, not_before=LATER + HOUR)
    after = resent(in_(State.FAILED), early, LATER, cause=BY)
    assert (after.reason, after.next_attempt_at) == (Reason.NOT_BEFORE, LATER + HOUR)
    late = msgspec.structs.replace(FILLED, not_before=NOON)
    assert resent(in_(State.FAILED), late, LATER, cause=BY).next_attempt_at is None


def test_a_late_answer_about_what_was_settled_as_failed_does_not_touch_what_was_sent_again() -> None:
    """Without that, the answer of a process that had stalled would meet a queued message, which it cannot."""
    again = resent(settled(in_(State.UNKNOWN), "failed", LATER, cause=BY), FILLED, LATER, cause=BY)
    assert again.state is State.QUEUED
    for late in OUTCOMES:
        assert concluded(again, 1, late, LATER, next_attempt_at=LATER).state is State.QUEUED


# -- words --


def test_the_timeline_says_who_and_why() -> None:
    assert signed("platform", None) == signed("platform", "") == "by platform"
    assert signed("platform", "Vietnamese: đã hỏi khách") == "by platform: Vietnamese: đã hỏi khách"


@pytest.mark.parametrize("note", ["x" * (MAX_NOTE_LENGTH + 1), "two\nlines", "a bell \x07", "\x9b31m"])
def test_a_note_that_is_no_line_is_refused(note: str) -> None:
    with pytest.raises(InvalidRequest, match="note"):
        signed("platform", note)


@pytest.mark.parametrize("number", ["0912345678", "+84 912 345 678", "84-912-345-678", "091.234.5678"])
def test_no_phone_number_comes_into_a_timeline(number: str) -> None:
    told = signed("platform", f"the customer of {number} asked, order 12345")
    assert "678" not in told
    assert told.endswith("asked, order 12345")


# -- at any moment --


class Ordered(RuleBasedStateMachine):
    """One message with whatever operators, its own attempts, Zalo and the clock do to it, sense or not."""

    @initialize(resends=st.booleans(), life_s=st.sampled_from([9, 60, 3600]))
    def it_is_born(self, resends: bool, life_s: int) -> None:
        self.message = born(resends=resends, life=timedelta(seconds=life_s))
        self.now = NOON
        self.fates: dict[int, Outcome] = {}

    def step(self, after: Message) -> None:
        assert after.version > self.message.version
        assert after.timeline[: len(self.message.timeline)] == self.message.timeline
        self.message = after

    @rule(seconds=st.integers(0, 90))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(order=st.sampled_from(["resend", "resend", "failed", "failed", "cancel", "delivered"]))
    def it_is_ordered(self, order: Any) -> None:
        filled = born(self.now, resends=self.message.resends)
        before = self.message
        try:
            match order:
                case "cancel":
                    after = cancelled(before, self.now, cause=BY)
                case "resend":
                    after = resent(before, filled, self.now, cause=BY)
                case verdict:
                    after = settled(before, verdict, self.now, cause=BY)
        except WrongState:
            return
        self.step(after)

    @precondition(lambda self: self.message.state.is_waiting)
    @rule()
    def it_is_claimed(self) -> None:
        self.step(begun(self.message, self.now))

    @precondition(lambda self: self.message.attempts)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def an_attempt_is_concluded(self, data: st.DataObject, outcome: Outcome) -> None:
        number = data.draw(st.integers(1, self.message.attempts))
        outcome = accepted(f"m{number}") if isinstance(outcome, Accepted) else outcome
        before = self.message
        self.step(concluded(before, number, outcome, self.now, next_attempt_at=self.now))
        if not isinstance(self.fates.get(number, UNCERTAIN), Uncertain):
            assert self.message.state is before.state
        else:
            self.fates[number] = outcome

    @precondition(lambda self: self.message.attempts > 1)  # it ends all that could be seen
    @rule()
    def a_receipt_comes(self) -> None:
        self.step(received(self.message, RECEIPT, self.now))
        assert self.message.state is State.DELIVERED

    @precondition(lambda self: self.message.state.is_waiting)
    @rule()
    def its_time_is_over(self) -> None:
        self.step(expired(self.message, self.now))

    # Silence is longer than any lease.
    @precondition(lambda self: self.message.state is State.SENT and self.message.open_attempt is None)
    @rule()
    def nothing_is_heard(self) -> None:
        self.step(answered(self.message, Pending(), self.now, about=msg_ids(self.message)))

    @invariant()
    def only_one_attempt_is_under_way_and_only_while_sending(self) -> None:
        state, unsettled = self.message.state, self.message.unsettled
        numbers = [one.number for one in unsettled if one.is_open]
        assert numbers in ([], [self.message.attempts])
        assert not (state.is_sending and not numbers)
        assert not (state.is_waiting and numbers)

    @invariant()
    def what_is_settled_leaves_nothing_in_doubt(self) -> None:
        if self.message.state in (State.QUEUED, State.FAILED, State.EXPIRED):
            assert self.message.unsettled == ()
        if self.message.state is State.UNKNOWN:
            assert self.message.unsettled != ()

    @invariant()
    def it_waits_for_something_only_while_it_is_queued(self) -> None:
        if not self.message.state.is_waiting:
            assert (self.message.reason, self.message.next_attempt_at) == (None, None)


TestOrdered = Ordered.TestCase
TestOrdered.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_a_message_that_begins_anew_has_no_error_of_its_former_life() -> None:
    for state in (State.FAILED, State.EXPIRED, State.UNDELIVERED):
        assert resent(in_(state), FILLED, LATER, cause=BY).error is None
    doubtful = resent(in_(State.UNKNOWN), FILLED, LATER, cause=BY)
    assert doubtful.error == in_(State.UNKNOWN).error is not None
