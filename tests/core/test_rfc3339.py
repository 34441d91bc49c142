"""Times of whoever asks: RFC 3339 with a zone and nothing else, so that nothing is guessed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rfc3339 import read_time

EIGHT = datetime(2026, 11, 23, 8, tzinfo=UTC)
OTHER_FORMS = [
    "2026-W48-1",
    "20261124",
    "2026-11-24",
    "2026-11-24T02:00:00",
    "2026-11-24 02:00:00Z",
    "2026-11-24T02:00Z",
    "2026-11-24T02Z",
    "20261124T020000Z",
    "2026-11-24T02:00:00+0700",
    "2026-11-24T02:00:00+07",
    "2026-11-24T02:00:00+07:00:30",
    "2026-11-24T02:00:00 07:00",
    "2026-11-24T02:00:00,5Z",
    "2026-11-24T02:00:00.Z",
    "2026-11-24T02:00:00Z\n",
    " 2026-11-24T02:00:00Z",
    "２026-11-24T02:00:00Z",
    "2026-02-30T02:00:00Z",
    "2026-11-24T24:00:00Z",
    "2026-11-24T02:00:00+24:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "1795422305",
    "yesterday",
    "",
]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T08:00:00Z",
        "2026-11-23t08:00:00z",
        "2026-11-23T15:00:00+07:00",
        "2026-11-22T20:30:00-11:30",
        "2026-11-23T08:00:00.000000000Z",
        "2026-11-23T08:00:00-00:00",
    ],
)
def test_every_way_to_write_one_moment_is_that_moment_in_utc(text: str) -> None:
    moment = read_time(text)
    assert (moment, moment.tzinfo) == (EIGHT, UTC)


@given(
    st.datetimes(EIGHT.replace(year=2, tzinfo=None), EIGHT.replace(year=9998, tzinfo=None)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_what_a_clock_can_show_is_read_as_it_is(moment: datetime, zone: timezone) -> None:
    shown = moment.replace(tzinfo=zone)
    assert read_time(shown.isoformat()) == shown


def test_a_fraction_finer_than_ours_is_cut_so_that_nothing_behind_it_is_missed() -> None:
    assert read_time("2026-11-23T08:00:00.1234569Z") == EIGHT.replace(microsecond=123456)


@pytest.mark.parametrize("text", OTHER_FORMS)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time with its zone, such as 2026-11-23T08:00:00Z"):
        read_time(text)
