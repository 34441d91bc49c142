"""Each keeper beside a plain dictionary: whatever is accepted, saved, told and looked for, both say the same."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.core.callback import Callback, of_message
from gateway.core.delivery import State
from gateway.core.event import Event
from gateway.core.identity import canonical
from gateway.core.message import Message, received, waiting
from gateway.core.receipt import Receipt
from gateway.ports import Conflicting, Known, Query, Stored

from .stage import KEEPERS, OpenStage, after, begin, finish, identity_of, make_event, make_letter, make_message

NAMES = st.sampled_from(["a", "b", "c", "d"])
KEYS = st.sampled_from([None, None, "k1", "k2"])
DATA = st.sampled_from([{"n": 1}, {"n": 1}, {"n": 1.0}, {"n": True}])
PRIORITIES = st.sampled_from(["urgent", "normal", "bulk"])
CALLERS = st.sampled_from(["crm", "checkout"])
BORN = st.sampled_from([State.QUEUED, State.QUEUED, State.SKIPPED, State.FAILED])
SECONDS = st.integers(0, 5)
RANKS = ["urgent", "normal", "bulk"]


class Comparison(RuleBasedStateMachine):
    """The model: messages by tracking_id in order of acceptance, and by each name the message and what was said.

    Beside them what each caller is to be told: every change of a status that has been committed, in no order.
    """

    open_stage: OpenStage

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, Message] = {}
        self.names: dict[str, tuple[str, bytes]] = {}
        self.told: dict[str, Callback] = {}
        self.clock = 0
        self.runner = asyncio.Runner()
        self.opened = AsyncExitStack()
        folder = Path(self.opened.enter_context(tempfile.TemporaryDirectory()))
        stage = self.runner.run(self.opened.enter_async_context(type(self).open_stage(folder, 3)))
        self.store = stage.store

    def teardown(self) -> None:
        self.runner.run(self.opened.aclose())
        self.runner.close()

    @rule(name=NAMES, key=KEYS, data=DATA, priority=PRIORITIES, seconds=SECONDS, caller=CALLERS, state=BORN)
    def accept(
        self,
        name: str,
        key: str | None,
        data: dict[str, Any],
        priority: str,
        seconds: int,
        caller: str,
        state: State,
    ) -> None:
        event = make_event(name, data=data)
        identity = identity_of(event, key)
        message = make_message(
            name, key=key, priority=priority, accepted_at=after(seconds), caller=caller, state=state
        )
        expected = self._accepted(message, event, identity.names)
        assert self.runner.run(self.store.accept(message, make_letter(event), identity)) == expected
        known = self.runner.run(self.store.known(identity, event))
        assert known == (Known(message) if expected == Stored() else expected)

    def _accepted(self, message: Message, event: Event, names: tuple[str, ...]) -> object:
        found = [self.names[name] for name in names if name in self.names]
        if found:
            tracking_id, told = found[0]
            if set(found) != {(tracking_id, told)} or told != canonical(event):
                return Conflicting(self.messages[tracking_id].tracking_id)
        else:
            tracking_id, told = message.tracking_id, canonical(event)
            self.messages[tracking_id] = message
            self._tell(message, None)
        self.names.update(dict.fromkeys(names, (tracking_id, told)))
        return Known(self.messages[tracking_id]) if found else Stored()

    @rule(index=st.integers(0, 9), is_stale=st.booleans())
    def claim(self, index: int, *, is_stale: bool) -> None:
        self._save(index, [State.QUEUED], lambda message: begin(message, self.store.owner), is_stale=is_stale)

    @rule(index=st.integers(0, 9), is_stale=st.booleans())
    def conclude(self, index: int, *, is_stale: bool) -> None:
        self._save(index, [State.SENDING], lambda it: finish(it, f"z-{it.tracking_id}"), is_stale=is_stale)

    @rule(index=st.integers(0, 1))
    def receive(self, index: int) -> None:
        """Also a second time, which changes the message and not its status."""
        self._save(index, list(State), lambda it: received(it, Receipt("z", None, None), after(9)))

    @rule(index=st.integers(0, 9), seconds=SECONDS)
    def put_off(self, index: int, seconds: int) -> None:
        self._save(index, [State.QUEUED], lambda it: waiting(it, reason=None, next_attempt_at=after(seconds)))

    def _save(self, index: int, states: list[State], step: Any, *, is_stale: bool = False) -> None:
        able = [message for message in self.messages.values() if message.state in states]
        if not able:
            return
        message = able[index % len(able)]
        newer = step(message)
        expected = message.version - 1 if is_stale else message.version
        assert self.runner.run(self.store.save(newer, expected=expected)) is not is_stale
        if not is_stale:
            self.messages[message.tracking_id] = newer
            self._tell(newer, message)

    def _tell(self, message: Message, before: Message | None) -> None:
        """What is to be told of a change, if its caller is one of those that are."""
        callback = of_message(message)
        is_new = before is None or before.state.status != message.state.status
        if message.caller == "crm" and callback is not None and is_new:
            self.told[callback.id] = callback

    @rule(limit=st.integers(1, 3), is_taken=st.booleans())
    def tell(self, limit: int, *, is_taken: bool) -> None:
        self.clock += 100
        now = after(self.clock)
        for callback in self.runner.run(self.store.take_callbacks("crm", now, until=now, limit=limit)):
            made = self.told[callback.id]
            assert (callback.type, callback.body) == (made.type, made.body)
            self.runner.run(
                self.store.settle_callback(callback.id, taken_until=now, next_at=None if is_taken else now)
            )
            if is_taken:
                del self.told[callback.id]

    @rule(seconds=SECONDS, limit=st.integers(1, 4))
    def due(self, seconds: int, limit: int) -> None:
        now = after(seconds)
        ready = [message for message in self.messages.values() if message.state is State.QUEUED]
        ready = [message for message in ready if (message.next_attempt_at or message.accepted_at) <= now]
        ready.sort(key=lambda it: (RANKS.index(it.priority), it.next_attempt_at or it.accepted_at, it.accepted_at))
        assert self.runner.run(self.store.due("main", now, held=(), limit=limit)) == ready[:limit]

    @rule(limit=st.integers(1, 3))
    def pages(self, limit: int) -> None:
        query = Query(limit=limit)
        items: list[Message] = []
        while True:
            page = self.runner.run(self.store.find(query))
            items += page.items
            if page.next_cursor is None:
                break
            query = msgspec.structs.replace(query, cursor=page.next_cursor)
        assert items == list(reversed(self.messages.values()))

    @invariant()
    def what_waits_to_be_told_is_what_changed_and_nothing_else(self) -> None:
        waiting = {it.caller: it.count for it in self.runner.run(self.store.untold())}
        assert waiting == ({"crm": len(self.told)} if self.told else {})

    @invariant()
    def every_message_is_as_it_was_left(self) -> None:
        for tracking_id, message in self.messages.items():
            assert self.runner.run(self.store.load(tracking_id)) == message


@pytest.mark.parametrize("keeper", sorted(KEEPERS))
def test_a_keeper_says_what_a_dictionary_says(keeper: str) -> None:
    machine = type("Comparison", (Comparison,), {"open_stage": staticmethod(KEEPERS[keeper])})
    checks = settings(
        max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=checks)
