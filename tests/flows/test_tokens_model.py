"""Several processes, a store that fails and a Zalo that loses answers: a refresh token is presented once."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.errors import Unavailable
from gateway.core.grant import Dead, Lost, NotPresented, RefreshResult, Refused, first_grant
from gateway.tokens import App, Tokens, adopt

from .stage import LEASE, TOKEN_LIFE, Clock, Notes, Store, TimelessLoop, fresh, pair

REPLICAS = 3
WHICH = st.integers(0, REPLICAS - 1)
FAULTS = st.sampled_from(["", "", "", "fails", "loses"])
KINDS = st.sampled_from(["rotated", "rotated", "rotated", "dead", "lost", "refused", "unsent"])


class Question(msgspec.Struct):
    """One presentation that Zalo has not answered yet."""

    replica: int
    life: int
    token: str
    answer: "asyncio.Future[RefreshResult]"


class Oracle:
    """The Issuer of one process: every presentation waits until the machine answers it."""

    def __init__(self, machine: "Replicas", replica: int, life: int) -> None:
        self._machine = machine
        self._replica = replica
        self._life = life

    async def refresh(self, *, app_id: str, app_secret: str, refresh_token: str) -> RefreshResult:
        question = Question(self._replica, self._life, refresh_token, asyncio.get_running_loop().create_future())
        self._machine.is_presented(question)
        return await question.answer


class Replicas(RuleBasedStateMachine):
    """Tokens of several processes over one vault, with everything that may go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TimelessLoop()
        self.store, self.clock = Store(), Clock(self.loop)
        self.store.is_brief = True
        self.questions: list[Question] = []
        self.spent: set[str] = set()
        self.owed: dict[int, str] = {}
        self.pairs = 1
        self.tasks: list[set[asyncio.Task[Any]]] = [set() for _ in range(REPLICAS)]
        self.lives = [0] * REPLICAS
        self.tokens = [self.made(number) for number in range(REPLICAS)]
        self.was_saved = {"access-1"}
        self.wrongs: list[str] = []

    def made(self, number: int) -> Tokens:
        owner = f"{number}.{self.lives[number]}"
        oracle = Oracle(self, number, self.lives[number])
        return Tokens(
            self.store, oracle, {"main": App("app", "s")}, self.clock, Notes(), owner=owner, deadline=LEASE
        )

    def go(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    def start(self, replica: int, step: Coroutine[Any, Any, Any]) -> None:
        async def quietly() -> None:
            try:
                await step
            except Unavailable:
                pass
            except Exception as error:
                self.wrongs.append(repr(error))

        async def begin() -> None:
            self.tasks[replica].add(asyncio.create_task(quietly()))
            await self.settle()

        self.go(begin())

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)
        grant = self.store._grants.get("main")
        assert grant is not None
        self.was_saved.add(grant.access.value)
        self.owed = {replica: access for replica, access in self.owed.items() if access not in self.was_saved}

    @initialize()
    def a_person_has_consented(self) -> None:
        async def begin() -> None:
            await self.store.put_grant(first_grant("main", pair(1), self.clock(), before=None), expected=0)
            for tokens in self.tokens:
                await tokens.reload()

        self.go(begin())

    # -- what processes do --

    @rule(replica=WHICH, is_worn=st.booleans(), fault=FAULTS)
    def somebody_wants_a_token(self, replica: int, is_worn: bool, fault: str) -> None:
        if is_worn:
            self.clock.turn(TOKEN_LIFE)
        self.the_store_goes_wrong(fault, "put_grant")
        self.start(replica, fresh(self.tokens[replica]))

    @rule(replica=WHICH)
    def somebody_looks(self, replica: int) -> None:
        self.start(replica, self.tokens[replica].reload())

    @rule(replica=WHICH, fault=FAULTS)
    def zalo_rejects_what_it_took_before(self, replica: int, fault: str) -> None:
        self.zalo_takes_the_token_in_use(replica)
        self.the_store_goes_wrong(fault, "put_grant")
        grant = self.tokens[replica].grant("main")
        if grant is not None:
            self.start(replica, self.tokens[replica].renew("main", grant.generation))

    @rule(replica=WHICH)
    def zalo_rejects_the_token_in_use(self, replica: int) -> None:
        grant = self.tokens[replica].grant("main")
        if grant is not None:
            self.start(replica, self.tokens[replica].renew("main", grant.generation))

    @rule(replica=WHICH)
    def zalo_takes_the_token_in_use(self, replica: int) -> None:
        token = self.tokens[replica].usable("main")
        if token is not None:
            self.start(replica, self.tokens[replica].prove("main", token.generation))

    @rule(replica=WHICH)
    def a_process_dies_and_another_takes_its_place(self, replica: int) -> None:
        self.lives[replica] += 1
        self.owed.pop(replica, None)
        dying = self.tasks[replica] | set(self.tokens[replica]._refreshing.values())
        self.tasks[replica] = set()

        async def die() -> None:
            for task in dying:
                task.cancel()
            await asyncio.gather(*dying, return_exceptions=True)

        self.go(die())
        self.tokens[replica] = self.made(replica)
        self.start(replica, self.tokens[replica].reload())

    # -- what the world does --

    @rule(by=st.sampled_from([timedelta(seconds=6), LEASE, timedelta(hours=2)]))
    def time_passes(self, by: timedelta) -> None:
        self.clock.turn(by)
        self.go(self.settle())

    @rule(seconds=st.sampled_from([0.6, 5]))
    def the_store_is_well_and_everyone_has_time(self, seconds: float) -> None:
        self.store.fails.clear()
        self.store.loses.clear()

        async def wait() -> None:
            await asyncio.sleep(seconds)
            await self.settle()

        self.go(wait())

    @rule(fault=FAULTS, name=st.sampled_from(["grant", "put_grant"]))
    def the_store_goes_wrong(self, fault: str, name: str) -> None:
        if fault:
            getattr(self.store, fault).add(name)

    @precondition(lambda self: self.needs_a_person())
    @rule()
    def a_person_brings_a_new_grant(self) -> None:
        self.the_store_is_well_and_everyone_has_time(0.6)
        self.pairs += 1
        self.owed.clear()

        async def bring() -> None:
            while True:
                with suppress(Exception):
                    await adopt(self.store, "main", pair(self.pairs), self.clock(), may_replace=True)
                    break
            await self.settle()

        self.go(bring())

    def needs_a_person(self) -> bool:
        grant = self.store._grants.get("main")
        return grant is not None and grant.trouble is not None and grant.trouble.is_final

    def is_presented(self, question: Question) -> None:
        if question.token in self.spent:
            self.wrongs.append(f"{question.token} was presented again")
        self.spent.add(question.token)
        self.questions.append(question)

    @rule(replica=WHICH, kind=KINDS, before=FAULTS, after=FAULTS, is_rejected=st.booleans())
    def a_token_s_life_goes_by(self, replica: int, kind: str, before: str, after: str, is_rejected: bool) -> None:
        self.the_store_is_well_and_everyone_has_time(5)
        if self.needs_a_person():
            self.a_person_brings_a_new_grant()
        if is_rejected:
            self.zalo_rejects_what_it_took_before(replica, before)
        else:
            self.somebody_wants_a_token(replica, True, before)
        if self.questions:
            self.zalo_answers(len(self.questions) - 1, kind, after)

    @precondition(lambda self: self.questions)
    @rule(which=st.integers(0, 5), kind=KINDS, fault=FAULTS)
    def zalo_answers(self, which: int, kind: str, fault: str) -> None:
        self.the_store_goes_wrong(fault, "put_grant")
        question = self.questions.pop(which % len(self.questions))
        if question.life != self.lives[question.replica] or question.answer.done():
            return
        answer: RefreshResult
        if kind == "rotated":
            self.pairs += 1
            answer = pair(self.pairs)
            grant = self.store._grants["main"]
            if grant.refresh.value == question.token:
                self.owed[question.replica] = answer.access.value
        elif kind in ("refused", "unsent"):
            # Zalo has said, or it is certain, that it is unspent: it may be presented again.
            self.spent.discard(question.token)
            answer = Refused("busy") if kind == "refused" else NotPresented("dns")
        else:
            answer = Dead("dead") if kind == "dead" else Lost("cut")
        question.answer.set_result(answer)
        self.go(self.settle())

    @precondition(lambda self: self.owed)
    @rule()
    def with_the_store_well_the_newest_pair_is_soon_in_the_vault(self) -> None:
        self.the_store_is_well_and_everyone_has_time(5)
        assert self.owed == {}

    @invariant()
    def nothing_is_presented_twice_and_nothing_else_goes_wrong(self) -> None:
        assert self.wrongs == []

    @invariant()
    def nobody_uses_a_token_that_is_not_in_the_vault(self) -> None:
        for tokens in self.tokens:
            token = tokens.usable("main")
            assert token is None or token.access.value in self.was_saved

    @invariant()
    def at_most_one_new_pair_waits_to_be_saved(self) -> None:
        assert len(self.owed) <= 1

    def teardown(self) -> None:
        self.with_the_store_well_the_newest_pair_is_soon_in_the_vault()

        async def end() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self.go(end())
        self.loop.close()


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
