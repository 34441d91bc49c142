"""A grant by consent: the login is durable before its link, a state works once, a code is presented once, nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from gateway.core.errors import Unavailable
from gateway.core.grant import (
    AccessToken,
    Dead,
    Grant,
    Lost,
    NotPresented,
    RefreshToken,
    Refused,
    Rotated,
    first_grant,
)
from gateway.core.login import LIFE, Callback, ExchangeResult, Login, challenge_of
from gateway.core.login_end import (
    Denied,
    ExchangeLost,
    ExchangeRefused,
    Granted,
    NoSuchLogin,
    NotNow,
    OtherAccount,
    StillWorking,
)
from gateway.logins import Begun, Logins, Registration

from .stage import HOUR, NOON, SECOND, Clock, Notes, Store, pair, until

REDIRECT = "https://zns.example.com/oauth/zalo/callback"
SECRETS = ("app-secret", "a-code", "access-9", "refresh-9")
NEW = Rotated(AccessToken("access-9"), RefreshToken("refresh-9"), timedelta(hours=25))


class Exchanger:
    """Answers what it was told to, in turn, and then a new pair; remembers what was presented."""

    def __init__(self) -> None:
        self.script: list[ExchangeResult] = []
        self.presented: list[tuple[str, str]] = []
        self.on_exchange: Callable[[], Awaitable[object]] | None = None

    async def exchange(self, *, app_id: str, app_secret: str, code: str, verifier: str) -> ExchangeResult:
        assert (app_id, app_secret) == ("app", "app-secret")
        self.presented.append((code, verifier))
        answer = self.script.pop(0) if self.script else NEW
        if self.on_exchange is not None:
            await self.on_exchange()
        return answer


class Scene:
    """The flow on a store of its own; its random texts are counted."""

    def __init__(self, *, store: Store | None = None, oa_id: str = "oa-1", code_verifier: str = "") -> None:
        self.store = store or Store()
        self.clock = Clock()
        self.exchanger = Exchanger()
        self.notes = Notes()
        self._made = 0
        self.logins = Logins(
            self.store,
            self.exchanger,
            {"main": Registration("app", "app-secret", oa_id, code_verifier)},
            self.clock,
            self.notes,
            oauth_url="https://oauth.example.com/",
            deadline=timedelta(seconds=20),
            random_text=self._random,
        )

    def _random(self) -> str:
        self._made += 1
        return f"random-{self._made}".ljust(43, "x")

    async def begin(self, *, may_replace: bool = False) -> Login:
        begun = await self.logins.begin("main", REDIRECT, may_replace=may_replace)
        assert isinstance(begun, Begun)
        return begun.login

    async def has_grant(self) -> None:
        assert await self.store.put_grant(first_grant("main", pair(1), NOON, before=None), expected=0)

    async def access(self) -> str | None:
        grant = await self.store.grant("main")
        return None if grant is None else grant.access.value


def back(login: Login, **changes: str | None) -> Callback:
    """What the browser brings back after this login's link."""
    return msgspec.structs.replace(Callback("a-code", "oa-1", login.state), **changes)


async def test_the_whole_way_ends_with_a_grant_of_generation_one() -> None:
    scene = Scene()
    login = await scene.begin()
    ended = await scene.logins.finish(back(login))
    assert ended == Granted("main", 1, scene.clock() + timedelta(hours=25))
    assert scene.exchanger.presented == [("a-code", login.verifier)]
    assert await scene.access() == "access-9"


async def test_the_link_says_what_zalo_needs_and_shows_the_challenge_alone() -> None:
    begun = await Scene().logins.begin("main", REDIRECT, may_replace=False)
    assert isinstance(begun, Begun)
    parts = urlsplit(begun.url)
    assert parts.geturl().startswith("https://oauth.example.com/v4/oa/permission?")
    assert parse_qs(parts.query) == {
        "app_id": ["app"],
        "redirect_uri": [REDIRECT],
        "code_challenge": [challenge_of(begun.login.verifier)],
        "state": [begun.login.state],
    }
    assert begun.login.verifier not in begun.url


