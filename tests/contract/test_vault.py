"""What every keeper of the Vault does with grants: each sentence of its port."""

import asyncio

import msgspec

from gateway.core.grant import Intent, Trouble

from .stage import NOW, Store, after, make_grant


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
