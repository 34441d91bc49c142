"""Vietnam's mornings, days and months, quiet hours with their borders, and how delays grow."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.delivery import Category, Deferred, DeliveryError, Reason, Scope, Until, Wait
from gateway.core.schedule import (
    JUST_NOW,
    MORNING_SPREAD,
    SHORT_WAIT,
    SHORTEST_DELAY,
    VIETNAM,
    Backoff,
    QuietHours,
    earliest_try,
    next_day,
    next_month,
    next_morning,
    next_try,
    read_quiet_hours,
)

MOMENTS = st.datetimes(
    datetime.fromisoformat("2020-01-01"),
    datetime.fromisoformat("2035-12-31"),
    timezones=st.sampled_from([UTC, VIETNAM, timezone(-timedelta(hours=11))]),
)
CHANCES = st.floats(0, 1)
STEP = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
BACKOFF = Backoff(timedelta(seconds=1), timedelta(minutes=5))


def at(text: str) -> datetime:
    """The moment at which Vietnam's calendar and clock say so."""
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-23T05:59:59.999999", "2026-11-23T06:00"),
        ("2026-11-23T06:00", "2026-11-24T06:00"),
        ("2026-11-23T22:00", "2026-11-24T06:00"),
        ("2026-12-31T23:59", "2027-01-01T06:00"),
        ("2026-11-23T00:00", "2026-11-23T06:00"),
    ],
)
def test_the_next_morning_is_six_in_vietnam(now: str, then: str) -> None:
    assert next_morning(at(now)) == at(then)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-23T00:00", "2026-11-24T00:00"),
        ("2026-11-23T23:59:59.999999", "2026-11-24T00:00"),
        ("2028-02-28T12:00", "2028-02-29T00:00"),
        ("2026-12-31T12:00", "2027-01-01T00:00"),
    ],
)
def test_the_next_day_begins_at_midnight_in_vietnam(now: str, then: str) -> None:
    assert next_day(at(now)) == at(then)


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-11-23T00:00", "2026-12-01T00:00"),
        ("2026-11-01T00:00", "2026-12-01T00:00"),
        ("2026-12-31T23:59:59", "2027-01-01T00:00"),
        ("2027-01-31T12:00", "2027-02-01T00:00"),
        ("2027-02-28T12:00", "2027-03-01T00:00"),
    ],
)
def test_the_next_month_begins_at_midnight_of_its_first_in_vietnam(now: str, then: str) -> None:
    assert next_month(at(now)) == at(then)


def test_vietnams_day_is_not_the_day_of_utc() -> None:
    assert next_day(datetime(2026, 11, 30, 16, 59, tzinfo=UTC)) == datetime(2026, 11, 30, 17, 0, tzinfo=UTC)
    assert next_month(datetime(2026, 11, 30, 17, 0, tzinfo=UTC)) == datetime(2026, 12, 31, 17, 0, tzinfo=UTC)


@given(MOMENTS)
def test_every_wait_ends_after_it_began_and_no_later_than_its_own_length(now: datetime) -> None:
    for end, length in [(next_morning(now), 1), (next_day(now), 1), (next_month(now), 31)]:
        assert now < end <= now + timedelta(days=length)
        assert end.tzinfo is now.tzinfo
    assert next_morning(now).astimezone(VIETNAM).time() == time(6)
    assert next_day(now).astimezone(VIETNAM).time() == time()
    assert next_month(now).astimezone(VIETNAM).day == 1


# -- quiet hours --

NIGHT = QuietHours(time(22), time(6))
NOON = QuietHours(time(12), time(13, 30))


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        (NIGHT, "2026-11-23T21:59:59.999999", None),
        (NIGHT, "2026-11-23T22:00", "2026-11-24T06:00"),
        (NIGHT, "2026-11-23T23:59:59", "2026-11-24T06:00"),
        (NIGHT, "2026-11-24T00:00", "2026-11-24T06:00"),
        (NIGHT, "2026-11-24T05:59:59.999999", "2026-11-24T06:00"),
        (NIGHT, "2026-11-24T06:00", None),
        (NOON, "2026-11-24T11:59:59.999999", None),
        (NOON, "2026-11-24T12:00", "2026-11-24T13:30"),
        (NOON, "2026-11-24T13:29:59", "2026-11-24T13:30"),
        (NOON, "2026-11-24T13:30", None),
        (QuietHours(time(0), time(6)), "2026-11-24T00:00", "2026-11-24T06:00"),
        (QuietHours(time(22), time(0)), "2026-11-24T23:00", "2026-11-25T00:00"),
        (QuietHours(time(22), time(0)), "2026-11-25T00:00", None),
    ],
)
def test_the_start_is_quiet_and_the_end_is_not(hours: QuietHours, now: str, until: str | None) -> None:
    assert hours.until(at(now)) == (None if until is None else at(until))


