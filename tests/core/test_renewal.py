"""When a refresh token is presented: ahead of time, at once when its access token is rejected, and once more at the end."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.grant import (
    DEAD,
    LOST,
    UNPROVEN,
    AccessToken,
    Dead,
    Grant,
    Lost,
    NotPresented,
    RefreshResult,
    RefreshToken,
    Refused,
    Rotated,
    Trouble,
    first_grant,
)
from gateway.core.renewal import (
    AHEAD,
    JITTER,
    LAST_CHANCE_AFTER,
    Due,
    Later,
    is_overdue,
    last_chance_at,
    pause,
    renewal,
)

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
LIFE = timedelta(hours=25)
SECOND = timedelta(seconds=1)
GRANT = first_grant("main", Rotated(AccessToken("a"), RefreshToken("r"), LIFE), NOON, before=None)
LOST_GRANT = GRANT.intended("us", NOON).concluded(Lost("cut"), NOON)


def is_due(grant: Grant, at: datetime, *, is_rejected: bool = False, is_restarted: bool = False) -> bool:
    return isinstance(renewal(grant, at, is_rejected=is_rejected, is_restarted=is_restarted), Due)


def test_a_good_grant_is_renewed_when_two_thirds_of_its_life_have_passed() -> None:
    at = NOON + LIFE * AHEAD
    assert renewal(GRANT, NOON, is_rejected=False) == Later(at)
    assert not is_due(GRANT, at - SECOND)
    assert is_due(GRANT, at)


@given(st.floats(0, 1))
def test_jitter_moves_it_by_less_than_half_an_hour_and_never_forward(jitter: float) -> None:
    later = renewal(GRANT, NOON, is_rejected=False, jitter=jitter)
    assert isinstance(later, Later)
    assert later.at is not None
    assert timedelta(0) <= later.at - NOON - LIFE * AHEAD <= LIFE * JITTER


def test_it_is_overdue_once_every_process_has_wanted_to_renew_it_unless_a_trouble_says_why() -> None:
    at = NOON + LIFE * (AHEAD + 2 * JITTER)
    assert (is_overdue(GRANT, at - SECOND), is_overdue(GRANT, at), is_overdue(LOST_GRANT, at)) == (
        False,
        True,
        False,
    )
    assert renewal(GRANT, at - SECOND, is_rejected=False, jitter=1.0) == Due()


def test_a_rejected_one_is_renewed_at_once() -> None:
    assert is_due(GRANT, NOON, is_rejected=True)


def test_while_somebody_asks_nobody_else_does() -> None:
    asking = GRANT.intended("us", NOON)
    assert renewal(asking, NOON + 2 * LIFE, is_rejected=True) == Later()
    last = LOST_GRANT.intended("us", NOON)
    assert renewal(last, NOON + 2 * LIFE, is_rejected=True) == Later()


@pytest.mark.parametrize(
    ("life", "before"),
    [
        (timedelta(hours=25), timedelta(hours=2)),
        (timedelta(hours=12), timedelta(hours=1)),
        (timedelta(seconds=120), timedelta(seconds=10)),
    ],
)
def test_a_lost_one_is_presented_once_more_when_its_access_token_is_about_to_end(
    life: timedelta, before: timedelta
) -> None:
    grant = msgspec.structs.replace(LOST_GRANT, expires_at=NOON + life)
    assert last_chance_at(grant) == NOON + life - before
    assert not is_due(grant, NOON + life - before - SECOND)
    assert is_due(grant, NOON + life - before)
    assert is_due(grant, NOON + LAST_CHANCE_AFTER, is_rejected=True), "nothing is left to lose"
    assert grant.intended("us", NOON).intent is not None


def test_one_hiccup_of_zalos_does_not_take_both_chances() -> None:
    assert not is_due(LOST_GRANT, NOON, is_rejected=True)
    assert not is_due(LOST_GRANT, NOON + LAST_CHANCE_AFTER - SECOND, is_rejected=True)
    assert is_due(LOST_GRANT, NOON + LAST_CHANCE_AFTER, is_rejected=True)
    assert is_due(LOST_GRANT, NOON - SECOND, is_rejected=True), "a clock that was turned back holds nothing up"
    assert timedelta(seconds=5) >= LAST_CHANCE_AFTER + SECOND, "the contract's bound"


def test_after_the_last_chance_only_a_person_helps() -> None:
    gone = LOST_GRANT.intended("us", NOON).concluded(Lost("cut"), NOON)
    assert (gone.presented, gone.trouble is not None and gone.trouble.is_final) == (2, True)
    assert renewal(gone, NOON + 2 * LIFE, is_rejected=True) == Later()
    with pytest.raises(ValueError, match="one last"):
        gone.intended("us", NOON)


def test_a_dead_one_is_never_presented_again() -> None:
    dead = GRANT.intended("us", NOON).concluded(Dead("gone"), NOON)
    assert dead.trouble is not None
    assert dead.trouble.kind == DEAD
    assert renewal(dead, NOON + 2 * LIFE, is_rejected=True) == Later()


def refused(grant: Grant, at: datetime) -> Grant:
    return grant.intended("us", at).concluded(Refused("busy"), at)


def test_a_refused_one_waits_longer_each_time_up_to_an_hour_and_not_at_all_after_a_restart() -> None:
    grant, at, waited = GRANT, NOON + LIFE, []
    for _ in range(9):
        grant = refused(grant, at)
        later = renewal(grant, at, is_rejected=True)
        assert isinstance(later, Later)
        assert later.at is not None
        assert is_due(grant, at, is_restarted=True)
        waited.append((later.at - at).total_seconds())
        at = later.at
    assert waited == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert pause(10_000) == timedelta(hours=1)
    assert grant.presented == 0


def test_a_refusal_of_the_last_chance_leaves_it_lost_and_is_tried_again() -> None:
    grant = refused(LOST_GRANT, NOON)
    assert grant.is_lost
    assert (grant.presented, grant.trouble is not None and grant.trouble.since) == (1, NOON)
    assert not is_due(grant, NOON, is_rejected=True)
    assert is_due(grant, NOON + pause(1), is_rejected=True)


def test_what_never_left_us_changes_nothing() -> None:
    for grant in (GRANT, LOST_GRANT):
        after = grant.intended("us", NOON).concluded(NotPresented("dns"), NOON)
        assert (after.presented, after.trouble) == (grant.presented, grant.trouble)
        assert is_due(after, NOON + LIFE)


def test_an_unproven_one_is_not_renewed_for_being_rejected_but_when_its_time_has_come() -> None:
    unproven = GRANT.troubled(Trouble(UNPROVEN, "why", NOON, is_final=True))
    assert not is_due(unproven, NOON + SECOND, is_rejected=True)
    assert is_due(unproven, NOON + LIFE * AHEAD, is_rejected=True)


RESULTS = st.sampled_from(
    [
        Dead("gone"),
        Lost("cut"),
        Refused("busy"),
        NotPresented("dns"),
        Rotated(AccessToken("b"), RefreshToken("s"), LIFE),
    ]
)


@given(st.lists(st.tuples(RESULTS, st.booleans(), st.integers(0, 90_000)), max_size=12))
def test_whatever_comes_a_generation_is_presented_once_and_once_more_as_the_last(
    steps: list[tuple[RefreshResult, bool, int]],
) -> None:
    grant, now = GRANT, NOON
    open_presentations: dict[int, list[bool]] = {}
    for result, is_rejected, seconds in steps:
        now += timedelta(seconds=seconds)
        if not is_due(grant, now, is_rejected=is_rejected):
            continue
        intended = grant.intended("us", now)
        assert intended.intent is not None
        if not isinstance(result, Refused | NotPresented):
            open_presentations.setdefault(grant.generation, []).append(intended.intent.is_last)
        grant = intended.concluded(result, now)
        assert not grant.is_asking
    assert all(kinds in ([False], [False, True]) for kinds in open_presentations.values())


def test_a_lost_one_says_since_when() -> None:
    assert LOST_GRANT.trouble is not None
    assert (LOST_GRANT.trouble.kind, LOST_GRANT.trouble.since, LOST_GRANT.trouble.is_final) == (LOST, NOON, False)
    assert "once more" in LOST_GRANT.trouble.detail
    later = LOST_GRANT.intended("us", NOON + LIFE).concluded(Lost("cut"), NOON + LIFE)
    assert later.trouble is not None
    assert (later.trouble.since, later.trouble.is_final, "last" in later.trouble.detail) == (NOON, True, True)
