"""What a caller may send, and how fast."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.caller import Bucket, Caller

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("order.paid", ["order.paid"], ["order.paid.x", "xorder.paid", "orderxpaid", "ORDER.PAID", ""]),
        ("order.*", ["order.paid", "order.paid.twice", "order."], ["order", "xorder.paid", "orders.paid"]),
        ("*", ["", "a", "a.b\n.c"], []),
        ("*.paid", ["order.paid", ".paid", "a.b.paid"], ["paid", "order.paids"]),
        ("a*b*c", ["abc", "axxbxxc", "ab.b.c"], ["acb", "abcd"]),
        ("a[b]+.(c)?", ["a[b]+.(c)?"], ["ab.c", "a[b]+.(c)"]),
        ("**", ["anything"], []),
    ],
)
def test_a_star_covers_any_characters_and_nothing_else_is_special(
    pattern: str, covered: list[str], not_covered: list[str]
) -> None:
    caller = Caller("a", (pattern,))
    assert all(caller.may_send(event_type) for event_type in covered)
    assert not any(caller.may_send(event_type) for event_type in not_covered)


def test_an_operator_too_posts_only_what_its_patterns_cover() -> None:
    assert not Caller("a", is_operator=True).may_send("order.paid")
    assert Caller("a", ("x", "order.*"), is_operator=True).may_send("order.paid")


def test_no_limit_is_no_limit() -> None:
    bucket = Bucket(0)
    assert {bucket.take(NOON) for _ in range(10_000)} == {0.0}


def test_a_second_s_worth_may_go_at_once_and_then_one_as_each_comes_in() -> None:
    bucket = Bucket(4)
    assert [bucket.take(NOON) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.25]
    assert bucket.take(NOON + timedelta(milliseconds=249)) > 0
    assert bucket.take(NOON + timedelta(milliseconds=250)) == 0.0
    assert bucket.take(NOON + timedelta(milliseconds=250)) == 0.25


@given(st.integers(1, 100), st.lists(st.timedeltas(-timedelta(seconds=2), timedelta(seconds=2)), max_size=200))
def test_however_the_clock_goes_no_more_pass_than_a_second_s_worth_and_the_rate(
    per_second: int, steps: list[timedelta]
) -> None:
    bucket, now, gained = Bucket(per_second), NOON, timedelta()
    passed = 0
    for step in steps:
        now += step
        gained += max(step, timedelta())
        wait_s = bucket.take(now)
        assert 0 <= wait_s <= 1
        passed += wait_s == 0
    assert passed <= per_second * (1 + gained.total_seconds()) + 1e-6


@given(st.integers(1, 1000), st.integers(0, 10**6))
def test_who_comes_back_after_the_time_that_it_was_told_goes_through(per_second: int, shift_us: int) -> None:
    bucket, now = Bucket(per_second), NOON
    while (wait_s := bucket.take(now)) == 0:
        now += timedelta(microseconds=shift_us // 10**4)
        if now > NOON + timedelta(seconds=1):
            return
    assert bucket.take(now + timedelta(seconds=wait_s, microseconds=1)) == 0
