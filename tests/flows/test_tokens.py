"""One fresh token for everyone, one refresher at a time, and no refresh token presented on a guess."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from gateway.core.delivery import State
from gateway.core.errors import CannotStart, Unavailable
from gateway.core.grant import Dead, Grant, Lost, NotPresented, RefreshResult, Refused, Rotated, Token, first_grant
from gateway.core.renewal import LAST_CHANCE_AFTER
from gateway.gates import AccountRules
from gateway.grants import adopt
from gateway.ports import Heard
from gateway.storage import MemoryJournal
from gateway.tokens import LEASE_MARGIN

from .stage import HOUR, LEASE, NOON, SECOND, TOKEN_LIFE, House, Store, deferred, fresh, pair, settled


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
    trouble = house.grants.trouble("main", house.clock())
    return None if trouble is None else (trouble.kind, trouble.is_final)


def value(token: Token | None) -> str | None:
    return None if token is None else token.access.value


async def test_a_good_token_is_given_without_asking_anybody() -> None:
    house = await House().open()
    house.store.counts.clear()
    assert value(house.grants.usable("main")) == "access-1"
    assert (house.issuer.presented, house.store.counts) == ([], {})


async def test_the_intent_is_durable_before_the_token_leaves_and_the_pair_before_it_is_used() -> None:
    house = await worn()

    async def look(presented: str) -> None:
        grant = await in_vault(house)
        assert grant.refresh.value == presented
        assert (grant.presented, grant.intent is not None) == (1, True)
        assert house.grants.usable("main") is None

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
    assert value(house.grants.usable("main")) == "access-2"


async def test_what_another_process_has_refreshed_is_in_use_after_a_look() -> None:
    house = await House().open()
    other = await replica(house).open()
    house.clock.turn(TOKEN_LIFE)
    await fresh(house.tokens)
    await other.tokens.look()
    assert value(other.grants.usable("main")) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


async def test_what_was_read_before_a_save_does_not_replace_what_was_saved() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    refreshing = asyncio.create_task(fresh(house.tokens))
    await settled()
    old = await in_vault(house)
    opening.set()
    await refreshing
    house.grants._know(old)
    assert value(house.grants.usable("main")) == "access-2"


# -- what Zalo answers --


async def test_rotated_is_a_new_generation_that_lives_from_the_moment_of_the_answer() -> None:
    house = await worn()
    house.issuer.on_refresh = lambda _: _fail_saving(house.store)
    refreshing = asyncio.create_task(fresh(house.tokens))
    await asyncio.sleep(60)
    assert house.grants.usable("main") is None
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


async def test_dead_needs_a_person_and_is_never_presented_again() -> None:
    house = await worn()
    house.issuer.script = [Dead("unknown token")]
    assert await fresh(house.tokens) is None
    other = await replica(house).open()
    for _ in range(10):
        house.clock.turn(HOUR)
        for each in (house, other):
            assert await fresh(each.tokens) is None
            assert trouble_of(each) == ("dead", True)
    assert house.issuer.presented == ["refresh-1"]


async def test_a_lost_answer_leaves_the_access_token_in_use_until_its_end_and_then_asks_once_more() -> None:
    house = await House().open()
    house.issuer.script = [Lost("timed-out")]
    house.clock.turn(TOKEN_LIFE * 2 / 3)
    assert value(await fresh(house.tokens)) == "access-1"
    grant = await in_vault(house)
    assert (grant.is_lost, trouble_of(house), house.issuer.presented) == (True, None, ["refresh-1"])
    house.clock.turn(TOKEN_LIFE / 3 - timedelta(hours=2) - SECOND)
    assert value(await fresh(house.tokens)) == "access-1"
    assert house.issuer.presented == ["refresh-1"]
    house.clock.turn(SECOND)
    assert value(await fresh(house.tokens)) == "access-3"
    assert house.issuer.presented == ["refresh-1", "refresh-1"]


async def test_a_lost_answer_whose_access_token_is_rejected_asks_once_more_soon_and_then_a_person() -> None:
    house = await House().open()
    house.issuer.script = [Lost("cut"), Lost("cut")]
    await house.tokens.renew("main", 1)
    assert trouble_of(house) == ("refreshing", False), "one more time is left"
    for each in (house, await replica(house).open(), house):
        await each.tokens.look()
    assert house.issuer.presented == ["refresh-1"], "not in the same moment: Zalo may have had a hiccup"
    house.clock.turn(LAST_CHANCE_AFTER)
    for each in (house, await replica(house).open(), house):
        await fresh(each.tokens)
    assert trouble_of(house) == ("lost", True)
    for _ in range(30):
        house.clock.turn(HOUR)
        await fresh(house.tokens)
    assert house.issuer.presented == ["refresh-1", "refresh-1"]


async def test_a_grant_is_renewed_ahead_of_time_without_traffic_and_its_token_is_used_meanwhile() -> None:
    house = await House().open()
    opening = house.issuer.hold_back()
    house.clock.turn(TOKEN_LIFE * 2 / 3)
    await house.tokens.look()
    await settled()
    assert value(house.grants.usable("main")) == "access-1"
    assert trouble_of(house) is None
    opening.set()
    assert value(await fresh(house.tokens)) == "access-2"


async def test_nothing_is_renewed_while_shutting_down() -> None:
    house = await worn()
    house.tokens.stop()
    await house.tokens.look()
    await house.tokens.renew("main", 1)
    assert house.issuer.presented == []


async def test_refused_is_kept_and_tried_again_after_30_s_then_with_backoff_to_hourly() -> None:
    house = await worn()
    house.issuer.script = [Refused("busy", -14000)] * 12
    moments = []
    begun = house.clock()
    for _ in range(5 * 720):
        before = len(house.issuer.presented)
        await fresh(house.tokens)
        if len(house.issuer.presented) > before:
            moments.append(round((house.clock() - begun).total_seconds()))
            assert trouble_of(house) in {("refused", False), None}
        house.clock.turn(5 * SECOND)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[:9] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert set(house.issuer.presented[:12]) == {"refresh-1"}


async def test_a_refusal_holds_for_other_processes_and_not_after_a_restart() -> None:
    house = await worn()
    other = await replica(house).open()
    house.issuer.script = [Refused("busy"), Refused("busy")]
    await fresh(house.tokens)
    assert await fresh(other.tokens) is None
    assert house.issuer.presented == ["refresh-1"]
    house.clock.turn(SECOND)
    restarted = await replica(house, "anew").open()
    await fresh(restarted.tokens)
    assert len(house.issuer.presented) == 2, "somebody may have changed the settings"
    await fresh(restarted.tokens)
    await fresh(other.tokens)
    assert len(house.issuer.presented) == 2
    house.clock.turn(60 * SECOND)
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
    assert not grant.is_asking
    assert (grant.intent is None) == isinstance(answer, NotPresented | Refused | Rotated)
    assert (grant.generation == 2) == isinstance(answer, Rotated)
    kinds = {Refused: "refused", Dead: "dead", Lost: "lost"}
    assert (grant.trouble and grant.trouble.kind) == kinds.get(type(answer))


async def _prove(house: House) -> None:
    grant = await in_vault(house)
    assert await house.store.put_grant(grant.proven(house.clock()), expected=grant.version)


async def given_up(house: House) -> tuple[House, asyncio.Event, "asyncio.Task[Token | None]"]:
    """Another process, which has given up the answer that the house waits for; what lets it come; and who waits."""
    opening = house.issuer.hold_back()
    stalled = asyncio.create_task(fresh(house.tokens))
    await settled()
    other = await replica(house).open()
    await asyncio.sleep((LEASE + LEASE_MARGIN).total_seconds())
    await other.tokens.look()
    assert (await in_vault(house)).is_given_up
    return other, opening, stalled


async def test_an_answer_that_comes_after_others_gave_it_up_still_counts() -> None:
    house = await worn()
    other, opening, stalled = await given_up(house)
    opening.set()
    assert value(await stalled) == "access-2"
    await other.tokens.aclose()
    await other.tokens.look()
    assert trouble_of(other) is None
    assert len(house.issuer.presented) <= 2


async def test_the_newest_pair_is_kept_when_both_presentations_of_a_generation_are_answered() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    stalled = asyncio.create_task(fresh(house.tokens))
    await settled()
    other = House(store=house.store, clock=house.clock, owner="them")
    other.issuer.script = [pair(7)]
    await other.open()
    await asyncio.sleep((LEASE + LEASE_MARGIN).total_seconds())
    await other.tokens.look()
    house.clock.turn(LAST_CHANCE_AFTER)
    assert value(await fresh(other.tokens)) == "access-7"
    opening.set()
    await stalled
    assert (await in_vault(house)).access.value == "access-2"
    assert (await in_vault(house)).generation == 3


@pytest.mark.parametrize("is_asked_again", [False, True])
async def test_an_answer_that_was_given_up_and_then_only_written_down_is_found_in_the_journal(
    is_asked_again: bool,
) -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    stalled = asyncio.create_task(fresh(house.tokens))
    await settled()
    other = House(store=house.store, clock=house.clock, owner="them")
    other.issuer.script = [Lost("cut")]
    await other.open()
    await asyncio.sleep((LEASE + LEASE_MARGIN).total_seconds())
    await other.tokens.look()
    if is_asked_again:
        house.clock.turn(LAST_CHANCE_AFTER)
        await fresh(other.tokens)
        assert trouble_of(other) == ("lost", True)
    with house.store.failing("put_grant"):
        opening.set()
        await asyncio.sleep(1)
        stalled.cancel()
        for refreshing in house.tokens._refreshing.values():
            refreshing.cancel()  # it dies before the store is well
        await settled()
    await other.tokens.look()
    assert value(other.grants.usable("main")) == "access-2"
    assert (await in_vault(other)).trouble is None


UNSPENT: list[RefreshResult] = [Refused("busy"), NotPresented("dns")]


@pytest.mark.parametrize("answer", UNSPENT)
async def test_a_late_answer_that_proves_the_token_unspent_is_no_loss(answer: RefreshResult) -> None:
    house = await worn()
    house.issuer.script = [answer]
    other, opening, stalled = await given_up(house)
    opening.set()
    await stalled
    grant = await in_vault(house)
    assert (grant.presented, grant.is_alive) == (0, True)
    house.clock.turn(HOUR)
    await fresh(other.tokens)
    assert value(other.grants.usable("main")) == "access-3"
    assert house.issuer.presented == ["refresh-1", "refresh-1"]


async def test_a_refusal_that_was_given_up_and_then_only_written_down_is_found_in_the_journal() -> None:
    house = await worn()
    house.issuer.script = [Refused("busy")]
    other, opening, stalled = await given_up(house)
    with house.store.failing("put_grant"):
        opening.set()
        await asyncio.sleep(0.6)
        stalled.cancel()
        for refreshing in house.tokens._refreshing.values():
            refreshing.cancel()  # it dies before the store is well
        await settled()
    assert (await in_vault(other)).is_given_up
    await other.tokens.look()
    grant = await in_vault(other)
    assert grant.trouble is not None
    assert (grant.trouble.kind, grant.presented, grant.intent) == ("refused", 0, None)
    assert house.issuer.presented == ["refresh-1"]


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


async def killed_while_asking(*, after_answer: bool) -> House:
    """A process that ended while it presented a token: before Zalo's answer came, or right after it was on disk."""
    gone = await House().open()
    gone.clock.turn(TOKEN_LIFE * 2 / 3)
    opening = gone.issuer.hold_back()
    if after_answer:
        gone.store.gates["put_grant"] = asyncio.Event()
        gone.store.gates["put_grant"].set()
        gone.issuer.on_refresh = lambda _: _stop_saving(gone.store)
        opening.set()
    asking = asyncio.create_task(fresh(gone.tokens))
    await settled()
    assert gone.issuer.presented == ["refresh-1"]
    for task in [asking, *gone.tokens._refreshing.values()]:
        task.cancel()
    await settled()
    gone.store.gates.clear()
    gone.issuer.opening = gone.issuer.on_refresh = None
    return gone


