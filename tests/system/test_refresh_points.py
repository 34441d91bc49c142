"""Killed at every system call of a refresh, and with the power cut around it: no refresh token is presented beyond
once and once more, a new pair is lost only where death fell between Zalo's answer and the journal, and then it is said.

The long form: POINTS=all, CUTS=60.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import pytest

from tests.system.points import EXT4, Ended, Ground, Point, may_trace
from tests.system.stage import Stage
from tests.system.test_disks import may_mount

pytestmark = pytest.mark.system

IS_LONG: Final = os.environ.get("POINTS") == "all"
CUTS: Final = int(os.environ.get("CUTS", "2"))
AGES: Final = {"expired": 26 * 3600, "ahead-of-time": 17 * 3600}

MOST_CALLS: Final = 200  # of a kind that a thread makes: more than there are

LOST: Final = "lost, and said"
FORGONE: Final = "unspent, but twice about to leave: a person is asked for"
SURVIVED: Final = "survived"
SAVED: Final = "saved"
HEARD: Final = "taken from the journal"
UNPRESENTED: Final = "meant, but not presented"
UNINTENDED: Final = "not yet meant"


@pytest.fixture
def ground(stage: Stage) -> Iterator[Ground]:
    may_trace()
    ground = Ground(stage)
    yield ground
    ground.close()


def judged(end: Ended, deaths: int = 1) -> str:
    """What has become of the grant; fails where an invariant is broken."""
    presented = Counter(it["presented"] for it in end.refreshes)
    assert max(presented.values(), default=0) <= 2, end
    dead, first, last = end.at_death, end.after["first"], end.after["last"]
    is_unheard = dead["is_asking"] and not dead["is_heard"]
    used = [it["using"] for it in end.said if "using" in it]
    assert dead["generation"] >= max(used, default=end.generation), ("what was used was not yet safe", end)
    assert (
        (first["generation"] == dead["generation"]) or dead["is_asking"] or dead["generation"] == end.generation
    ), end
    outcomes = [it["outcome"] for it in end.refreshes]
    if last["is_final"]:
        # Death fell between Zalo's answer and the journal: an empty page is there, and Zalo knows of a rotation.
        assert is_unheard, ("a pair that was on disk is lost", end)
        assert not dead["is_unasked"], ("a person is asked for, and nothing had left", end)
        assert dead["pages"] >= 1, end
        assert "synced" not in (end.said or [{}])[-1], ("what was synced is gone", end)
        assert (first["trouble"], last["trouble"], end.after["obstacle"]) == ("lost", "lost", "lost"), end
        if deaths > 1 and not outcomes:
            return FORGONE
        is_over = presented[dead["refresh"]] == 1 and dead["presented"] == 2  # both chances were taken before
        assert outcomes[-1:] == ["rotated"] if is_over else outcomes[-2:] == ["rotated", "spent"], end
        return LOST
    # Every pair that Zalo gave is or was in the vault: the newest works, and so does what it was renewed to.
    assert end.after["sends"], end
    assert set(outcomes) == {"rotated"}, end
    assert max(presented.values()) == 1, end
    assert (last["trouble"], last["generation"]) == ("", first["generation"] + 1), end
    assert len(end.refreshes) == last["generation"] - end.generation, end
    if not end.was_killed:
        return SURVIVED
    if dead["generation"] > end.generation:
        return SAVED
    return UNPRESENTED if is_unheard else HEARD if dead["is_heard"] else UNINTENDED


def telling(points: list[Point], presents: int) -> list[Point]:
    """The last and the first of each kind around the moment at which the refresh token leaves."""
    kinds = {("store-write", "pwrite64"), ("store-write", "fdatasync"), ("MainThread", "fsync")}
    before = {(it.thread, it.call): it for it in points[:presents]}
    kinds_after = {
        *kinds,
        *(("MainThread", call) for call in ("read", "pwrite64", "fdatasync", "unlink")),
    }
    after = {(it.thread, it.call): it for it in reversed(points[presents + 1 :])}
    chosen = [before[kind] for kind in kinds if kind in before]
    return [*chosen, points[presents], *(after[kind] for kind in kinds_after if kind in after)]


def runs(ground: Ground, age_s: float, first: Point | None = None) -> Iterator[tuple[Point, Ended]]:
    """One at each point: the telling ones, or each call that any thread makes, and on until the process survives."""
    points, presents = ground.points(age_s, first)
    if not IS_LONG:
        for point in telling(points, presents):
            yield point, ground.run(point, age_s, first)
        return
    for thread, call in sorted({(it.thread, it.call) for it in points}):
        for when in range(1, MOST_CALLS):
            point = Point(thread, call, when)
            end = ground.run(point, age_s, first)
            if not end.was_killed:
                break
            yield point, end


def reported(name: str, labels: list[tuple[Point, str]]) -> set[str]:
    """What has become of the grants, which is also said."""
    told = Counter(label for _, label in labels)
    lost = [f"{it.thread} {it.call} {it.when}" for it, label in labels if label in (LOST, FORGONE)]
    print(f"{name}: {len(labels)} points: {dict(told)}; lost at {lost}")
    return set(told)


@pytest.mark.parametrize("age", AGES)
def test_a_kill_at_a_system_call_of_a_refresh_loses_only_what_nobody_had_written_down(
    ground: Ground, age: str
) -> None:
    labels = [(point, judged(end)) for point, end in runs(ground, AGES[age])]
    assert {LOST, SAVED, HEARD, UNPRESENTED, UNINTENDED} <= reported(age, labels)


@pytest.mark.parametrize("before", ["heard", "meant", "leaving"])
def test_a_second_kill_while_the_first_is_recovered_from_loses_nothing_that_was_written_down(
    ground: Ground, before: str
) -> None:
    """The first death fell right after the answer was written down, right before it was marked that the refresh token
    may have left, or right before it left. Only who is killed at that last point twice has asked for nothing."""
    points, presents = ground.points(AGES["expired"])
    earlier = {(it.thread, it.call): it for it in points[:presents]}
    after = {(it.thread, it.call): it for it in reversed(points[presents + 1 :])}
    first = {
        "heard": after["MainThread", "fdatasync"],
        "meant": earlier["MainThread", "pwrite64"],
        "leaving": points[presents],
    }[before]
    ends = runs(ground, AGES["expired"], first)
    told = reported(f"second after {before}", [(point, judged(end, deaths=2)) for point, end in ends])
    told.discard(SURVIVED)
    if before == "heard":
        assert told == {SAVED, HEARD}
    else:
        assert {LOST, SAVED, HEARD} <= told
        assert (FORGONE in told) == (before == "leaving")


def test_a_power_cut_around_refreshes_never_brings_back_a_spent_refresh_token(stage: Stage) -> None:
    """With the power goes all that was not synced; a token that was used is of a generation that is still there."""
    may_mount(stage.folder, EXT4)
    chance = random.Random(CUTS)
    ground = Ground(stage, on_disk=True)
    told: Counter[str] = Counter()
    generations = []
    try:
        for _ in range(CUTS):
            before = len(ground.refreshes())
            stage.fault(at="refresh", do="delay", value=0.005)
            ready = ground.begin(AGES["expired"], cut_after_s=chance.uniform(0.001, 0.15))
            *said, _ended = ground.until_ended()
            assert all("synced" in before for before, it in pairwise(said) if "using" in it), said
            stage.simulator.ask("DELETE", "/__sim/faults")
            at_death, after = ground.do("autopsy"), ground.do("survivor")
            end = Ended(True, ready["generation"], said, at_death, after, ground.refreshes()[before:])
            told[judged(end)] += 1
            generations.append(at_death["generation"])
    finally:
        ground.close()
    print(f"{CUTS} power cuts: {dict(told)}; at generations {generations}")
