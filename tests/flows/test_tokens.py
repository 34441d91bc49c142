"""One fresh token for everyone, one refresher at a time, and no refresh token presented on a guess."""

import asyncio
from itertools import pairwise

import pytest

from gateway.core.errors import CannotStart
from gateway.core.grant import Dead, Grant, Lost, NotPresented, RefreshResult, Refused, Rotated, first_grant
from gateway.ports import Token
from gateway.tokens import adopt

from .stage import HOUR, LEASE, NOON, SECOND, TOKEN_LIFE, House, Store, fresh, pair, settled


async def worn() -> House:
    """A house whose access token has just expired."""
    house = await House().open()
    house.clock.turn(TOKEN_LIFE)
    return house


def replica(of: House, owner: str = "them") -> House:
    """Another process on the same store, with the same Zalo."""
    return House(store=of.store, clock=of.clock, zalo=of.zalo, issuer=of.issuer, owner=owner)


async def in_vault(house: House) -> Grant:
    grant = await house.store.grant("main")
    assert grant is not None
    return grant


def trouble_of(house: House) -> tuple[str, bool] | None:
    trouble = house.tokens.trouble("main", house.clock())
    return None if trouble is None else (trouble.kind, trouble.is_final)


def value(token: Token | None) -> str | None:
    return None if token is None else token.access.value


async def test_a_good_token_is_given_without_asking_anybody() -> None:
    house = await House().open()
    house.store.counts.clear()
    assert value(await fresh(house.tokens)) == "access-1"
    assert (house.issuer.presented, house.store.counts) == ([], {})


async def test_the_intent_is_durable_before_the_token_leaves_and_the_pair_before_it_is_used() -> None:
    house = await worn()

    async def look(presented: str) -> None:
        grant = await in_vault(house)
        assert grant.refresh.value == presented
        assert (grant.presented, grant.intent is not None) == (1, True)
        assert house.tokens.usable("main") is None

    house.issuer.on_refresh = look
    token = await fresh(house.tokens)
    assert value(token) == "access-2" == (await in_vault(house)).access.value
    assert not house.notes.named("turn-failed")


@pytest.mark.parametrize("replicas", [1, 3])
async def test_however_many_want_it_at_once_it_is_refreshed_once(replicas: int) -> None:
    house = await worn()
    houses = [house] + [await replica(house, f"them-{n}").open() for n in range(replicas - 1)]
    tokens = await asyncio.gather(*(fresh(each.tokens) for each in houses * 20))
    assert {value(token) for token in tokens} == {"access-2"}
    assert house.issuer.presented == ["refresh-1"]


async def test_who_asks_and_goes_away_does_not_take_the_answer_with_him() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    asking = asyncio.create_task(fresh(house.tokens))
    await settled()
    asking.cancel()
    await settled()
    opening.set()
    await house.tokens.aclose()
    assert value(house.tokens.usable("main")) == "access-2"


async def test_what_another_process_has_refreshed_is_in_use_after_a_look() -> None:
    house = await House().open()
    other = await replica(house).open()
    house.clock.turn(TOKEN_LIFE)
    await fresh(house.tokens)
    await other.tokens.reload()
    assert value(other.tokens.usable("main")) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


async def test_what_was_read_before_a_save_does_not_replace_what_was_saved() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    refreshing = asyncio.create_task(fresh(house.tokens))
    await settled()
    old = await in_vault(house)
    opening.set()
    await refreshing
    house.tokens._know(old)
    assert value(house.tokens.usable("main")) == "access-2"


# -- what Zalo answers --


async def test_rotated_is_a_new_generation_that_lives_from_the_moment_of_the_answer() -> None:
    house = await worn()
    house.issuer.on_refresh = lambda _: _fail_saving(house.store)
    refreshing = asyncio.create_task(fresh(house.tokens))
    await asyncio.sleep(60)
    assert house.tokens.usable("main") is None
    house.store.fails.clear()
    await refreshing
    grant = await in_vault(house)
    assert (grant.generation, grant.presented, grant.intent, grant.trouble) == (2, 0, None, None)
    assert grant.expires_at == NOON + 2 * TOKEN_LIFE
    assert house.issuer.presented == ["refresh-1"]