async def _stop_saving(store: Store) -> None:
    store.gates["put_grant"].clear()


@pytest.mark.parametrize("is_known_to_be_dead", [True, False])
async def test_an_answer_that_is_on_disk_is_saved_by_whoever_comes_next(is_known_to_be_dead: bool) -> None:
    gone = await killed_while_asking(after_answer=True)
    house = replica(gone)
    if is_known_to_be_dead:
        gone.store.dead.add("us")
    await house.open()
    if not is_known_to_be_dead:
        await asyncio.sleep((LEASE + LEASE_MARGIN).total_seconds())
        await house.tokens.look()
    assert value(house.grants.usable("main")) == "access-2"
    assert house.issuer.presented == ["refresh-1"]
    assert house.notes.named("refreshed")


async def test_a_crash_before_the_answer_is_lost_said_at_once_and_asked_once_more_at_the_end() -> None:
    gone = await killed_while_asking(after_answer=False)
    gone.store.dead.add("us")
    house = await replica(gone).open()
    assert (await in_vault(house)).is_lost
    assert [it["outcome"] for it in house.notes.named("refreshed")] == ["lost"]
    assert value(await fresh(house.tokens)) == "access-1"
    house.clock.turn(TOKEN_LIFE)
    assert value(await fresh(house.tokens)) == "access-3"
    assert house.issuer.presented == ["refresh-1", "refresh-1"]


