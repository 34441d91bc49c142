"""A generation of a grant: its one intent, what may become of it, and that nothing shows its tokens."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gateway.core.grant import (
    LOST,
    REFUSED,
    UNPROVEN,
    AccessToken,
    Grant,
    Intent,
    Lost,
    NotPresented,
    RefreshResult,
    RefreshToken,
    Rotated,
    Trouble,
    first_grant,
)
from gateway.core.grant import Refused as RefusedRefresh

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
DAY = timedelta(days=1)
PAIR = Rotated(AccessToken("access-secret"), RefreshToken("refresh-secret"), timedelta(hours=25))
GRANT = first_grant("main", PAIR, NOON, before=None)


def trouble(*, is_final: bool) -> Trouble:
    return Trouble("dead" if is_final else "refused", "why", NOON, is_final)


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
@pytest.mark.parametrize("thing", [PAIR, GRANT, GRANT.access, GRANT.refresh, [GRANT]])
def test_no_text_of_a_grant_shows_a_token(show: object, thing: object) -> None:
    assert callable(show)
    assert "secret" not in show(thing)


def test_a_first_grant_is_of_the_first_generation_and_a_new_consent_goes_above_what_was_there() -> None:
    assert (GRANT.generation, GRANT.version, GRANT.presented, GRANT.consented_at) == (1, 1, 0, NOON)
    worn = msgspec.structs.replace(GRANT, generation=7, version=31, presented=2, trouble=trouble(is_final=True))
    renewed = first_grant("main", PAIR, NOON + DAY, before=worn)
    assert (renewed.generation, renewed.version, renewed.presented, renewed.trouble) == (8, 32, 0, None)
    assert (renewed.intent, renewed.proven_at, renewed.consented_at) == (None, None, NOON + DAY)


def test_an_intent_counts_as_a_presentation_from_before_anything_leaves() -> None:
    intended = GRANT.intended("us", NOON + DAY)
    assert (intended.intent, intended.presented, intended.version) == (Intent("us", NOON + DAY), 1, 2)
    assert (intended.access, intended.refresh, intended.generation) == (GRANT.access, GRANT.refresh, 1)


def test_a_generation_has_one_intent_at_a_time() -> None:
    with pytest.raises(ValueError, match="one intent"):
        GRANT.intended("us", NOON).intended("us", NOON)


def test_what_provably_left_it_unspent_takes_the_presentation_back() -> None:
    withdrawn = GRANT.intended("us", NOON).withdrawn(trouble(is_final=False))
    assert (withdrawn.intent, withdrawn.presented, withdrawn.version) == (None, 0, 3)
    assert withdrawn.trouble == trouble(is_final=False)
    assert withdrawn.intended("us", NOON).presented == 1


def test_trouble_leaves_the_intent_standing_so_that_nobody_presents_it_again() -> None:
    troubled = GRANT.intended("us", NOON).troubled(trouble(is_final=True))
    assert troubled.intent is not None
    assert (troubled.presented, troubled.version) == (1, 3)


def test_a_new_pair_is_the_next_generation_and_nothing_of_the_old_one_is_kept() -> None:
    worn = GRANT.proven(NOON).intended("us", NOON).troubled(trouble(is_final=True))
    fresh = Rotated(AccessToken("a2"), RefreshToken("r2"), timedelta(hours=1))
    following = worn.rotated(fresh, NOON + DAY)
    assert (following.generation, following.version) == (2, worn.version + 1)
    assert (following.access, following.refresh) == (fresh.access, fresh.refresh)
    assert (following.obtained_at, following.expires_at) == (NOON + DAY, NOON + DAY + timedelta(hours=1))
    assert (following.intent, following.presented, following.proven_at, following.trouble) == (None, 0, None, None)
    assert following.consented_at == GRANT.consented_at
    assert (GRANT.was_refreshed, following.was_refreshed) == (False, True)


LOST_ONCE = GRANT.intended("us", NOON).concluded(Lost("never-recorded"), NOON)
LAST = LOST_ONCE.intended("them", NOON + DAY)


@pytest.mark.parametrize(
    ("answer", "kind", "refusals"),
    [(RefusedRefresh("busy", -14002), REFUSED, 1), (NotPresented("held-up"), None, 0)],
)
def test_a_late_answer_that_proves_it_unspent_ends_that_it_was_lost(
    answer: RefreshResult, kind: str | None, refusals: int
) -> None:
    assert (LOST_ONCE.is_given_up, LOST_ONCE.is_alive) == (True, False)
    known = LOST_ONCE.concluded(answer, NOON + DAY)
    assert (known.presented, known.intent, known.is_alive, known.is_given_up) == (0, None, True, False)
    assert (known.trouble and known.trouble.kind) == kind
    assert (known.trouble.refusals if known.trouble else 0) == refusals
    assert known.intended("us", NOON + DAY).intent == Intent("us", NOON + DAY, is_last=False)


@pytest.mark.parametrize("answer", [RefusedRefresh("busy", -14002), NotPresented("held-up")])
@pytest.mark.parametrize("before", [LAST, LAST.concluded(Lost("cut"), NOON + DAY)], ids=["asking", "given up"])
def test_an_answer_to_the_last_chance_tells_nothing_of_the_first_presentation(
    before: Grant, answer: RefreshResult
) -> None:
    known = before.concluded(answer, NOON + DAY)
    assert not before.is_given_up
    assert (known.presented, known.trouble is not None and known.trouble.kind) == (1, LOST)


def test_that_a_late_answer_was_cut_changes_nothing_but_the_words() -> None:
    again = LOST_ONCE.concluded(Lost("cut"), NOON + DAY)
    assert again.trouble is not None
    assert (again.presented, again.is_given_up, again.trouble.since) == (1, True, NOON)


def test_every_change_has_a_version_of_its_own() -> None:
    intended = GRANT.intended("us", NOON)
    changed = [
        GRANT.proven(NOON),
        GRANT.troubled(trouble(is_final=True)),
        intended,
        GRANT.rotated(PAIR, NOON),
        first_grant("main", PAIR, NOON, before=GRANT),
    ]
    assert {grant.version for grant in changed} == {GRANT.version + 1}
    assert intended.withdrawn(None).version == intended.version + 1


@pytest.mark.parametrize(
    ("found", "lives"), [(None, True), (trouble(is_final=False), True), (trouble(is_final=True), False)]
)
def test_a_grant_lives_until_something_final_is_said(found: Trouble | None, lives: bool) -> None:
    assert msgspec.structs.replace(GRANT, trouble=found).is_alive is lives


def test_what_is_proven_has_no_longer_the_trouble_of_never_having_worked() -> None:
    unproven = GRANT.troubled(Trouble(UNPROVEN, "never worked", NOON, is_final=True))
    assert unproven.proven(NOON).trouble is None
    lost = GRANT.troubled(Trouble("lost", "cut", NOON, is_final=True))
    assert lost.proven(NOON).trouble == lost.trouble