async def _fail_saving(store: Store) -> None:
    store.fails.add("put_grant")


async def test_a_new_pair_whose_saving_is_not_confirmed_is_saved_once() -> None:
    house = await worn()

    async def lose(_: str) -> None:
        house.store.loses.add("put_grant")

    house.issuer.on_refresh = lose
    asking = asyncio.create_task(fresh(house.tokens))
    await asyncio.sleep(2)
    house.store.loses.clear()
    assert (value(await asking), (await in_vault(house)).generation) == ("access-2", 2)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Dead("unknown token"), "dead"), (Lost("timed-out"), "lost")],
    ids=["dead", "lost"],
)
async def test_dead_and_lost_need_a_person_and_are_never_presented_again(answer: RefreshResult, kind: str) -> None:
    house = await worn()
    house.issuer.script = [answer]
    assert await fresh(house.tokens) is None
    assert trouble_of(house) == (kind, True)
    other = await replica(house).open()
    for _ in range(10):
        house.clock.turn(HOUR)
        for each in (house, other):
            await each.tokens.reload()
            assert await fresh(each.tokens) is None
            assert trouble_of(each) == (kind, True)
    assert house.issuer.presented == ["refresh-1"]


async def test_a_lost_answer_leaves_the_access_token_in_use_while_it_works() -> None:
    house = await House().open()
    grant = await in_vault(house)
    intended = grant.intended("gone", house.clock())
    await house.store.put_grant(intended, expected=grant.version)
    house.clock.turn(LEASE)
    await house.tokens.reload()
    assert value(await fresh(house.tokens)) == "access-1"
    assert trouble_of(house) is None
    await house.tokens.renew("main", 1)
    assert trouble_of(house) == ("lost", True)
    assert house.issuer.presented == []


async def test_refused_is_kept_and_tried_again_after_30_s_then_with_backoff_to_hourly() -> None:
    house = await worn()
    house.issuer.script = [Refused("busy", -14000)] * 12
    moments = []
    begun = house.clock()
    for _ in range(5 * 720):
        before = len(house.issuer.presented)
        await house.tokens.reload()
        await house.tokens.aclose()
        if len(house.issuer.presented) > before:
            moments.append(round((house.clock() - begun).total_seconds()))
            assert trouble_of(house) in {("refused", False), None}
        house.clock.turn(5 * SECOND)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[:9] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert set(house.issuer.presented[:12]) == {"refresh-1"}


async def test_a_refusal_holds_for_other_processes_and_after_a_restart_too() -> None:
    house = await worn()
    house.issuer.script = [Refused("busy")]
    await fresh(house.tokens)
    other = await replica(house).open()
    assert await fresh(other.tokens) is None
    assert house.issuer.presented == ["refresh-1"]
    house.clock.turn(30 * SECOND)
    assert value(await fresh(other.tokens)) is not None


async def test_a_refusal_while_the_store_is_away_counts_once() -> None:
    house = await worn()
    house.issuer.script = [Refused("busy")]
    house.issuer.on_refresh = lambda _: _fail_saving(house.store)
    refreshing = asyncio.create_task(fresh(house.tokens))
    await asyncio.sleep(20)
    house.store.fails.clear()
    house.issuer.on_refresh = None
    await refreshing
    house.clock.turn(30 * SECOND)
    assert value(await fresh(house.tokens)) is not None


async def test_what_did_not_leave_us_is_tried_again_soon_and_does_not_count() -> None:
    house = await worn()
    house.issuer.script = [NotPresented("connection-refused")]
    assert await fresh(house.tokens) is None
    assert trouble_of(house) == ("unsent", False)
    assert ((await in_vault(house)).presented, (await in_vault(house)).intent) == (0, None)
    house.clock.turn(5 * SECOND)
    assert trouble_of(house) == ("refreshing", False)
    assert value(await fresh(house.tokens)) is not None
    assert trouble_of(house) is None