async def test_while_another_process_asks_nobody_concludes_anything_before_its_time() -> None:
    house = await worn()
    opening = house.issuer.hold_back()
    asking = asyncio.create_task(fresh(house.tokens))
    await settled()
    other = await replica(house).open()
    house.clock.turn(100 * HOUR)  # a clock that jumps says nothing of how long somebody has been asking
    await other.tokens.look()
    await asyncio.sleep(LEASE.total_seconds())
    await other.tokens.look()
    assert (await in_vault(house)).is_asking
    opening.set()
    assert value(await asking) == "access-2"


async def test_who_was_held_up_between_the_intent_and_the_question_does_not_ask() -> None:
    house = await worn()
    house.store.gates["put_grant"] = asyncio.Event()
    asking = asyncio.create_task(fresh(house.tokens))
    await asyncio.sleep(LEASE_MARGIN.total_seconds())
    house.store.gates["put_grant"].set()
    await asking
    assert house.issuer.presented == []
    assert (await in_vault(house)).presented == 0


async def test_nothing_is_intended_that_could_not_be_kept() -> None:
    house = await worn()
    with house.store.failing("rehearse"):
        assert await fresh(house.tokens) is None
    assert ((await in_vault(house)).presented, trouble_of(house)) == (0, ("unsent", False))
    house.clock.turn(5 * SECOND)
    assert value(await fresh(house.tokens)) == "access-2"


