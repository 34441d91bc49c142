"""Two thousand slow clients at once: each is sent away in time, and who else is there does not notice."""

import resource
import select
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system.clients import CHUNKED, CLOSED_S, JSON, LIVE, POST, answers, connected, linux_only, whole
from tests.system.stage import Process, eventually, order

pytestmark = pytest.mark.system

SCHEMA = LIVE.replace(b"livez", b"schema/openapi.json")
LONG_POST = POST + JSON + b"Content-Length: 100000\r\n\r\n"

# Each kind of client: how many, what it says at first, what it says every half second from then on.
CROWD: dict[str, tuple[int, bytes, bytes]] = {
    "silent": (700, b"", b""),
    "slow head": (400, LIVE, b"X-Slow: 1\r\n"),
    "slow header": (200, LIVE + b"X-Slow: ", b"a"),
    "slow body": (300, LONG_POST, b" "),
    "endless chunks": (150, CHUNKED, b"1\r\n \r\n"),
    "slow after a fast one": (100, LIVE + b"\r\n" + LIVE, b"X-Slow: 1\r\n"),
    "body after its answer": (50, LONG_POST.replace(b"Bearer ", b"Bearer x"), b" "),
    "silent after an answer": (50, LIVE + b"\r\n", b""),
    "never reading": (50, (SCHEMA + b"\r\n") * 3500, b""),
}


def memory_kib(gateway: Process) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


class Slow:
    """One of the crowd."""

    def __init__(self, kind: str, gateway: Process) -> None:
        _, first, self.drip = CROWD[kind]
        self.kind = kind
        self.is_reading = kind != "never reading"
        self.begun = time.monotonic()
        self.ended: float | None = None
        self.socket = connected(gateway, window=0 if self.is_reading else 4096)
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            self.socket.send(first)

    def go_on(self) -> None:
        with suppress(OSError):
            self.socket.send(self.drip)

    def is_over(self, events: int) -> bool:
        """It has seen that the connection is closed."""
        if not self.is_reading:
            return bool(events & (select.EPOLLHUP | select.EPOLLERR))
        try:
            return self.socket.recv(65536) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def mob(gateway: Process, patience_s: float) -> list[Slow]:
    """The crowd, after it has been sent away or patience has ended."""
    crowd: dict[int, Slow] = {}
    with select.epoll() as epoll:
        for kind, (count, *_) in CROWD.items():
            for _ in range(count):
                slow = Slow(kind, gateway)
                crowd[slow.socket.fileno()] = slow
                epoll.register(slow.socket, select.EPOLLIN if slow.is_reading else 0)
        end, next_drip, left = time.monotonic() + patience_s, 0.0, len(crowd)
        while left and time.monotonic() < end:
            if time.monotonic() >= next_drip:
                next_drip = time.monotonic() + 0.5
                for slow in crowd.values():
                    if slow.drip and slow.ended is None:
                        slow.go_on()
            for number, events in epoll.poll(0.1):
                if crowd[number].is_over(events):
                    crowd[number].ended = time.monotonic()
                    epoll.unregister(number)
                    left -= 1
    for slow in crowd.values():
        slow.socket.close()
    return list(crowd.values())


@contextmanager
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@linux_only
def test_two_thousand_slow_clients_are_sent_away_in_time_and_nobody_else_notices(gateway: Process) -> None:
    assert sum(count for count, *_ in CROWD.values()) == 2000
    stop = threading.Event()
    before = memory_kib(gateway)

    def look() -> list[float]:
        took = []
        while not stop.wait(0.02):
            begun = time.monotonic()
            assert gateway.ask("GET", "/livez").status == 200
            took.append(time.monotonic() - begun)
        return took

    def post() -> Counter[int]:
        seen: Counter[int] = Counter()
        with connected(gateway) as connection:  # one for all: whoever uses his connection keeps it
            while not stop.wait(0.05):
                connection.sendall(whole(order(f"crowd-{seen.total()}")))
                seen[answers(connection)[0].status] += 1
        return seen

    with many_descriptors(), ThreadPoolExecutor(2) as pool:
        looking, posting = pool.submit(look), pool.submit(post)
        try:
            crowd = mob(gateway, CLOSED_S + 5)
        finally:
            stop.set()
        took, statuses = sorted(looking.result()), posting.result()
    lasted = {kind: [it.ended and it.ended - it.begun for it in crowd if it.kind == kind] for kind in CROWD}
    assert {kind: sum(it is None for it in ends) for kind, ends in lasted.items()} == dict.fromkeys(CROWD, 0)
    late = {kind: max(it for it in ends if it is not None) for kind, ends in lasted.items()}
    assert max(late.values()) < CLOSED_S, late
    assert set(statuses) == {200}, statuses
    assert len(took) > 50
    assert took[int(len(took) * 0.99)] < 0.2, took[-20:]
    assert memory_kib(gateway) - before < 60_000
    assert eventually(lambda: gateway.ask("GET", "/livez").status == 200)
