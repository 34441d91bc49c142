"""Full and read-only disks: nothing is promised that is not durable, and the same process goes on when it can.

The store lies on a file system of its own, which only the gateway's mount namespace has and which ends with it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.system.stage import ROOT, Answer, Process, Speaker, Stage, eventually, order, problem

pytestmark = pytest.mark.system

TMPFS = "mount -t tmpfs -o size=6m disk {disk}"
EXT4 = "truncate -s 16M {disk}.img && mkfs.ext4 -q -F {disk}.img && mount -o loop {disk}.img {disk}"
WHOLE = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c"]


class OnDisk(Process):
    """A gateway whose store is on a disk of its own."""

    def __init__(self, stage: Stage, make_disk: str) -> None:
        self.disk = lay(stage)
        script = f"{script_of(stage, make_disk)}; exec {gateway_of(stage)} serve"
        self._log = (stage.folder / "gateway.log").open("ab")
        self.process = subprocess.Popen(
            [*WHOLE, script],
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        Speaker.__init__(self, self._listening())
        stage.simulator.ask("POST", "/__sim/webhook", {"url": f"{self.url}/webhooks/zalo/main"})

    @property
    def inside(self) -> Path:
        """The disk, as the gateway sees it."""
        return Path(f"/proc/{self.process.pid}/root{self.disk}")

    def run(self, *command: str) -> "subprocess.CompletedProcess[bytes]":
        """The command has run where the gateway's disk is."""
        return subprocess.run(
            ["nsenter", "--mount", "--target", str(self.process.pid), *command], capture_output=True, check=False
        )


@contextmanager
def full(gateway: OnDisk) -> Iterator[None]:
    """Another file has taken all the room there was."""
    filler, size = gateway.inside / "filler", 1 << 16
    with filler.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    assert os.statvfs(gateway.inside).f_bavail == 0
    yield
    filler.unlink()


@contextmanager
def read_only(gateway: OnDisk) -> Iterator[None]:
    """The kernel refuses every write to the store, also through descriptors that are open.

    A mount cannot be made read-only while a file on it is open for writing; an error of the disk makes it so by
    force, and there is no way back from that. Immutable files are refused at the same place, and there is a way.
    """
    assert b"busy" in gateway.run("mount", "-o", "remount,ro", str(gateway.disk)).stderr
    files = [str(gateway.disk / name) for name in ("gateway.db", "gateway.db-wal")]
    assert gateway.run("chattr", "+i", *files).returncode == 0
    yield
    assert gateway.run("chattr", "-i", *files).returncode == 0


def refused(gateway: OnDisk, prefix: str) -> tuple[list[Answer], list[dict[str, Any]]]:
    """What was answered to events until ten of them were refused, and these."""
    taken: list[Answer] = []
    events: list[dict[str, Any]] = []
    for number in range(2000):
        event = order(f"{prefix}-{number}")
        answer = gateway.post(event)
        if answer.status < 500:
            assert answer.status in (200, 202), answer
            taken.append(answer)
            continue
        problem(answer, 503, "not-accepted")
        assert int(answer.headers["retry-after"]) >= 1
        events.append(event)
        if len(events) == 10:
            return taken, events
    raise AssertionError("two thousand events, and the disk took them all")


@pytest.mark.parametrize(("make_disk", "broken"), [(TMPFS, full), (EXT4, read_only)], ids=["full", "read-only"])
def test_while_the_disk_takes_nothing_no_event_is_promised_and_the_same_process_recovers(
    stage: Stage, make_disk: str, broken: Callable[[OnDisk], Any]
) -> None:
    may_mount(stage.folder, make_disk)
    stage.write_config(zalo='read_timeout = "3s"')
    name = broken.__name__
    gateway = OnDisk(stage, make_disk)
    try:
        before = [gateway.post(order(f"{name}-before-{number}")) for number in range(3)]
        assert {it.status for it in before} == {200}
        stage.fault(at="send", do="delay", value=1.5, count=1)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(gateway.post, order(f"{name}-under-way"), Prefer="wait=3")
            eventually(lambda: "sending" in gateway.statuses().values())
            with broken(gateway):
                taken, events = refused(gateway, name)
                under_way = waiting.result()
                assert (under_way.status, under_way.body["status"]) == (202, "sending"), "never called sent"
                assert gateway.ask("GET", "/readyz").status == 503
                assert gateway.ask("GET", "/livez").status == 200
                assert gateway.ask("GET", "/metrics").status == 200
                assert {gateway.message(it.body["tracking_id"])["status"] for it in before} <= {
                    "sent",
                    "delivered",
                }
                problem(gateway.post(order("unmapped", type="unmapped.it")), 422, "unmapped-event")
        again = [gateway.post(event) for event in events]
        assert {it.status for it in again} == {200}, again
        assert gateway.ask("GET", "/readyz").status == 200
        assert gateway.process.poll() is None, "it was never started again"
        for answer in [*before, *taken, under_way, *again]:
            tracking_id = answer.body["tracking_id"]
            # Where the outcome could not be recorded, only a receipt can tell, and one may have been turned away.
            eventually(partial(is_told, gateway, tracking_id))
            assert len(stage.sent(tracking_id)) == 1
        assert len(gateway.statuses()) == len([*before, *taken, under_way, *again])
        eventually(lambda: {gateway.message(it.body["tracking_id"])["status"] for it in again} == {"delivered"})
    finally:
        code = gateway.stop()
    assert code == 0


def is_told(gateway: OnDisk, tracking_id: str) -> bool:
    return gateway.message(tracking_id)["status"] in ("delivered", "sent", "unknown")


def test_a_gateway_whose_disk_is_read_only_says_so_and_ends(stage: Stage) -> None:
    """What a store with a past meets after its disk has failed: seen at the start, not by the first event."""
    may_mount(stage.folder, TMPFS)
    disk = lay(stage)
    script = f"{script_of(stage, TMPFS)}; mount -o remount,ro {disk}; exec {gateway_of(stage)} serve"
    ended = subprocess.run([*WHOLE, script], capture_output=True, cwd=ROOT, check=False, timeout=20)
    assert ended.returncode == 2
    assert f"the store {disk}/gateway.db cannot be used" in ended.stderr.decode()


def lay(stage: Stage) -> Path:
    """Where the disk will be; the configuration has its store there, and a grant lies ready."""
    disk = stage.folder / "disk"
    disk.mkdir()
    stage.config.write_text(stage.config.read_text().replace("/gateway.db", "/disk/gateway.db"))
    grant = stage.simulator.ask("GET", "/__sim/credentials").body["grant"]
    (stage.folder / "grant.json").write_text(json.dumps(grant))
    return disk


def gateway_of(stage: Stage) -> str:
    return f"{sys.executable} -m gateway --config {stage.config}"


def script_of(stage: Stage, make_disk: str) -> str:
    """Makes the disk, and a store with a grant on it."""
    made = make_disk.format(disk=stage.folder / "disk")
    return f"{made}; {gateway_of(stage)} token import main < {stage.folder / 'grant.json'}"


def may_mount(folder: Path, make_disk: str) -> None:
    """Skips where this process may not do what the test needs."""
    trial = folder / "trial"
    trial.mkdir()
    try:
        tried = subprocess.run([*WHOLE, make_disk.format(disk=trial)], capture_output=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"a disk of its own cannot be had here: there is no {error.filename}")
    if tried.returncode != 0:
        pytest.skip(f"a disk of its own cannot be had here: {tried.stderr.decode().strip()}")