@pytest.mark.parametrize("answer", [NotPresented("dns"), Refused("busy"), Dead("dead"), Lost("cut"), pair(2)])
async def test_the_answer_is_recorded_although_somebody_else_wrote_while_it_was_awaited(
    answer: RefreshResult,
) -> None:
    house = await worn()
    house.issuer.script = [answer]
    house.issuer.on_refresh = lambda _: _prove(house)
    await fresh(house.tokens)
    grant = await in_vault(house)
    assert (grant.intent is None) == isinstance(answer, NotPresented | Refused | Rotated)
    assert (grant.generation == 2) == isinstance(answer, Rotated)
    kinds = {Refused: "refused", Dead: "dead", Lost: "lost"}
    assert (grant.trouble and grant.trouble.kind) == kinds.get(type(answer))


async def _prove(house: House) -> None:
    grant = await in_vault(house)
    assert await house.store.put_grant(grant.proven(house.clock()), expected=grant.version)


async def test_an_answer_that_comes_after_others_gave_it_up_still_counts() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    refreshing = asyncio.create_task(fresh(house.tokens))
    await settled()
    house.clock.turn(LEASE)
    other = await replica(house).open()
    assert trouble_of(other) == ("lost", True)
    opening.set()
    assert value(await refreshing) == "access-2"
    await other.tokens.reload()
    assert (trouble_of(other), value(other.tokens.usable("main"))) == (None, "access-2")


async def test_a_person_s_new_grant_stands_whatever_the_old_chain_s_answer_was() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    refreshing = asyncio.create_task(fresh(house.tokens))
    await settled()
    await adopt(house.store, "main", pair(77), house.clock(), may_replace=True)
    opening.set()
    assert value(await refreshing) == "access-77"
    assert (await in_vault(house)).refresh.value == "refresh-77"


# -- crashes and a store that fails --


async def test_a_crash_between_the_intent_and_the_answer_is_lost_and_never_presented_again() -> None:
    gone = await worn()
    gone.issuer.hold_back()
    asking = asyncio.create_task(fresh(gone.tokens))
    await settled()
    for task in [asking, *gone.tokens._refreshing.values()]:
        task.cancel()
    await settled()
    house = await replica(gone).open()
    house.issuer.opening = None
    waiting = asyncio.create_task(fresh(house.tokens))
    await asyncio.sleep(21)
    assert not waiting.done()
    assert await waiting is None
    assert trouble_of(house) == ("lost", True)
    house.clock.turn(HOUR)
    await house.tokens.reload()
    assert house.issuer.presented == ["refresh-1"]


@pytest.mark.parametrize("fault", ["failing", "losing"])
async def test_an_intent_that_cannot_be_confirmed_presents_nothing_and_loses_nothing(fault: str) -> None:
    house = await worn()
    with getattr(house.store, fault)("put_grant"):
        assert await fresh(house.tokens) is None
    assert house.issuer.presented == []
    assert trouble_of(house) == ("unsent", False)
    house.clock.turn(HOUR)
    await house.tokens.reload()
    await house.tokens.aclose()
    assert value(house.tokens.usable("main")) == "access-2"
    assert house.issuer.presented == ["refresh-1"]
    assert (await in_vault(house)).presented == 0


async def test_an_unconfirmed_intent_that_others_gave_up_is_taken_back_by_who_knows_that_it_never_left() -> None:
    house = await worn()
    with house.store.losing("put_grant"):
        await fresh(house.tokens)
    house.clock.turn(LEASE)
    other = await replica(house).open()
    assert trouble_of(other) == ("lost", True)
    await house.tokens.reload()
    await house.tokens.aclose()
    assert value(house.tokens.usable("main")) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


# -- rejected by Zalo --


async def test_a_rejected_generation_is_refreshed_once_and_a_late_rejection_of_it_changes_nothing() -> None:
    house = await House().open()
    await asyncio.gather(*(house.tokens.renew("main", 1) for _ in range(20)))
    await house.tokens.renew("main", 1)
    assert house.issuer.presented == ["refresh-1"]
    assert value(house.tokens.usable("main")) == "access-2"


async def test_a_refreshed_generation_that_never_worked_is_not_refreshed_for_being_rejected() -> None:
    house = await House().open()
    await house.tokens.renew("main", 1)
    await house.tokens.renew("main", 2)
    assert trouble_of(house) == ("unproven", True)
    house.clock.turn(TOKEN_LIFE)
    await house.tokens.reload()
    assert await fresh(house.tokens) is None
    assert house.issuer.presented == ["refresh-1"]