async def test_nothing_is_intended_that_could_not_be_sent() -> None:
    house = await worn()
    house.issuer.unsent = NotPresented("dns")
    assert await fresh(house.tokens) is None
    assert ((await in_vault(house)).version, trouble_of(house)) == (1, ("unsent", False))
    house.issuer.unsent = None
    house.clock.turn(5 * SECOND)
    assert value(await fresh(house.tokens)) == "access-2"


@pytest.mark.parametrize("fault", ["failing", "losing"])
async def test_an_intent_that_cannot_be_confirmed_presents_nothing_and_loses_nothing(fault: str) -> None:
    house = await worn()
    with getattr(house.store, fault)("put_grant"):
        assert await fresh(house.tokens) is None
    assert house.issuer.presented == []
    assert trouble_of(house) == ("unsent", False)
    house.clock.turn(HOUR)
    await fresh(house.tokens)
    assert value(house.grants.usable("main")) == "access-2"
    assert house.issuer.presented == ["refresh-1"]
    assert (await in_vault(house)).presented == 0


async def test_an_unconfirmed_intent_is_taken_back_by_who_knows_that_it_never_left() -> None:
    house = await worn()
    with house.store.losing("put_grant"):
        await fresh(house.tokens)
    house.store.dead.add("them")
    house.clock.turn(5 * SECOND)
    await fresh(house.tokens)
    assert value(house.grants.usable("main")) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


# -- between the intent and the question --