async def test_states_and_verifiers_are_43_characters_that_nobody_can_guess() -> None:
    logins = Logins(
        Store(),
        Exchanger(),
        {"main": Registration("app", "app-secret")},
        Clock(),
        Notes(),
        oauth_url="https://oauth.example.com",
        deadline=SECOND,
    )
    texts = set[str]()
    for _ in range(20):
        begun = await logins.begin("main", REDIRECT, may_replace=False)
        assert isinstance(begun, Begun)
        texts |= {begun.login.state, begun.login.verifier}
    assert len(texts) == 40
    assert {len(text) for text in texts} == {43}


async def test_a_fixed_verifier_is_the_one_that_is_shown() -> None:
    scene = Scene(code_verifier="fixed".ljust(43, "-"))
    login = await scene.begin()
    await scene.logins.finish(back(login))
    assert scene.exchanger.presented == [("a-code", "fixed".ljust(43, "-"))]


async def test_there_is_no_link_before_the_login_is_durable() -> None:
    class Deaf(Store):
        async def put_login(self, login: Login) -> None:
            raise Unavailable("the disk is full")

    with pytest.raises(Unavailable):
        await Scene(store=Deaf()).logins.begin("main", REDIRECT, may_replace=False)


async def test_whoever_began_it_knows_what_came_of_it_in_another_process_and_of_no_other_login() -> None:
    scene = Scene()
    terminal = Scene(store=scene.store)
    login = await terminal.begin()
    assert (await terminal.logins.is_waiting(login), await terminal.logins.end_of(login)) == (True, None)
    ended = await scene.logins.finish(back(login, code=None, error="-14099", words="no"))
    assert (await terminal.logins.is_waiting(login), await terminal.logins.end_of(login)) == (False, ended)
    newer = await terminal.begin()
    assert (await scene.logins.is_waiting(newer), await scene.logins.end_of(newer)) == (True, None)


@pytest.mark.parametrize(
    "result",
    [NEW, Refused("Zalo's words", -14010), Lost("cut"), NotPresented("dns")],
    ids=lambda it: type(it).__name__,
)
async def test_every_end_is_told_as_it_was(result: ExchangeResult) -> None:
    scene = Scene()
    scene.exchanger.script = [result] * 100
    login = await scene.begin()
    ended = await scene.logins.finish(back(login))
    assert await scene.logins.end_of(login) == ended
    login = await scene.begin(may_replace=True)
    ended = await scene.logins.finish(back(login, oa_id="oa-2"))
    assert (type(ended), await scene.logins.end_of(login)) == (OtherAccount, ended)


async def test_a_grant_that_somebody_else_brings_is_no_end_of_a_login() -> None:
    scene = Scene()
    login = await scene.begin()
    await scene.has_grant()
    assert (await scene.logins.is_waiting(login), await scene.logins.end_of(login)) == (True, None)
    assert await scene.logins.finish(back(login)) == StillWorking("main", 1) == await scene.logins.end_of(login)


async def test_a_newer_link_is_known_to_whoever_waits_for_the_older_one() -> None:
    scene = Scene()
    older, _ = await scene.begin(), await scene.begin()
    assert not await scene.logins.is_waiting(older)


async def test_a_state_works_once_and_the_second_time_is_told() -> None:
    scene = Scene()
    login = await scene.begin()
    assert isinstance(await scene.logins.finish(back(login)), Granted)
    assert await scene.logins.finish(back(login)) == NoSuchLogin(was_used=True)
    assert len(scene.exchanger.presented) == 1


async def test_of_many_callbacks_at_once_one_is_served() -> None:
    scene = Scene()
    login = await scene.begin()
    ends = await asyncio.gather(*(scene.logins.finish(back(login)) for _ in range(20)))
    assert sorted(type(end).__name__ for end in ends) == ["Granted"] + ["NoSuchLogin"] * 19
    assert len(scene.exchanger.presented) == 1


async def test_an_unknown_state_changes_nothing() -> None:
    scene = Scene()
    login = await scene.begin()
    for state in ("y" * 43, None):
        assert await scene.logins.finish(back(login, state=state)) == NoSuchLogin()
    assert isinstance(await scene.logins.finish(back(login)), Granted)


async def test_a_login_ends_with_its_time() -> None:
    scene = Scene()
    login = await scene.begin()
    scene.clock.turn(LIFE)
    assert await scene.logins.finish(back(login)) == NoSuchLogin()
    assert scene.exchanger.presented == []


async def test_a_newer_link_ends_the_older_one() -> None:
    scene = Scene()
    older, newer = await scene.begin(), await scene.begin()
    assert await scene.logins.finish(back(older)) == NoSuchLogin()
    assert isinstance(await scene.logins.finish(back(newer)), Granted)