async def test_a_refreshed_generation_that_has_worked_is_refreshed_when_it_is_rejected() -> None:
    house = await House().open()
    await house.tokens.renew("main", 1)
    await asyncio.gather(*(house.tokens.prove("main", 2) for _ in range(20)))
    assert (await in_vault(house)).proven_at is not None
    await house.tokens.renew("main", 2)
    assert house.issuer.presented == ["refresh-1", "refresh-2"]


async def test_what_a_person_brought_is_refreshed_when_it_is_rejected_although_it_never_worked() -> None:
    house = await House().open()
    await adopt(house.store, "main", pair(5), house.clock(), may_replace=True)
    await house.tokens.reload()
    await house.tokens.renew("main", 2)
    assert house.issuer.presented == ["refresh-5"]


async def test_an_unproven_generation_that_has_expired_is_refreshed() -> None:
    house = await House().open()
    await house.tokens.renew("main", 1)
    house.clock.turn(TOKEN_LIFE)
    assert value(await fresh(house.tokens)) == "access-3"


async def test_the_proof_is_not_lost_to_somebody_else_s_writing() -> None:
    house = await House().open()
    grant = await in_vault(house)
    await house.store.put_grant(grant.intended("them", house.clock()).withdrawn(None), expected=grant.version)
    await house.tokens.prove("main", 1)
    assert (await in_vault(house)).proven_at is not None


async def test_nothing_is_proved_twice() -> None:
    house = await House().open()
    await house.tokens.prove("main", 1)
    house.store.counts.clear()
    await house.tokens.prove("main", 1)
    assert house.store.counts == {}


# -- a person's grant --


async def test_a_working_grant_is_replaced_only_on_purpose() -> None:
    store = Store()
    await adopt(store, "main", pair(1), NOON, may_replace=False)
    with pytest.raises(CannotStart, match="--replace"):
        await adopt(store, "main", pair(2), NOON, may_replace=False)
    assert (await adopt(store, "main", pair(2), NOON, may_replace=True)).generation == 2
    # Also when its access token has run out: its refresh token is alive, and would be lost.
    with pytest.raises(CannotStart, match="--replace"):
        await adopt(store, "main", pair(3), NOON + TOKEN_LIFE, may_replace=False)


async def test_a_new_grant_ends_every_trouble_in_every_process() -> None:
    house = await worn()
    other = await replica(house).open()
    house.issuer.script = [Dead("dead")]
    await fresh(house.tokens)
    await adopt(house.store, "main", pair(9), house.clock(), may_replace=False)
    for each in (house, other):
        await each.tokens.reload()
        assert (trouble_of(each), value(each.tokens.usable("main"))) == (None, "access-9")


async def test_without_a_grant_there_is_no_token_and_a_person_is_needed() -> None:
    house = House()
    await house.tokens.reload()
    assert await fresh(house.tokens) is None
    assert trouble_of(house) == ("missing", True)
    await house.open()
    await house.store.put_grant(first_grant("main", pair(1), NOON, before=None), expected=0)
    await house.tokens.reload()
    assert trouble_of(house) is None
    house.store._grants.clear()
    await house.tokens.reload()
    assert trouble_of(house) == ("missing", True)


async def test_closing_waits_for_the_answer_and_its_saving() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    asking = asyncio.create_task(fresh(house.tokens))
    await settled()
    closing = asyncio.create_task(house.tokens.aclose())
    await settled()
    assert not closing.done()
    opening.set()
    await closing
    assert (await in_vault(house)).generation == 2
    await asking


async def test_a_surprise_in_the_issuer_is_told_and_the_token_counts_as_lost() -> None:
    house = await worn()

    async def surprise(_: str) -> None:
        raise RuntimeError("a bug")

    house.issuer.on_refresh = surprise
    with pytest.raises(RuntimeError):
        await fresh(house.tokens)
    assert house.notes.named("turn-failed")
    house.clock.turn(LEASE)
    await house.tokens.reload()
    assert trouble_of(house) == ("lost", True)