class Held(Store):
    """Whose saving of an intent is done, and held up before it is told, until the owner may `go_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on: dict[str, asyncio.Event] = {}

    async def put_grant(self, grant: Grant, *, expected: int) -> bool:
        is_put = await super().put_grant(grant, expected=expected)
        if is_put and grant.is_asking and grant.intent is not None and grant.intent.owner in self.go_on:
            await self.go_on[grant.intent.owner].wait()
        return is_put


async def meant(house: House, owner: str) -> "asyncio.Task[Token | None]":
    """The process has its intent on record, and has not asked."""
    assert isinstance(house.store, Held)
    house.store.go_on[owner] = asyncio.Event()
    await house.tokens.look()  # what others left is settled
    asking = asyncio.create_task(fresh(house.tokens))
    await settled()
    grant = await in_vault(house)
    assert grant.intent is not None
    assert grant.intent.owner == owner
    return asking


async def died(house: House, owner: str, asking: "asyncio.Task[Token | None]") -> None:
    for task in [asking, *house.tokens._refreshing.values()]:
        task.cancel()
    await settled()
    house.store.dead.add(owner)


async def test_deaths_between_the_intent_and_the_question_use_up_no_presentation() -> None:
    first = await House(store=Held()).open()
    first.clock.turn(TOKEN_LIFE * 2 / 3)
    for number in range(3):
        house = replica(first, f"dying-{number}")
        await died(house, f"dying-{number}", await meant(house, f"dying-{number}"))
    house = await replica(first, "anew").open()
    assert (await in_vault(house)).trouble is None
    assert next(it["outcome"] for it in house.notes.named("refreshed")) == "notpresented"
    assert value(await fresh(house.tokens)) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


async def test_a_death_before_a_last_chance_was_asked_leaves_that_chance() -> None:
    first = await House(store=Held()).open()
    first.clock.turn(TOKEN_LIFE * 2 / 3)
    first.issuer.script = [Lost("cut")]
    await fresh(first.tokens)
    first.clock.turn(TOKEN_LIFE)
    await died(first, "us", await meant(first, "us"))
    house = await replica(first, "anew").open()
    assert value(await fresh(house.tokens)) == "access-3"
    assert house.issuer.presented == ["refresh-1", "refresh-1"]


@pytest.mark.parametrize("is_taken_for_dead", [True, False])
async def test_who_was_given_up_before_it_asked_does_not_ask_any_more(is_taken_for_dead: bool) -> None:
    stalled = await House(store=Held()).open()
    stalled.clock.turn(TOKEN_LIFE * 2 / 3)
    asking = await meant(stalled, "us")
    if is_taken_for_dead:
        stalled.store.dead.add("us")
    house = await replica(stalled).open()
    if not is_taken_for_dead:
        await asyncio.sleep((LEASE + LEASE_MARGIN).total_seconds())
        await house.tokens.look()
    opening = house.issuer.hold_back()
    asking_again = asyncio.create_task(fresh(house.tokens))
    await settled()
    stalled.store.go_on["us"].set()  # type: ignore[attr-defined]  # it is Held
    await asking
    opening.set()
    assert value(await asking_again) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


async def test_where_the_room_for_the_answer_is_gone_too_nobody_knows_and_it_is_lost() -> None:
    first = await House(store=Held()).open()
    first.clock.turn(TOKEN_LIFE * 2 / 3)
    await died(first, "us", await meant(first, "us"))
    first.store.journal.drop(await in_vault(first))  # as on another machine
    house = await replica(first, "anew").open()
    assert (await in_vault(house)).is_lost


async def test_a_death_while_an_unconfirmed_intent_is_taken_up_again_uses_up_no_presentation() -> None:
    first = await House(store=Held()).open()
    first.clock.turn(TOKEN_LIFE * 2 / 3)
    with first.store.losing("put_grant"):
        await fresh(first.tokens)
    first.clock.turn(5 * SECOND)
    first.store.gates["put_grant"] = asyncio.Event()  # the next one is prepared, and never gets on record
    asking = asyncio.create_task(fresh(first.tokens))
    await settled()
    await died(first, "us", asking)
    first.store.gates.clear()
    house = await replica(first, "anew").open()
    assert value(await fresh(house.tokens)) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


# -- rejected by Zalo --


async def test_a_rejected_generation_is_refreshed_once_and_a_late_rejection_of_it_changes_nothing() -> None:
    house = await House().open()
    await asyncio.gather(*(house.tokens.renew("main", 1) for _ in range(20)))
    await house.tokens.renew("main", 1)
    assert house.issuer.presented == ["refresh-1"]
    assert value(house.grants.usable("main")) == "access-2"


async def test_a_refreshed_generation_that_never_worked_is_not_refreshed_for_being_rejected() -> None:
    house = await House().open()
    await house.tokens.renew("main", 1)
    await house.tokens.renew("main", 2)
    assert trouble_of(house) == ("unproven", True)
    house.clock.turn(TOKEN_LIFE / 2)
    assert await fresh(house.tokens) is None
    assert house.issuer.presented == ["refresh-1"]
    house.clock.turn(TOKEN_LIFE / 2)
    assert value(await fresh(house.tokens)) == "access-3", "its time had come anyway"


async def test_a_refreshed_generation_that_has_worked_is_refreshed_when_it_is_rejected() -> None:
    house = await House().open()
    await house.tokens.renew("main", 1)
    await asyncio.gather(*(house.grants.prove("main", 2) for _ in range(20)))
    assert (await in_vault(house)).proven_at is not None
    await house.tokens.renew("main", 2)
    assert house.issuer.presented == ["refresh-1", "refresh-2"]


async def test_what_a_person_brought_is_refreshed_when_it_is_rejected_although_it_never_worked() -> None:
    house = await House().open()
    await adopt(house.store, "main", pair(5), house.clock(), may_replace=True)
    await house.tokens.look()
    await house.tokens.renew("main", 2)
    assert house.issuer.presented == ["refresh-5"]


async def test_an_unproven_generation_that_has_expired_is_refreshed() -> None:
    house = await House().open()
    await house.tokens.renew("main", 1)
    house.clock.turn(TOKEN_LIFE)
    assert value(await fresh(house.tokens)) == "access-3"


async def test_an_unproven_generation_whose_time_has_come_is_renewed_and_not_told_again_and_again() -> None:
    house = await House().open()
    await house.tokens.renew("main", 1)
    await house.tokens.renew("main", 2)
    told = await in_vault(house)
    for _ in range(3):
        await fresh(house.tokens)
    assert (await in_vault(house)).version == told.version
    house.clock.turn(TOKEN_LIFE * 2 / 3)
    assert value(await fresh(house.tokens)) == "access-3"


async def test_a_grant_that_does_not_open_stops_its_account_alone_and_may_be_given_up_on_purpose() -> None:
    house = await House(rules={"main": AccountRules(), "other": AccountRules()}).open()
    await house.store.put_grant(first_grant("other", pair(5), NOON, before=None), expected=0)
    house.store.sealed.add("main")
    house.clock.turn(TOKEN_LIFE)
    await house.tokens.look()
    await house.tokens.look()
    assert trouble_of(house) == ("sealed", True)
    assert len(house.notes.named("grant-sealed")) == 1
    await fresh(house.tokens, "other")
    assert house.grants.usable("other") is not None
    with pytest.raises(CannotStart, match="--replace"):
        await adopt(house.store, "main", pair(9), house.clock(), may_replace=False)
    grant = await adopt(house.store, "main", pair(9), house.clock(), may_replace=True)
    assert (grant.generation, grant.version) == (2, 2)
    house.store.sealed.clear()
    assert value(await fresh(house.tokens)) == "access-9"
    assert trouble_of(house) is None


class Unreadable(MemoryJournal):
    """A journal that nobody can look through while it has a `fault`."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None

    def late(self, grant: Grant) -> list[Heard]:
        if self.fault is not None:
            raise self.fault
        return super().late(grant)


