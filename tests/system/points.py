"""Where processes are killed at a system call that was chosen: strace, a simulator's ledger, and who forks them.

The counters of `strace -e inject` are each thread's own, and with `-f` the first thread to come to the number dies
for all: what the others do would never be met. So it is attached to one thread at a time, once the process stands
right before its refresh.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pytest

from tests.system.stage import ROOT, Stage
from tests.system.test_disks import WHOLE

DAY_S: Final = 86_400
EXT4: Final = "truncate -s 32M {disk}.img && mkfs.ext4 -q -F {disk}.img && mount -o loop {disk}.img {disk}"


class Point(msgspec.Struct, frozen=True):
    """One system call: the so-manieth of its kind that a thread makes."""

    thread: str
    call: str
    when: int


class Ended(msgspec.Struct):
    """What one run came to."""

    was_killed: bool
    generation: int
    said: list[Any]
    at_death: Any
    after: Any
    refreshes: list[Any]


class Ground:
    """Where victims die: a simulator's ledger, and the process that forks them."""

    def __init__(self, stage: Stage, *, on_disk: bool = False) -> None:
        self.stage = stage
        disk = stage.folder / "disk"
        disk.mkdir()
        stage.config.write_text(stage.config.read_text().replace("/gateway.db", "/disk/gateway.db"))
        command = [sys.executable, "-m", "tests.system.refresher", str(stage.config)]
        if on_disk:
            command = [*WHOLE, f"{EXT4.format(disk=disk)}; exec {' '.join(command)}"]
        self._log = (stage.folder / "refresher.log").open("ab")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=ROOT
        )
        assert self.hear() == {"ready": True}

    def say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log
        return json.loads(line)

    @property
    def log(self) -> str:
        """What the processes said last."""
        return (self.stage.folder / "refresher.log").read_text()[-3000:]

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(20)
        self._log.close()

    def until_ended(self) -> list[Any]:
        """All that the process said before it ended, and how it ended."""
        said = [self.hear()]
        while "ended" not in said[-1]:
            said.append(self.hear())
        return said

    def do(self, what: str) -> Any:
        """What another process found out on the store."""
        self.say(json.dumps({"do": what}).encode())
        *said, ended = self.until_ended()
        assert ended["ended"] == 0, self.log
        return said[-1]

    def begin(self, age_s: float, **what: Any) -> Any:
        """A victim stands ready before the refresh of a grant so old."""
        grant = self.stage.simulator.ask("GET", "/__sim/credentials").body["grant"]
        if age_s > DAY_S:
            self.stage.simulator.ask("POST", "/__sim/expire", {"what": "access"})
        self.say(json.dumps({"do": "victim", "grant": grant, "age_s": age_s, **what}).encode())
        return self.hear()

    def refreshes(self) -> list[Any]:
        """The presentations of refresh tokens that Zalo knows of."""
        return [it for it in self.stage.ledger()["refreshes"] if it["grant_type"] == "refresh_token"]

    def stand(self, age_s: float, first: Point | None) -> Any:
        """A process stands ready: before the refresh of a grant so old, or before what comes after a kill in one."""
        ready = self.begin(age_s)
        if first is None:
            return ready
        _, was_killed = self.killed(first, ready)
        assert was_killed
        self.say(json.dumps({"do": "survivor", "is_held": True}).encode())
        return {**self.hear(), "generation": ready["generation"]}

    def run(self, point: Point, age_s: float, first: Point | None = None) -> Ended:
        """A process was killed at the point, or never came to it, and then a gateway started on its store.

        Where a first point is given, one was killed there in its refresh, and what is killed is what came after it.
        """
        before = len(self.refreshes())
        ready = self.stand(age_s, first)
        said, was_killed = self.killed(point, ready)
        at_death, after = self.do("autopsy"), self.do("survivor")
        return Ended(was_killed, ready["generation"], said, at_death, after, self.refreshes()[before:])

    def killed(self, point: Point, ready: Any) -> tuple[list[Any], bool]:
        """What the process said that stood ready, and whether it came to the point and was killed there."""
        inject = ["-e", f"trace={point.call}", "-e", f"inject={point.call}:signal=KILL:when={point.when}"]
        with tracing(ready["threads"][point.thread], *inject, "-o", "/dev/null"):
            self.say(b"")
            *said, ended = self.until_ended()
        assert ended["ended"] in (0, -signal.SIGKILL), self.log
        return said, ended["ended"] != 0

    def points(self, age_s: float, first: Point | None = None) -> tuple[list[Point], int]:
        """Every system call that `stand` leads to, and which of them presents the refresh token; the first if none."""
        ready = self.stand(age_s, first)
        threads = {number: name for name, number in ready["threads"].items()}
        trace = self.stage.folder / "trace"
        with tracing(ready["threads"]["MainThread"], "-f", "-o", str(trace)):
            self.say(b"")
            assert self.until_ended()[-1] == {"ended": 0}, self.log
        count: Counter[tuple[str, str]] = Counter()
        points: list[Point] = []
        presents = 0
        for number, call, text in re.findall(r"^(\d+) +(\w+)\((.*)", trace.read_text(), re.MULTILINE):
            key = threads[int(number)], call
            count[key] += 1
            if '"POST /v4/oa/access_token' in text:
                presents = len(points)
            points.append(Point(*key, count[key]))
        return points, presents


@contextmanager
def tracing(thread: int, *options: str) -> Iterator[None]:
    """Strace follows the thread for as long as it lives."""
    process = subprocess.Popen(["strace", "-p", str(thread), *options], stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        assert b"attached" in process.stderr.readline()
        yield
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()


def may_trace() -> None:
    """Skips where this process may not do what the test needs."""
    if shutil.which("strace") is None:
        pytest.skip("it needs strace")
    with subprocess.Popen(["sleep", "9"]) as sleeping:
        tried = subprocess.Popen(["strace", "-p", str(sleeping.pid)], stderr=subprocess.PIPE)
        assert tried.stderr is not None
        first = tried.stderr.readline().decode()
        tried.terminate()
        tried.wait(20)
        tried.stderr.close()
        sleeping.kill()
    if "attached" not in first:
        pytest.skip(f"strace may not trace here: {first.strip()}")
