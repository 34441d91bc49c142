"""What is known of a day's quota, and the last of it that is kept for what is urgent."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.delivery import Quota
from gateway.core.quota import KnownQuota, Reserve, heard_from_a_send, left_today
from gateway.core.schedule import VIETNAM, next_day

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=VIETNAM)
MIDNIGHT = datetime(2026, 11, 24, 0, 0, tzinfo=VIETNAM)
SECOND = timedelta(seconds=1)


def test_yesterday_s_number_says_nothing_from_the_vietnamese_midnight_on() -> None:
    known = KnownQuota(500, 3, NOON)
    assert left_today(known, MIDNIGHT - timedelta(microseconds=1)) == 3
    assert left_today(known, MIDNIGHT) is None
    assert left_today(None, NOON) is None


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (None, Quota(500, 499), (500, 499)),
        ((500, 400), Quota(500, 399), (500, 399)),
        ((500, 399), Quota(500, 400), (500, 399)),  # it was overtaken
        ((500, 0), Quota(2000, 1500), (2000, 1500)),  # raised
        ((500, 400), Quota(None, 399), (500, 399)),
        ((500, 400), Quota(2000, None), (2000, 400)),
        ((500, None), Quota(500, 7), (500, 7)),
    ],
)
def test_an_answer_to_a_send_tells_what_is_left(
    before: tuple[int, int] | None, said: Quota, after: tuple[int, int]
) -> None:
    known = None if before is None else KnownQuota(*before, NOON)
    heard = heard_from_a_send(known, said, NOON + SECOND)
    assert (heard.daily, heard.remaining) == after
    assert heard.as_of == (NOON if said.remaining is None else NOON + SECOND)


def test_the_first_answer_of_a_day_begins_anew() -> None:
    assert heard_from_a_send(KnownQuota(500, 3, NOON), Quota(500, 499), MIDNIGHT).remaining == 499


@given(size=st.integers(1, 50), left=st.integers(0, 100), away=st.integers(0, 100))
def test_what_is_not_urgent_goes_only_while_more_than_the_reserve_is_left_after_all_that_is_on_its_way(
    size: int, left: int, away: int
) -> None:
    reserve = Reserve(size)
    for _ in range(away):
        reserve.depart(NOON)
    until = reserve.until(left, NOON)
    assert (until is None) == (left - away > size)
    # Only Zalo's own word puts it off to the next day: what is on its way may not be taken.
    assert (until == next_day(NOON)) == (left <= size)


def test_what_was_answered_counts_no_more_and_what_is_never_answered_is_forgotten() -> None:
    reserve = Reserve(10)
    for _ in range(2):
        reserve.depart(NOON)
    assert reserve.until(12, NOON) == NOON + SECOND
    reserve.arrive()
    assert reserve.until(12, NOON) is None
    assert reserve.until(11, NOON + 29 * SECOND) == NOON + 30 * SECOND
    assert reserve.until(11, NOON + 30 * SECOND) is None


@pytest.mark.parametrize(("size", "left"), [(0, 0), (0, 5), (10, None)])
def test_nothing_is_kept_back_without_a_reserve_or_while_nobody_knows_what_is_left(
    size: int, left: int | None
) -> None:
    reserve = Reserve(size)
    for _ in range(100):
        reserve.depart(NOON)
    assert reserve.until(left, NOON) is None


def test_a_hundred_at_once_take_no_more_than_what_lies_above_the_reserve() -> None:
    reserve, gone = Reserve(20), 0
    for _ in range(100):
        if reserve.until(50, NOON) is None:
            reserve.depart(NOON)
            gone += 1
    assert gone == 30