@pytest.mark.parametrize("fault", [Unavailable("no folder"), OSError("no folder")])
async def test_what_keeps_one_grant_from_being_looked_after_stops_nothing_else_and_is_said_once(
    fault: Exception,
) -> None:
    journal = Unreadable()
    house = House(rules={"main": AccountRules(), "other": AccountRules()}, journal=journal)
    house.issuer.script = [Lost("cut")]
    await house.store.put_grant(first_grant("other", pair(50), NOON, before=None), expected=0)
    await house.open()
    house.clock.turn(TOKEN_LIFE * 2 / 3)
    await fresh(house.tokens)
    await fresh(house.tokens, "other")
    journal.fault = fault
    house.zalo.script = [deferred()]
    message = await house.send()
    for _ in range(3):
        await house.turn(10 * SECOND)
    assert await house.state(message) is State.SENT
    assert value(house.grants.usable("other")) == "access-3"
    assert len(house.notes.named("store-unavailable") + house.notes.named("turn-failed")) == 1
    journal.fault = None
    await house.turn()
    journal.fault = fault
    await house.turn()
    assert len(house.notes.named("store-unavailable") + house.notes.named("turn-failed")) == 2


async def test_no_last_chance_is_taken_while_nobody_can_look_for_an_answer_that_came_late() -> None:
    journal = Unreadable()
    house = await House(journal=journal).open()
    house.issuer.script = [Lost("cut")]
    house.clock.turn(TOKEN_LIFE * 2 / 3)
    await fresh(house.tokens)
    journal.fault = Unavailable("no folder")
    house.clock.turn(TOKEN_LIFE)
    await house.tokens.renew("main", 1)
    assert house.issuer.presented == ["refresh-1"]
    journal.fault = None
    house.clock.turn(5 * SECOND)
    assert value(await fresh(house.tokens)) == "access-3"


