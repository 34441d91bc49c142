"""Several processes, a store that fails, a clock that jumps, a Zalo that loses answers, and death at every await.

A generation is presented at most once by a normal intent and at most once by a last one, unless Zalo said, or it is
certain, that it was not spent; nothing counts as lost that never left; the newest pair that anybody received is in the
Vault; nobody waits for ever.
"""

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
from gateway.core.grant import LOST, Dead, Grant, Lost, NotPresented, RefreshResult, Refused, Rotated, first_grant
from gateway.grants import Grants, adopt
from gateway.ports import Heard, Write
from gateway.tokens import App, Tokens

from .stage import LEASE, TOKEN_LIFE, Clock, Notes, Store, TimelessLoop, fresh, pair, read_back, written

REPLICAS = 3
WHICH = st.integers(0, REPLICAS - 1)
FAULTS = st.sampled_from(["", "", "", "fails", "loses"])
KINDS = st.sampled_from(["rotated", "rotated", "rotated", "dead", "lost", "refused", "unsent"])


class Question(msgspec.Struct):
    """One presentation that Zalo has not answered yet."""

    replica: int
    life: int
    token: str
    generation: int
    is_last: bool
    answer: "asyncio.Future[RefreshResult]"


class Oracle:
    """The Issuer of one process: every presentation waits until the machine answers it."""

    def __init__(self, machine: "Replicas", replica: int, life: int) -> None:
        self._machine = machine
        self._replica = replica
        self._life = life

    async def prepare(self) -> NotPresented | None:
        await asyncio.sleep(0)
        return NotPresented("dns") if self._machine.is_cut_off else None

    async def refresh(
        self, *, app_id: str, app_secret: str, refresh_token: str, journal: Write | None = None
    ) -> RefreshResult:
        grant = self._machine.store._grants["main"]
        is_last = grant.intent is not None and grant.intent.is_last
        future: asyncio.Future[RefreshResult] = asyncio.get_running_loop().create_future()
        question = Question(self._replica, self._life, refresh_token, grant.generation, is_last, future)
        self._machine.is_presented(question)
        result = await question.answer
        assert journal is not None
        if not isinstance(result, Lost | NotPresented):
            journal(200, written(result))
            self._machine.is_received(question, result)
        await asyncio.sleep(0)
        return result

    def read(self, heard: Heard, refresh_token: str) -> RefreshResult:
        return read_back(heard)


class Remembering(dict[str, Grant]):
    """The vault's grants, and every access token that was ever among them."""

    def __init__(self) -> None:
        super().__init__()
        self.accesses: set[str] = set()

    def __setitem__(self, account: str, grant: Grant) -> None:
        self.accesses.add(grant.access.value)
        super().__setitem__(account, grant)