@given(MOMENTS, st.times(), st.times())
def test_quiet_ends_within_a_day_at_its_end_and_then_it_is_not_quiet(
    now: datetime, start: time, end: time
) -> None:
    hours = QuietHours(start, end)
    until = hours.until(now)
    if until is not None:
        assert now < until <= now + timedelta(days=1)
        assert until.astimezone(VIETNAM).time() == end
        assert hours.until(until) is None
        assert hours.until(until - STEP) == until


def test_quiet_hours_are_read_from_text() -> None:
    assert read_quiet_hours("") is None
    assert read_quiet_hours("22:00-06:00") == NIGHT
    assert read_quiet_hours("00:00-23:59") == QuietHours(time(0), time(23, 59))


@pytest.mark.parametrize(
    "text",
    [
        "22:00",
        "22-06",
        "22:00-22:00",
        "24:00-06:00",
        "22:60-06:00",
        "22:00-6:00",
        " 22:00-06:00",
        "٢٢:00-06:00",
        "22:00-06:00\n",
    ],
)
def test_other_text_is_no_quiet_hours(text: str) -> None:
    with pytest.raises(ValueError, match="two different times"):
        read_quiet_hours(text)


# -- delays --


def deferred(until: Until, retry_after_s: int | None = None) -> Deferred:
    error = DeliveryError("x", Category.TRANSIENT, "", permanent=False, advice="")
    return Deferred(error, Wait(Reason.RETRY, Scope.MESSAGE, until), retry_after_s)


@given(
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=400)),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=400)),
    st.integers(-1, 10_000),
    CHANCES,
)
def test_a_delay_lies_between_100_ms_and_what_the_doubling_has_come_to(
    first: timedelta, cap: timedelta, tries: int, chance: float
) -> None:
    longest = min(cap, first * 2 ** min(max(tries, 1) - 1, 16)) if first * 2**16 >= cap or tries < 17 else cap
    assert SHORTEST_DELAY <= Backoff(first, cap).delay(tries, chance) <= max(SHORTEST_DELAY, longest)


@pytest.mark.parametrize(("tries", "longest_s"), [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (1000, 300)])
def test_the_longest_delay_doubles_with_each_try_up_to_the_cap(tries: int, longest_s: int) -> None:
    assert BACKOFF.delay(tries, 1.0) == timedelta(seconds=longest_s)
    assert BACKOFF.delay(tries, 0.0) == SHORTEST_DELAY


@given(
    MOMENTS,
    st.sampled_from(Until),
    st.integers(1, 50),
    CHANCES,
    st.none() | st.integers(1, 86400),
    st.integers(1, 10**7),
)
def test_jitter_alone_never_carries_a_message_past_its_expiry(
    now: datetime, until: Until, tries: int, chance: float, retry_after_s: int | None, life_ms: int
) -> None:
    expires_at = now + timedelta(milliseconds=life_ms)
    earliest = earliest_try(until, now)
    chosen = next_try(deferred(until, retry_after_s), tries, now, expires_at, backoff=BACKOFF, chance=chance)
    if earliest is None or chosen is None:
        assert earliest is chosen is None
        assert until is Until.CURE
        return
    if retry_after_s is not None:
        earliest = max(earliest, now + timedelta(seconds=retry_after_s))
    assert chosen >= earliest
    assert (chosen < expires_at) == (earliest < expires_at)


@given(MOMENTS, CHANCES)
def test_mornings_and_days_are_spread_a_little_so_that_not_all_come_at_once(now: datetime, chance: float) -> None:
    for until, exact in [
        (Until.MORNING, next_morning),
        (Until.NEXT_DAY, next_day),
        (Until.NEXT_MONTH, next_month),
    ]:
        chosen = next_try(deferred(until), 1, now, now + timedelta(days=60), backoff=BACKOFF, chance=chance)
        assert chosen is not None
        earliest = now.replace(microsecond=0) + SHORT_WAIT if exact(now - JUST_NOW) <= now else exact(now)
        assert earliest <= chosen <= earliest + MORNING_SPREAD


@pytest.mark.parametrize(
    ("until", "boundary"),
    [
        (Until.MORNING, "2026-11-24T06:00"),
        (Until.NEXT_DAY, "2026-11-24T00:00"),
        (Until.NEXT_MONTH, "2026-12-01T00:00"),
    ],
)
def test_what_zalo_still_says_right_after_a_boundary_does_not_cost_a_whole_day(
    until: Until, boundary: str
) -> None:
    then = at(boundary)
    assert earliest_try(until, then - SECOND) == then
    for late in (timedelta(), SECOND, timedelta(seconds=59)):
        assert earliest_try(until, then + late + STEP) == then + late + timedelta(minutes=1)
    following = earliest_try(until, then + timedelta(minutes=1))
    assert following is not None
    assert following - then >= timedelta(days=1)


def test_a_new_grant_is_waited_for_without_a_delay() -> None:
    now = at("2026-11-23T12:00")
    assert next_try(deferred(Until.NEW_GRANT), 5, now, now + STEP, backoff=BACKOFF, chance=1.0) == now