async def test_a_new_pair_that_is_in_the_journal_does_not_hold_up_the_end_of_the_process() -> None:
    house = await worn()
    house.issuer.on_refresh = lambda _: _fail_saving(house.store)
    asking = asyncio.create_task(fresh(house.tokens))
    await settled()
    await asyncio.wait_for(house.tokens.aclose(), 10)
    await asking
    house.store.fails.clear()
    house.store.dead.add("us")
    after = await replica(house, "anew").open()
    assert value(await fresh(after.tokens)) == "access-2"
    assert house.issuer.presented == ["refresh-1"]


async def test_the_proof_is_not_lost_to_somebody_else_s_writing() -> None:
    house = await House().open()
    grant = await in_vault(house)
    await house.store.put_grant(grant.intended("them", house.clock()).withdrawn(None), expected=grant.version)
    await house.grants.prove("main", 1)
    assert (await in_vault(house)).proven_at is not None


async def test_nothing_is_proved_twice() -> None:
    house = await House().open()
    await house.grants.prove("main", 1)
    house.store.counts.clear()
    await house.grants.prove("main", 1)
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


async def test_a_pair_that_was_here_before_is_refused_also_on_purpose() -> None:
    house = await worn()
    with pytest.raises(CannotStart, match="before"):
        await adopt(house.store, "main", pair(1), house.clock(), may_replace=True)
    await adopt(house.store, "main", pair(50), house.clock(), may_replace=True)
    house.clock.turn(TOKEN_LIFE)
    assert value(await fresh(house.tokens)) == "access-2"
    for seed in (1, 50, 2):
        with pytest.raises(CannotStart, match="before"):
            await adopt(house.store, "main", pair(seed), house.clock(), may_replace=True)
    assert (await adopt(house.store, "main", pair(60), house.clock(), may_replace=True)).generation == 4


async def test_a_new_grant_ends_every_trouble_in_every_process() -> None:
    house = await worn()
    other = await replica(house).open()
    house.issuer.script = [Dead("dead")]
    await fresh(house.tokens)
    await adopt(house.store, "main", pair(9), house.clock(), may_replace=False)
    for each in (house, other):
        await each.tokens.look()
        assert (trouble_of(each), value(each.grants.usable("main"))) == (None, "access-9")


async def test_without_a_grant_there_is_no_token_and_a_person_is_needed() -> None:
    house = House()
    await house.tokens.look()
    assert await fresh(house.tokens) is None
    assert trouble_of(house) == ("missing", True)
    await house.open()
    await house.store.put_grant(first_grant("main", pair(1), NOON, before=None), expected=0)
    await house.tokens.look()
    assert trouble_of(house) is None
    house.store._grants.clear()
    await house.tokens.look()
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
    house.store.dead.add("us")
    other = await replica(house).open()
    assert (await in_vault(other)).is_lost
