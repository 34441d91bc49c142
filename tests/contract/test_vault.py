"""What every keeper of the Vault does with grants, leases and logins: each sentence of its port."""

import asyncio

import msgspec

from gateway.core.grant import Intent, Trouble

from .stage import NOW, Stage, Store, after, make_grant, make_login


async def test_there_is_no_grant_before_the_first(store: Store) -> None:
    assert await store.grant("main") is None


async def test_what_was_put_is_there_in_every_field(store: Store) -> None:
    trouble = Trouble("lost", "the answer was cut", after(1.5), is_final=True)
    grant = msgspec.structs.replace(
        make_grant(),
        intent=Intent(store.owner, NOW, is_last=True),
        presented=1,
        proven_at=after(2),
        trouble=trouble,
    )
    assert await store.put_grant(grant, expected=0)
    assert await store.grant("main") == grant


async def test_a_version_is_known_without_opening_anything(store: Store) -> None:
    assert await store.version("main") == 0
    grant = make_grant()
    assert await store.put_grant(grant, expected=0)
    assert await store.version("main") == grant.version


async def test_the_first_one_only_where_there_is_none(store: Store) -> None:
    first = make_grant(version=1)
    assert await store.put_grant(first, expected=0)
    assert not await store.put_grant(make_grant(version=2, generation=2), expected=0)
    assert await store.grant("main") == first


async def test_zero_is_never_the_version_of_one_that_is_there(store: Store) -> None:
    assert await store.put_grant(make_grant(version=0), expected=0)
    assert not await store.put_grant(make_grant(version=1, generation=2), expected=0)


async def test_the_version_that_was_expected_is_replaced_and_no_other(store: Store) -> None:
    first, second = make_grant(version=1), make_grant(version=2, generation=2)
    assert not await store.put_grant(second, expected=1)
    assert await store.grant("main") is None
    assert await store.put_grant(first, expected=0)
    assert not await store.put_grant(second, expected=2)
    assert await store.put_grant(second, expected=1)
    assert not await store.put_grant(make_grant(version=2, generation=3), expected=1)
    assert await store.grant("main") == second


async def test_accounts_are_apart(store: Store) -> None:
    assert await store.put_grant(make_grant("main"), expected=0)
    assert await store.put_grant(make_grant("second"), expected=0)
    assert await store.put_grant(make_grant("main", version=2, generation=2), expected=1)
    assert await store.grant("second") == make_grant("second")


async def test_of_many_who_would_present_a_generation_one_may(store: Store) -> None:
    grant = make_grant()
    assert await store.put_grant(grant, expected=0)
    intended = [grant.intended(f"owner-{n}", NOW) for n in range(20)]
    won = await asyncio.gather(*(store.put_grant(each, expected=grant.version) for each in intended))
    assert won.count(True) == 1
    assert await store.grant("main") == intended[won.index(True)]


async def test_a_rehearsal_changes_no_grant(store: Store) -> None:
    await store.rehearse(make_grant())
    assert await store.grant("main") is None
    grant = make_grant()
    assert await store.put_grant(grant, expected=0)
    await store.rehearse(grant)
    assert await store.grant("main") == grant


async def test_a_process_is_gone_once_it_is_dead_and_not_while_it_lives(stage: Stage) -> None:
    names = (stage.dead, stage.living, stage.store.owner)
    assert [stage.store.is_gone(name) for name in names] == [True, False, False]


class TestLeases:
    async def test_of_many_who_want_it_one_gets_it(self, stage: Stage) -> None:
        owners = [stage.store.owner, stage.living] * 10
        won = await asyncio.gather(
            *(stage.store.take_lease("main", owner=it, now=NOW, until=after(9)) for it in owners)
        )
        assert len({owner for owner, is_won in zip(owners, won, strict=True) if is_won}) == 1

    async def test_it_ends_at_its_time_and_not_before(self, stage: Stage) -> None:
        store = stage.store
        assert await store.take_lease("main", owner=stage.living, now=NOW, until=after(9))
        assert not await store.take_lease("main", owner=store.owner, now=after(8.999999), until=after(20))
        assert await store.take_lease("main", owner=store.owner, now=after(9), until=after(20))
        assert not await store.take_lease("main", owner=stage.living, now=after(9), until=after(20))

    async def test_that_of_a_dead_process_may_be_taken_at_once(self, stage: Stage) -> None:
        store = stage.store
        assert await store.take_lease("main", owner=stage.dead, now=NOW, until=after(9999))
        assert await store.take_lease("main", owner=store.owner, now=NOW, until=after(9))

    async def test_only_its_owner_drops_it_and_accounts_are_apart(self, stage: Stage) -> None:
        store = stage.store
        assert await store.take_lease("main", owner=stage.living, now=NOW, until=after(9))
        assert await store.take_lease("second", owner=stage.living, now=NOW, until=after(9))
        await store.drop_lease("main", owner=store.owner)
        assert not await store.take_lease("main", owner=store.owner, now=NOW, until=after(9))
        await store.drop_lease("main", owner=stage.living)
        assert await store.take_lease("main", owner=store.owner, now=NOW, until=after(9))
        assert not await store.take_lease("second", owner=store.owner, now=NOW, until=after(9))


class TestLogins:
    async def test_it_is_taken_once_as_it_was_put(self, store: Store) -> None:
        login = make_login(may_replace=True)
        await store.put_login(login)
        assert await store.take_login("another", NOW) is None
        assert await store.take_login(login.state, NOW) == login
        assert await store.take_login(login.state, NOW) is None

    async def test_of_many_who_ask_at_once_one_gets_it(self, store: Store) -> None:
        login = make_login()
        await store.put_login(login)
        taken = await asyncio.gather(*(store.take_login(login.state, NOW) for _ in range(20)))
        assert (taken.count(login), taken.count(None)) == (1, 19)

    async def test_a_later_one_of_the_account_takes_its_place(self, store: Store) -> None:
        await store.put_login(make_login(state="first"))
        await store.put_login(make_login("second", state="other"))
        await store.put_login(make_login(state="later"))
        assert await store.take_login("first", NOW) is None
        assert await store.take_login("later", NOW) == make_login(state="later")
        assert await store.take_login("other", NOW) == make_login("second", state="other")

    async def test_one_state_is_one_login(self, store: Store) -> None:
        await store.put_login(make_login("main", state="same"))
        await store.put_login(make_login("second", state="same"))
        assert await store.take_login("same", NOW) == make_login("second", state="same")
        assert await store.take_login("same", NOW) is None

    async def test_when_its_time_is_over_it_is_gone_for_good(self, store: Store) -> None:
        login = make_login(expires_at=after(10))
        await store.put_login(login)
        assert await store.take_login(login.state, after(10)) is None
        assert await store.take_login(login.state, NOW) is None, "also for a clock that was set back"
        await store.put_login(login)
        assert await store.take_login(login.state, after(9.999999)) == login

    async def test_old_ones_are_swept_and_others_stay(self, store: Store) -> None:
        await store.put_login(make_login(expires_at=after(10)))
        await store.put_login(make_login("second", "state-2", expires_at=after(11)))
        assert await store.sweep(after(10), final_before=NOW, receipts_before=NOW) == 1
        assert await store.take_login("state-1", NOW) is None
        assert await store.take_login("state-2", NOW) is not None
