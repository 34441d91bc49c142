"""Each keeper's leases beside a dictionary, whatever owners, deaths and clocks do."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from .stage import KEEPERS, OpenStage, after

ACCOUNTS = st.sampled_from(["main", "second"])
OWNERS = st.integers(0, 2)


class Leases(RuleBasedStateMachine):
    """The model: by account, whose the lease is and until when; the clock jumps both ways."""

    open_stage: OpenStage

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, tuple[str, int]] = {}
        self.now = 0
        self.runner = asyncio.Runner()
        self.opened = AsyncExitStack()
        folder = Path(self.opened.enter_context(tempfile.TemporaryDirectory()))
        stage = self.runner.run(self.opened.enter_async_context(type(self).open_stage(folder, 3)))
        self.store = stage.store
        self.dead = stage.dead
        self.owners = [stage.store.owner, stage.living, stage.dead]

    def teardown(self) -> None:
        self.runner.run(self.opened.aclose())
        self.runner.close()

    @rule(seconds=st.integers(-30, 30))
    def jump(self, seconds: int) -> None:
        self.now += seconds

    @rule(account=ACCOUNTS, owner=OWNERS, seconds=st.integers(1, 20))
    def take(self, account: str, owner: int, seconds: int) -> None:
        name, until = self.owners[owner], self.now + seconds
        holder, end = self.held.get(account, (name, until))
        expected = holder in (name, self.dead) or end <= self.now
        taken = self.store.take_lease(account, owner=name, now=after(self.now), until=after(until))
        assert self.runner.run(taken) is expected
        if expected:
            self.held[account] = name, until

    @rule(account=ACCOUNTS, owner=OWNERS)
    def drop(self, account: str, owner: int) -> None:
        name = self.owners[owner]
        self.runner.run(self.store.drop_lease(account, owner=name))
        if self.held.get(account, ("", 0))[0] == name:
            del self.held[account]


@pytest.mark.parametrize("keeper", sorted(KEEPERS))
def test_a_lease_is_one_owners_until_it_ends_is_dropped_or_its_owner_dies(keeper: str) -> None:
    machine = type("Leases", (Leases,), {"open_stage": staticmethod(KEEPERS[keeper])})
    checks = settings(
        max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=checks)