class Replicas(RuleBasedStateMachine):
    """Tokens of several processes over one vault, with everything that may go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TimelessLoop()
        self.store, self.clock = Store(), Clock(self.loop)
        self.store._grants = self.vault = Remembering()
        self.store.is_brief = True
        self.questions: list[Question] = []
        self.presented: dict[str, list[bool]] = {}
        self.ever_presented: dict[str, set[bool]] = {}
        self.owed: dict[str, int] = {}
        self.refused: set[str] = set()
        self.is_cut_off = False
        self.pairs = 1
        self.tasks: list[set[asyncio.Task[Any]]] = [set() for _ in range(REPLICAS)]
        self.lives = [0] * REPLICAS
        self.grants: list[Grants] = [Grants(self.store, self.clock) for _ in range(REPLICAS)]
        self.tokens = [self.made(number) for number in range(REPLICAS)]
        self.was_saved = {"access-1"}
        self.wrongs: list[str] = []

    def made(self, number: int) -> Tokens:
        self.grants[number] = Grants(self.store, self.clock, jitter=number / REPLICAS)
        oracle = Oracle(self, number, self.lives[number])
        apps = {"main": App("app", "s")}
        return Tokens(
            self.grants[number],
            self.store,
            self.store.journal,
            oracle,
            apps,
            self.clock,
            Notes(),
            owner=self.owner(number),
            deadline=LEASE,
        )

    def owner(self, number: int) -> str:
        return f"{number}.{self.lives[number]}"

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
        self.was_saved |= self.vault.accesses
        # What came when its generation had long been followed by others is no longer the newest.
        self.owed = {
            access: generation
            for access, generation in self.owed.items()
            if access not in self.was_saved and not _is_past(grant, generation)
        }

    @initialize()
    def a_person_has_consented(self) -> None:
        async def begin() -> None:
            await self.store.put_grant(first_grant("main", pair(1), self.clock(), before=None), expected=0)
            for tokens in self.tokens:
                await tokens.look()

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
        self.start(replica, self.tokens[replica].look())

    @rule(replica=WHICH, fault=FAULTS)
    def zalo_rejects_what_it_took_before(self, replica: int, fault: str) -> None:
        self.zalo_takes_the_token_in_use(replica)
        self.the_store_goes_wrong(fault, "put_grant")
        grant = self.grants[replica].grant("main")
        if grant is not None:
            self.start(replica, self.tokens[replica].renew("main", grant.generation))

    @rule(replica=WHICH)
    def zalo_rejects_the_token_in_use(self, replica: int) -> None:
        grant = self.grants[replica].grant("main")
        if grant is not None:
            self.start(replica, self.tokens[replica].renew("main", grant.generation))

    @rule(replica=WHICH)
    def zalo_takes_the_token_in_use(self, replica: int) -> None:
        token = self.grants[replica].usable("main")
        if token is not None:
            self.start(replica, self.grants[replica].prove("main", token.generation))

    @rule(replica=WHICH)
    def a_process_dies_and_another_takes_its_place(self, replica: int) -> None:
        self.store.dead.add(self.owner(replica))
        self.lives[replica] += 1
        dying = self.tasks[replica] | set(self.tokens[replica]._refreshing.values())
        self.tasks[replica] = set()

        async def die() -> None:
            for task in dying:
                task.cancel()
            await asyncio.gather(*dying, return_exceptions=True)

        self.go(die())
        self.tokens[replica] = self.made(replica)
        self.start(replica, self.tokens[replica].look())

    # -- what the world does --

    @rule(
        by=st.sampled_from([timedelta(seconds=6), 2 * LEASE, timedelta(hours=2), timedelta(hours=-1), TOKEN_LIFE])
    )
    def time_passes(self, by: timedelta) -> None:
        self.clock.turn(by)
        self.go(self.settle())

    @rule(seconds=st.sampled_from([0.6, 5, 40]))
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

    @rule()
    def zalo_cannot_be_reached_for_a_while_or_can_again(self) -> None:
        self.is_cut_off = not self.is_cut_off

    def is_presented(self, question: Question) -> None:
        kinds = self.presented.setdefault(question.token, [])
        kinds.append(question.is_last)
        self.refused.discard(question.token)
        self.ever_presented.setdefault(question.token, set()).add(question.is_last)
        if sorted(kinds) not in ([False], [True], [False, True]):
            self.wrongs.append(f"{question.token} was presented {kinds}")
        self.questions.append(question)

    def is_received(self, question: Question, result: RefreshResult) -> None:
        grant = self.store._grants["main"]
        if isinstance(result, Rotated) and not _is_past(grant, question.generation):
            self.owed[result.access.value] = question.generation

    @rule(replica=WHICH, kind=KINDS, before=FAULTS, after=FAULTS, is_rejected=st.booleans())
    def a_token_s_life_goes_by(self, replica: int, kind: str, before: str, after: str, is_rejected: bool) -> None:
        self.the_store_is_well_and_everyone_has_time(5)
        if self.needs_a_person():
            self.a_person_brings_a_new_grant()
        if is_rejected:
            self.zalo_rejects_what_it_took_before(replica, before)
        else:
            self.somebody_wants_a_token(replica, True, before)
        self.is_cut_off = False
        self.somebody_looks(replica)
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
        elif kind in ("refused", "unsent"):
            # Zalo has said, or it is certain, that it is unspent: it may be presented again.
            self.presented[question.token].remove(question.is_last)
            answer = Refused("busy") if kind == "refused" else NotPresented("dns")
            if kind == "refused":
                self.refused.add(question.token)
        else:
            answer = Dead("dead") if kind == "dead" else Lost("cut")
        question.answer.set_result(answer)
        self.go(self.settle())

    @rule(by=WHICH, replica=WHICH, fault=FAULTS, is_killed=st.booleans())
    def a_refusal_comes_late(self, by: int, replica: int, fault: str, is_killed: bool) -> None:
        self.a_token_s_life_goes_by(replica, "rotated", "", "", False)
        self.the_store_is_well_and_everyone_has_time(5)
        self.clock.turn(0.7 * TOKEN_LIFE)  # due, and far from a last chance
        self.somebody_looks(replica)
        for _ in range(2):
            self.somebody_looks(by)
            self.the_store_is_well_and_everyone_has_time(40)
        while self.questions:
            self.zalo_answers(0, "refused", fault)
        if is_killed:
            self.a_process_dies_and_another_takes_its_place(replica)
        self.nothing_counts_as_lost_that_zalo_refused()

    @precondition(lambda self: self.refused)
    @rule()
    def nothing_counts_as_lost_that_zalo_refused(self) -> None:
        """Unless a last chance was taken, too: whose answer tells nothing of what went before it."""
        for _ in range(2):
            for replica in range(REPLICAS):
                self.somebody_looks(replica)
            self.the_store_is_well_and_everyone_has_time(5)
        grant = self.store._grants["main"]
        if grant.refresh.value in self.refused and True not in self.ever_presented[grant.refresh.value]:
            assert grant.trouble is None or grant.trouble.kind != LOST

    @precondition(lambda self: self.owed)
    @rule()
    def with_the_store_well_the_newest_pair_is_soon_in_the_vault(self) -> None:
        for replica in range(REPLICAS):
            self.somebody_looks(replica)
        self.the_store_is_well_and_everyone_has_time(40)
        for replica in range(REPLICAS):
            self.somebody_looks(replica)
        self.the_store_is_well_and_everyone_has_time(5)
        assert self.owed == {}

    @invariant()
    def nothing_is_presented_twice_and_nothing_else_goes_wrong(self) -> None:
        assert self.wrongs == []

    @invariant()
    def nothing_counts_as_lost_that_never_left(self) -> None:
        grant = self.store._grants.get("main")
        if grant is not None and grant.trouble is not None and grant.trouble.kind == LOST:
            assert self.ever_presented.get(grant.refresh.value, set()) >= {False} | {grant.trouble.is_final}

    @invariant()
    def nobody_uses_a_token_that_is_not_in_the_vault(self) -> None:
        for grants in self.grants:
            token = grants.usable("main")
            assert token is None or token.access.value in self.was_saved

    def teardown(self) -> None:
        self.with_the_store_well_the_newest_pair_is_soon_in_the_vault()
        self.nobody_waits_for_ever()

        async def end() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self.go(end())
        self.loop.close()

    def nobody_waits_for_ever(self) -> None:
        for _ in range(3):  # a last chance may follow what is lost now
            for _question in list(self.questions):
                self.zalo_answers(0, "lost", "")
            self.the_store_is_well_and_everyone_has_time(40)
        assert all(task.done() for tasks in self.tasks for task in tasks)


def _is_past(grant: Grant, generation: int) -> bool:
    """True if a pair of that generation's is not the newest any more: a person's came, or others have followed it."""
    is_next = grant.generation == generation + 1 and grant.was_refreshed and grant.presented == 0
    return grant.generation > generation and not is_next


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