async def test_a_withdrawn_link_does_not_work() -> None:
    scene = Scene()
    login = await scene.begin()
    assert await scene.logins.withdraw(login)
    assert not await scene.logins.withdraw(login)
    assert await scene.logins.finish(back(login)) == NoSuchLogin()


async def test_another_official_account_is_told_with_both_and_its_code_is_not_used() -> None:
    scene = Scene()
    login = await scene.begin()
    assert await scene.logins.finish(back(login, oa_id="oa-2")) == OtherAccount("main", "oa-1", "oa-2")
    assert (scene.exchanger.presented, await scene.access()) == ([], None)


@pytest.mark.parametrize(("configured", "came"), [("", "oa-2"), ("oa-1", None)])
async def test_accounts_are_compared_where_both_are_known(configured: str, came: str | None) -> None:
    scene = Scene(oa_id=configured)
    login = await scene.begin()
    assert isinstance(await scene.logins.finish(back(login, oa_id=came)), Granted)


async def test_an_error_instead_of_a_code_is_told_and_ends_the_login() -> None:
    scene = Scene()
    login = await scene.begin()
    ended = await scene.logins.finish(back(login, code=None, error="-14099", words="no thanks"))
    assert ended == Denied("main", "-14099", "no thanks")
    assert await scene.logins.finish(back(login)) == NoSuchLogin(was_used=True)


@pytest.mark.parametrize(
    ("number", "word"),
    [(-14002, "app id"), (-14003, "redirect"), (-14010, "verifier"), (-14004, "app_secret"), (None, "app_secret")],
)
async def test_what_zalo_refuses_is_told_in_plain_words_and_presented_once(number: int | None, word: str) -> None:
    scene = Scene()
    scene.exchanger.script = [Refused("Zalo's words", number)]
    ended = await scene.logins.finish(back(await scene.begin()))
    assert ended == ExchangeRefused("main", number, "Zalo's words")
    assert isinstance(ended, ExchangeRefused)
    assert word in ended.meaning.english
    assert ended.meaning.vietnamese != ended.meaning.english
    assert (len(scene.exchanger.presented), await scene.access()) == (1, None)


async def test_a_lost_answer_is_told_and_never_asked_for_again() -> None:
    scene = Scene()
    scene.exchanger.script = [Lost("connection-lost")]
    assert await scene.logins.finish(back(await scene.begin())) == ExchangeLost("main", "connection-lost")
    assert len(scene.exchanger.presented) == 1


async def test_an_answer_that_does_not_come_is_lost_when_the_deadline_passes() -> None:
    scene = Scene()

    async def sleep() -> None:
        await asyncio.sleep(1000)

    scene.exchanger.on_exchange = sleep
    begun_at = scene.clock()
    assert await scene.logins.finish(back(await scene.begin())) == ExchangeLost("main", "timed-out")
    assert scene.clock() - begun_at < timedelta(seconds=21)


async def test_what_never_left_us_is_tried_again_within_the_deadline() -> None:
    scene = Scene()
    scene.exchanger.script = [NotPresented("connection-refused")] * 3
    assert isinstance(await scene.logins.finish(back(await scene.begin())), Granted)
    scene.exchanger.script = [NotPresented("connection-refused")] * 1000
    begun_at = scene.clock()
    assert await scene.logins.finish(back(await scene.begin(may_replace=True))) == NotNow("zalo", "main")
    assert scene.clock() - begun_at <= timedelta(seconds=20)


async def test_a_working_grant_is_not_asked_to_be_replaced_and_there_is_no_link() -> None:
    scene = Scene()
    await scene.has_grant()
    assert await scene.logins.begin("main", REDIRECT, may_replace=False) == StillWorking("main", 1)
    ended = await scene.logins.finish(back(await scene.begin(may_replace=True)))
    assert isinstance(ended, Granted)
    assert (ended.generation, await scene.access()) == (2, "access-9")


async def test_a_grant_that_works_by_the_time_of_the_callback_is_kept_and_the_code_is_not_used() -> None:
    scene = Scene()
    login = await scene.begin()
    await scene.has_grant()
    assert await scene.logins.finish(back(login)) == StillWorking("main", 1)
    assert (scene.exchanger.presented, await scene.access()) == ([], "access-1")


