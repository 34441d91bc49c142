"""What one event costs the whole gateway: decoded, filled, recorded, sent, recorded, answered.

`python -m bench.gateway` takes about 40 s, prints the table and writes it to bench/results/gateway.md. Beside ours
runs the baseline: the gateway as it is usually written (a Litestar handler that posts with `httpx.AsyncClient`), which
keeps no records at all. Server on one core; the load and a cheap fake of Zalo on the other.
"""

import asyncio
import base64
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from gateway.config import key_digest

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "gateway.md"
CONNECTIONS = 64
ROUNDS = 3
ROUND_S = 4.0
KEY = "bench-key"
ANSWER_BODY = (
    b'{"error":0,"message":"Success","data":{"msg_id":"a4d0243feee163bd3af2","sent_time":"1795420800000",'
    b'"sending_mode":"1","quota":{"dailyQuota":"500","remainingQuota":"499"}}}'
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(ANSWER_BODY),
    ANSWER_BODY,
)
LENGTH = re.compile(rb"(?i)content-length: (\d+)")


class Figure(msgspec.Struct, frozen=True):
    """One round: how much was sent, and what it cost the server."""

    per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


class Fake(asyncio.Protocol):
    """A Zalo that takes everything, as cheaply as can be."""

    def __init__(self) -> None:
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self._pending[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._pending) < whole:
                return
            self._pending = self._pending[whole:]
            self._transport.write(ANSWER)  # type: ignore[attr-defined]


class Client(asyncio.Protocol):
    """One connection of the load: the next event as soon as the last is answered."""

    def __init__(self, load: "Load", name: int) -> None:
        self._load = load
        self._name = name
        self._count = 0
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._post()

    def _post(self) -> None:
        self._count += 1
        self._begun = time.perf_counter()
        name = f"{self._load.name}-{self._name}-{self._count}"
        self._transport.write(request(json.dumps(event(name)).encode(), self._load.headers))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._pending += data
        end = self._pending.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self._pending[:end])
        if length is None or len(self._pending) < end + 4 + int(length[1]):
            return
        self._load.answered(self._pending.startswith(self._load.expects), time.perf_counter() - self._begun)
        self._pending = b""
        if self._load.is_on:
            self._post()
        else:
            self._transport.close()


class Load:
    """So many connections, until it is turned off."""

    def __init__(self, name: str, headers: str = "", expects: bytes = b"HTTP/1.1 200") -> None:
        self.name = name
        self.headers = headers
        self.expects = expects
        self.is_on = True
        self.latencies: list[float] = []
        self.refused = 0

    def answered(self, is_good: bool, seconds: float) -> None:
        self.latencies.append(seconds)
        self.refused += not is_good


def event(name: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/bench",
        "type": "order.paid",
        "time": "2026-11-23T08:00:00Z",
        "data": {
            "order_id": "DH-1001",
            "total": 1250000,
            "payment_method": "card",
            "customer": {"name": "Nguyễn Văn An", "phone": "0912345678"},
            "items": [{"sku": "SKU-1", "name": "Áo thun", "quantity": 2, "price": 250000}],
        },
    }


def request(body: bytes, headers: str = "", media_type: str = "application/json") -> bytes:
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\n{headers}"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def server(kind: str, fake_port: int, folder: Path, *, has_grant: bool = True) -> Iterator[tuple[int, int]]:
    """A server on the first core; its port and its process id."""
    environment = {**os.environ, "FAKE_PORT": str(fake_port)}
    if kind == "ours":
        config = write_config(folder, fake_port)
        if has_grant:
            subprocess.run(
                [sys.executable, "-m", "gateway", "--config", str(config), "token", "import", "main"],
                input=b'{"access_token":"bench-access","refresh_token":"bench-refresh","expires_in":"90000"}',
                check=True,
                stdout=subprocess.DEVNULL,
            )
        command = [sys.executable, "-m", "gateway", "--config", str(config), "serve", "--log-level", "error"]
    else:
        command = [sys.executable, "-m", "bench.baseline"]
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, env=environment, cwd=ROOT)
    assert process.stdout is not None
    try:
        line = b""
        while b"listening on" not in line:
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{kind} did not start")
        yield int(line.strip().rpartition(b":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(30)


def write_config(folder: Path, fake_port: int) -> Path:
    path = folder / "gateway.toml"
    for name in ("mappings", "samples", "templates"):
        (folder / name).symlink_to(ROOT / "config" / name)
    path.write_text(
        f"""
[server]
port = 0
[store]
url = "sqlite:///{folder}/bench.db"
[secrets]
keys = ["{base64.b64encode(bytes(32)).decode()}"]
[zalo]
api_url = "http://127.0.0.1:{fake_port}"
oauth_url = "http://127.0.0.1:{fake_port}"
[accounts.main]
app_id = "1"
app_secret = "bench"
[callers.bench]
key_sha256 = ["{key_digest(KEY)}"]
events = ["*"]
"""
    )
    return path


def cpu_s(pid: int) -> float:
    """User and system time of the process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def one_round(port: int, pid: int, load: Load, seconds: float) -> Figure:
    loop = asyncio.get_running_loop()
    cpu, begun = cpu_s(pid), time.perf_counter()
    for number in range(CONNECTIONS):
        await loop.create_connection(lambda number=number: Client(load, number), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.sleep(seconds)
    load.is_on = False
    count, spent, lasted = len(load.latencies), cpu_s(pid) - cpu, time.perf_counter() - begun
    if load.refused:
        raise SystemExit(f"{load.refused} of {count} were not answered as expected")
    ordered = sorted(load.latencies)
    return Figure(count / lasted, spent / count * 1e6, ordered[count // 2] * 1e3, ordered[count * 99 // 100] * 1e3)


async def measured() -> dict[str, Figure]:
    loop = asyncio.get_running_loop()
    fake = await loop.create_server(Fake, "127.0.0.1", 0)
    fake_port = fake.sockets[0].getsockname()[1]
    rounds: dict[str, list[Figure]] = {"baseline": [], "ours": []}
    for turn in range(ROUNDS):
        for kind, figures in rounds.items():
            with tempfile.TemporaryDirectory() as folder, server(kind, fake_port, Path(folder)) as (port, pid):
                await one_round(port, pid, Load("warm"), 1.0)
                figures.append(await one_round(port, pid, Load(f"r{turn}"), ROUND_S))
    fake.close()
    return {kind: median(figures) for kind, figures in rounds.items()}


def median(figures: list[Figure]) -> Figure:
    return Figure(*(statistics.median(getattr(it, name) for it in figures) for name in Figure.__struct_fields__))


def report(figures: dict[str, Figure]) -> str:
    base = figures["baseline"]
    lines = [
        f"{CONNECTIONS} connections, the fake answers at once, server on one core, medians of {ROUNDS} rounds.",
        "",
        "| gateway | sends/s | CPU µs a send | p50 ms | p99 ms | sends/s against the baseline |",
        "|---|---|---|---|---|---|",
    ]
    names = {
        "baseline": "Litestar handler + httpx.AsyncClient, no records (baseline)",
        "ours": "ours, two durable records",
    }
    for kind, it in figures.items():
        ratio = it.per_second / base.per_second
        lines.append(
            f"| {names[kind]} | {it.per_second:,.0f} | {it.cpu_us:,.0f} | {it.p50_ms:.1f} | {it.p99_ms:.1f} "
            f"| {ratio:.1f} × |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    os.sched_setaffinity(0, {1} if len(os.sched_getaffinity(0)) > 1 else {0})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        text = report(runner.run(measured()))
    print(text)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
