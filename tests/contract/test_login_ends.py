"""What every keeper of the Vault knows of a login that waits, and of what came of it."""

from .stage import NOW, Store, make_login


async def test_it_waits_until_it_is_taken(store: Store) -> None:
    login = make_login()
    assert not await store.is_waiting(login)
    await store.put_login(login)
    assert await store.is_waiting(login)
    assert await store.take_login(login.state, NOW) == login
    assert not await store.is_waiting(login)


async def test_it_waits_until_a_newer_one_of_its_account_takes_its_place(store: Store) -> None:
    older, newer, other = make_login(state="older"), make_login(state="newer"), make_login("second", state="other")
    for login in (older, other, newer):
        await store.put_login(login)
    assert [await store.is_waiting(it) for it in (older, newer, other)] == [False, True, True]


async def test_its_end_is_there_as_it_was_told_and_the_latest_counts(store: Store) -> None:
    login = make_login()
    assert await store.login_end(login) is None
    for told in (b"", b"one", bytes(range(256))):
        await store.end_login(login, told)
        assert await store.login_end(login) == told


async def test_the_end_of_one_is_not_that_of_another(store: Store) -> None:
    older, newer, other = make_login(state="older"), make_login(state="newer"), make_login("second", state="other")
    await store.end_login(other, b"of the other account")
    await store.end_login(older, b"old")
    assert await store.login_end(newer) is None
    await store.end_login(newer, b"new")
    assert [await store.login_end(it) for it in (older, newer, other)] == [None, b"new", b"of the other account"]