async def test_a_dead_grant_is_replaced_without_asking() -> None:
    scene = Scene()
    await scene.has_grant()
    grant = await scene.store.grant("main")
    assert grant is not None
    assert await scene.store.put_grant(grant.concluded(Dead("gone"), NOON), expected=grant.version)
    assert isinstance(await scene.logins.finish(back(await scene.begin())), Granted)


async def test_a_store_that_cannot_be_reached_leaves_the_callback_to_be_tried_again() -> None:
    class Shy(Store):
        async def take_login(self, state: str, now: object) -> Login | None:
            if "take_login" in self.fails:
                raise Unavailable("not now")
            return await super().take_login(state, now)  # type: ignore[arg-type]  # as it was given

    scene = Scene(store=Shy())
    login = await scene.begin()
    with scene.store.failing("take_login"):
        assert await scene.logins.finish(back(login)) == NotNow("store")
    assert isinstance(await scene.logins.finish(back(login)), Granted)


@pytest.mark.parametrize("is_confirmed_late", [False, True])
async def test_a_new_pair_is_saved_although_the_store_stumbles(is_confirmed_late: bool) -> None:
    scene = Scene()
    login = await scene.begin()
    scene.store.is_brief = True
    (scene.store.loses if is_confirmed_late else scene.store.fails).add("put_grant")
    ended = await scene.logins.finish(back(login))
    assert isinstance(ended, Granted)
    assert (ended.generation, await scene.access()) == (1, "access-9")
    assert scene.notes.named("store-unavailable")


async def test_a_pair_that_cannot_be_saved_in_half_a_minute_is_told_to_be_lost() -> None:
    scene = Scene()
    login = await scene.begin()
    begun_at = scene.clock()
    with scene.store.failing("put_grant"):
        assert await scene.logins.finish(back(login)) == NotNow("saving", "main")
    assert timedelta(seconds=30) <= scene.clock() - begun_at < timedelta(seconds=40)


async def test_whoever_writes_in_between_does_not_keep_the_newest_pair_out() -> None:
    scene = Scene()
    await scene.has_grant()
    login = await scene.begin(may_replace=True)

    async def prove() -> None:
        grant = await scene.store.grant("main")
        assert grant is not None
        assert await scene.store.put_grant(grant.proven(NOON + HOUR), expected=grant.version)

    scene.exchanger.on_exchange = prove
    assert isinstance(await scene.logins.finish(back(login)), Granted)
    assert await scene.access() == "access-9"


async def test_a_save_that_somebody_forestalls_is_made_again() -> None:
    class Raced(Store):
        is_armed = True

        async def put_grant(self, grant: Grant, *, expected: int) -> bool:
            if self.is_armed:
                self.is_armed = False
                assert await super().put_grant(first_grant("main", pair(5), NOON, before=None), expected=0)
            return await super().put_grant(grant, expected=expected)

    scene = Scene(store=Raced())
    ended = await scene.logins.finish(back(await scene.begin()))
    assert isinstance(ended, Granted)
    assert (ended.generation, await scene.access()) == (2, "access-9")


async def test_a_browser_that_goes_away_takes_nothing_with_it_and_the_end_waits() -> None:
    scene = Scene()
    login = await scene.begin()
    opening = asyncio.Event()
    scene.exchanger.on_exchange = opening.wait
    asked = asyncio.create_task(scene.logins.finish(back(login)))
    await until(lambda: bool(scene.exchanger.presented))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    closing = asyncio.create_task(scene.logins.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    opening.set()
    await closing
    assert await scene.access() == "access-9"


async def test_every_end_is_told_to_the_observer_without_a_secret() -> None:
    scene = Scene()
    login = await scene.begin()
    scene.exchanger.script = [Refused("a-code is bad", -14010)]
    ended = await scene.logins.finish(back(login))
    await scene.logins.finish(back(login))
    await scene.logins.finish(back(await scene.begin(), code=None, error="x", words="a-code"))
    assert [about["outcome"] for about in scene.notes.named("login-ended")] == [
        "refused",
        "no-such-login",
        "denied",
    ]
    registration = Registration("app", "app-secret", "oa-1", "v" * 43)
    told = repr((scene.notes.facts, login, back(login), registration, Begun(login, f"u?{login.state}")))
    assert [it for it in (*SECRETS, login.state, login.verifier, "v" * 43) if it in told] == []
    assert isinstance(ended, ExchangeRefused)
