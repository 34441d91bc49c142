"""An access token that Zalo has rejected once is tried again now and then: it may have been a mistake."""

import pytest

from gateway.core.delivery import Reason, State
from gateway.core.grant import Dead, Lost, NotPresented, RefreshResult, Refused
from gateway.grants import adopt

from .stage import HOUR, PROBE_EVERY, REJECTED, SECOND, TOKEN_LIFE, House, fresh, pair

SPENT: list[list[RefreshResult]] = [[Dead("gone")], [Lost("cut"), Lost("cut")]]
NOT_NOW: list[list[RefreshResult]] = [[Refused("busy")] * 99, [NotPresented("dns")] * 999]


async def rejected(script: list[RefreshResult]) -> House:
    """Zalo has rejected the access token, and given no other."""
    house = await House().open()
    house.issuer.script = list(script)
    house.zalo.script = [REJECTED]
    message = await house.send()
    assert (message.state, message.reason) == (State.QUEUED, Reason.CREDENTIALS)
    assert house.grants.usable("main") is None
    return house


@pytest.mark.parametrize("script", SPENT + NOT_NOW, ids=["dead", "lost", "refused", "unsent"])
async def test_one_rejection_by_mistake_does_not_outlast_the_next_trial(script: list[RefreshResult]) -> None:
    house = await rejected(script)
    other = await house.send("evt-2")
    assert other.attempts == 0
    for _ in range(4):  # in some of them the refresh token is presented
        await house.turn(PROBE_EVERY / 2)
        await house.turn()
    assert house.grants.usable("main") is not None
    assert await house.state(other) is State.SENT
    assert {it.token.access.value for it in house.zalo.requests} == {"access-1"}


@pytest.mark.parametrize("script", SPENT, ids=["dead", "lost"])
async def test_while_it_stays_rejected_one_message_tries_it_and_nothing_is_presented(
    script: list[RefreshResult],
) -> None:
    house = await rejected(script)
    house.zalo.rule = lambda _: REJECTED
    for _ in range(5):
        await house.turn(PROBE_EVERY - SECOND)
        await house.turn(SECOND)
    assert len(house.zalo.requests) == 1 + 5
    assert len(house.issuer.presented) == len(script)


async def test_what_has_expired_is_not_tried() -> None:
    house = await rejected([Dead("gone")])
    house.clock.turn(TOKEN_LIFE - HOUR)
    before = len(house.zalo.requests)
    house.zalo.rule = lambda _: REJECTED
    message = await house.send("evt-2")
    await house.turn(PROBE_EVERY)
    assert len(house.zalo.requests) == before + 1
    house.clock.turn(HOUR)
    await house.turn(PROBE_EVERY)
    assert len(house.zalo.requests) == before + 1
    assert (await house.now(message)).attempts <= 1


async def test_a_generation_that_has_worked_is_renewed_when_it_is_rejected_again_after_a_mistake() -> None:
    house = await rejected([Refused("busy")])
    await house.turn(PROBE_EVERY)
    house.clock.turn(HOUR)
    house.zalo.script = [REJECTED]
    assert (await house.send("evt-3")).state is State.SENT
    assert house.issuer.presented == ["refresh-1", "refresh-1"]


async def test_since_when_a_refresh_cannot_be_begun_is_of_this_grant() -> None:
    house = await rejected([NotPresented("dns")] * 99)
    begun_at = house.clock()
    await house.turn(HOUR)
    await adopt(house.store, "main", pair(7), house.clock(), may_replace=True)
    await house.turn(SECOND)
    house.clock.turn(TOKEN_LIFE)
    await fresh(house.tokens)
    trouble = house.grants.trouble("main", house.clock())
    assert trouble is not None
    assert (trouble.kind, trouble.since > begun_at + TOKEN_LIFE) == ("unsent", True)


async def test_how_long_a_grant_has_been_missing_is_not_made_up() -> None:
    house = House()
    begun_at = house.clock()
    await house.tokens.look()
    house.clock.turn(HOUR)
    trouble = house.grants.trouble("main", house.clock())
    assert trouble is not None
    assert (trouble.since, "as long as this process has run" in trouble.detail) == (begun_at, True)
