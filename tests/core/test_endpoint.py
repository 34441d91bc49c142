"""When a callback is tried again, and what an endpoint that fails is spared."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.callback import LIFE, Callback, is_over, next_call
from gateway.core.endpoint import FAILING_AFTER, HOPELESS_AFTER, Standing, after_failure, is_taken

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CHANCE = st.floats(0, 1)
TRIES = st.integers(1, 10**6)
RETRY_AFTER = st.none() | st.integers(0, 10**12)


def callback(tries: int) -> Callback:
    return Callback("id", "checkout", "message.sent", NOON, b"{}", tries)


@given(chance=CHANCE)
def test_the_first_retry_comes_within_ten_seconds_and_not_at_once(chance: float) -> None:
    moment = next_call(callback(1), NOON, retry_after_s=None, chance=chance)
    assert moment is not None
    assert 2 * SECOND <= moment - NOON <= 10 * SECOND


@given(tries=TRIES, after_s=st.floats(0, 2 * LIFE.total_seconds()), retry_after_s=RETRY_AFTER, chance=CHANCE)
def test_a_retry_lies_ahead_within_its_day_and_never_sooner_than_was_asked_for(
    tries: int, after_s: float, retry_after_s: int | None, chance: float
) -> None:
    now = NOON + timedelta(seconds=after_s)
    moment = next_call(callback(tries), now, retry_after_s=retry_after_s, chance=chance)
    if moment is None:
        assert retry_after_s is not None or now >= NOON + LIFE - timedelta(minutes=5)
    else:
        assert now < moment < NOON + LIFE
        assert not is_over(callback(tries), moment)
        assert retry_after_s is None or moment >= now + timedelta(seconds=retry_after_s)
        assert retry_after_s is not None or moment <= now + timedelta(hours=1)


@given(chances=st.lists(CHANCE, min_size=1), took_s=st.floats(0, 12))
def test_a_callback_that_is_never_taken_is_tried_until_the_last_minutes_of_its_day(
    chances: list[float], took_s: float
) -> None:
    now, tries = NOON, 1
    while (
        moment := next_call(callback(tries), now, retry_after_s=None, chance=chances[tries % len(chances)])
    ) is not None:
        now, tries = moment + timedelta(seconds=took_s), tries + 1
    assert timedelta(0) < NOON + LIFE - now <= timedelta(minutes=5)
    assert 25 < tries < 90


def test_an_answer_of_2xx_ends_a_callback_and_no_other_does() -> None:
    assert [status for status in (None, *range(100, 600)) if is_taken(status)] == list(range(200, 300))


def failed(
    count: int, *, every: timedelta = SECOND, retry_after_s: int | None = None
) -> tuple[Standing, datetime]:
    standing, now = Standing(), NOON
    for _ in range(count):
        now += every
        standing = after_failure(standing, now, retry_after_s=retry_after_s)
    return standing, now


def test_an_endpoint_has_all_its_room_until_it_has_failed_so_often_in_a_row() -> None:
    for count in range(FAILING_AFTER):
        standing, now = failed(count, retry_after_s=3600)
        assert standing.room(8, now) == 8, "a Retry-After is that callback's until it is the endpoint that fails"
    standing, now = failed(FAILING_AFTER)
    assert standing.room(8, now) == 1


@given(count=st.integers(FAILING_AFTER, 200), every_s=st.floats(0.001, 3600), retry_after_s=RETRY_AFTER)
def test_a_failing_endpoint_is_never_left_alone_for_longer_than_half_a_minute(
    count: int, every_s: float, retry_after_s: int | None
) -> None:
    standing, now = failed(count, every=timedelta(seconds=every_s), retry_after_s=retry_after_s)
    assert standing.room(8, now + 30 * SECOND) == 1
    assert standing.room(8, now - timedelta(hours=1)) == 1, "a clock that was set back"


def test_an_endpoint_that_has_just_begun_to_fail_is_not_left_alone_so_that_first_retries_come_in_time() -> None:
    standing, now = failed(1000, every=timedelta(milliseconds=10))
    assert standing.room(8, now) == 1


@given(count=st.integers(0, 100), every_s=st.floats(0.001, 24 * 3600))
def test_an_endpoint_is_hopeless_when_it_has_failed_again_and_again_for_a_day(count: int, every_s: float) -> None:
    standing, now = failed(count, every=timedelta(seconds=every_s))
    lasted = (count - 1) * timedelta(seconds=every_s)
    assert standing.is_hopeless(now) is (count >= FAILING_AFTER and lasted >= HOPELESS_AFTER)
