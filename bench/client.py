"""What one request to Zalo costs: ours, and httpx as it comes and on httpx-aiohttp, measured in one run.

`python -m bench.client` takes about 20 s, prints the table and writes it to bench/results/client.md. The client has
one core, a cheap fake of Zalo the other. CPU is that of the client's process, system calls included.
"""

import asyncio
import os
import platform
import re
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import cast

import httpx
import msgspec
import uvloop
from httpx_aiohttp import AiohttpTransport

from gateway.core.delivery import Accepted
from gateway.core.grant import AccessToken, Token
from gateway.transport.connections import Connections, Origin
from gateway.zalo import wire
from gateway.zalo.client import ZaloClient

RESULTS = Path(__file__).parent / "results" / "client.md"
ROUNDS = 5
ROUND_S = 0.35
PATIENCE_S = 2.0  # what one client may take in one scene before it gets no more rounds
TOKEN = "t" * 400
PHONE, TEMPLATE, TRACKING = "84987654321", "7895417a7d3f9461cd2e", "0c9m3k8q2v7x1n5t4r6w8y0z2b"
DATA = {
    "customer_name": "Nguyễn Văn A",
    "order_id": "1234",
    "total": "1.000.000đ",
    "paid_at": "10:00 01/01/2026",
}
BODY = (
    b'{"error":0,"message":"Success","data":{"msg_id":"a4d0243feee163bd3af2","sent_time":"1626926349402",'
    b'"sending_mode":"1","quota":{"dailyQuota":"500","remainingQuota":"499"}}}'
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n"
    b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)

LENGTH = re.compile(rb"(?is)content-length: (\d+)(?=\r\n).*?\r\n\r\n")

Send = Callable[[], Awaitable[None]]


class Scene(msgspec.Struct, frozen=True):
    """How much is in flight, and how long the fake takes."""

    in_flight: int
    delay_s: float

    @property
    def title(self) -> str:
        return f"{self.in_flight} in flight, {self.delay_s * 1000:.0f} ms"


class Figure(msgspec.Struct, frozen=True):
    """The medians of all rounds."""

    cpu_us: float
    per_second: float


# Below 100, where httpx by its own defaults would let nothing more through.
SCENES = (Scene(64, 0.0), Scene(96, 0.1))


# The fake


class FakeZalo(asyncio.Protocol):
    """Answers every whole request, at once or after `delay_s`, and reads no more of it than its length."""

    delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = LENGTH.search(self._received)
        if head is None or len(self._received) < head.end() + int(head[1]):
            return
        if b'"delay"' in self._received:
            FakeZalo.delay_s = float(self._received.rsplit(b" ", 1)[1])
            self._answer()
        elif self.delay_s:
            asyncio.get_running_loop().call_later(self.delay_s, self._answer)
        else:
            self._answer()
        self._received = b""

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


def serve(tell_port: int, core: int) -> None:
    """The fake serves until it is killed."""
    os.sched_setaffinity(0, {core})

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(FakeZalo, "127.0.0.1", 0, backlog=2048)
        os.write(tell_port, str(server.sockets[0].getsockname()[1]).encode())
        await server.serve_forever()

    uvloop.run(forever())


# The clients


def ours(url: str) -> tuple[Send, Callable[[], Awaitable[None]]]:
    client = ZaloClient(url, url, timedelta(seconds=2), timedelta(seconds=15))
    token = Token(AccessToken(TOKEN), 1)

    async def send() -> None:
        outcome = await client.send(
            token, phone=PHONE, template_id=TEMPLATE, template_data=DATA, tracking_id=TRACKING
        )
        assert isinstance(outcome, Accepted), outcome

    return send, client.aclose


def pool_alone(url: str) -> tuple[Send, Callable[[], Awaitable[None]]]:
    pool = Connections(timedelta(seconds=2), timedelta(seconds=15))
    origin = Origin("http", "127.0.0.1", httpx.URL(url).port or 80)
    body = wire.write_send(phone=PHONE, template_id=TEMPLATE, template_data=DATA, tracking_id=TRACKING)
    head = f"POST /message/template HTTP/1.1\r\nHost: zalo\r\naccess_token: {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body

    async def send() -> None:
        assert (await pool.exchange(origin, request)).status == 200

    return send, pool.aclose


def httpx_as_it_comes(url: str) -> tuple[Send, Callable[[], Awaitable[None]]]:
    return through(httpx.AsyncClient(timeout=15, trust_env=False), url)


def httpx_on_aiohttp(url: str) -> tuple[Send, Callable[[], Awaitable[None]]]:
    return through(httpx.AsyncClient(transport=AiohttpTransport(), timeout=15, trust_env=False), url)


def through(client: httpx.AsyncClient, url: str) -> tuple[Send, Callable[[], Awaitable[None]]]:
    async def send() -> None:
        body = wire.write_send(phone=PHONE, template_id=TEMPLATE, template_data=DATA, tracking_id=TRACKING)
        headers = {"access_token": TOKEN, "Content-Type": "application/json"}
        answer = await client.post(url + "/message/template", headers=headers, content=body)
        assert isinstance(wire.read_send(answer.status_code, answer.content), Accepted)

    return send, client.aclose


CLIENTS = {
    "httpx as it comes": httpx_as_it_comes,
    "httpx on httpx-aiohttp": httpx_on_aiohttp,
    "ours: ZaloClient.send": ours,
    "ours: the pool alone": pool_alone,
}


# Measuring


async def measure(url: str, name: str, scene: Scene) -> Figure:
    """One round: as many requests in flight as the scene says, for about a third of a second."""
    send, close = CLIENTS[name](url)
    count = 0
    ends_at = 0.0

    async def keep_sending() -> None:
        nonlocal count
        while time.perf_counter() < ends_at:
            await send()
            count += 1

    await asyncio.gather(*(send() for _ in range(scene.in_flight)))  # the connections are open
    began_at, cpu = time.perf_counter(), time.process_time()
    ends_at = began_at + max(ROUND_S, 3 * scene.delay_s)
    await asyncio.gather(*(keep_sending() for _ in range(scene.in_flight)))
    cpu, took = time.process_time() - cpu, time.perf_counter() - began_at
    await close()
    return Figure(cpu / count * 1e6, count / took)


async def set_delay(url: str, delay_s: float) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.post(url, content=f'"delay" {delay_s}')


async def measure_all(url: str) -> dict[str, dict[str, Figure]]:
    """Medians by scene and client; the clients take turns, so that a slow minute is slow for all of them."""
    found: dict[str, dict[str, list[Figure]]] = {}
    for scene in SCENES:
        await set_delay(url, scene.delay_s)
        spent = dict.fromkeys(CLIENTS, 0.0)
        for _ in range(ROUNDS):
            for name in CLIENTS:
                if spent[name] < PATIENCE_S:
                    began_at = time.perf_counter()
                    found.setdefault(scene.title, {}).setdefault(name, []).append(await measure(url, name, scene))
                    spent[name] += time.perf_counter() - began_at
    return {
        title: {
            name: Figure(
                statistics.median(figure.cpu_us for figure in figures),
                statistics.median(figure.per_second for figure in figures),
            )
            for name, figures in by_name.items()
        }
        for title, by_name in found.items()
    }


# Telling


def rows(found: dict[str, dict[str, Figure]]) -> list[tuple[str, ...]]:
    """One row a scene and client; the ratio is to httpx as it comes, in the same scene of the same run."""
    table: list[tuple[str, ...]] = []
    for title, by_name in found.items():
        baseline = by_name["httpx as it comes"].cpu_us
        for name, figure in by_name.items():
            ratio = f"{baseline / figure.cpu_us:.1f}"
            table.append((title, name, f"{figure.cpu_us:.0f}", f"{figure.per_second:,.0f}", ratio))
    return table


def tell(found: dict[str, dict[str, Figure]]) -> None:
    """The table is on the terminal and in bench/results/client.md."""
    columns = ("scene", "client", "CPU µs a request", "requests/s", "times cheaper than httpx")
    versions = f"Python {platform.python_version()}, httpx {httpx.__version__}, uvloop {version('uvloop')}"
    how = (
        "Made by `python -m bench.client`: the client has one core, a cheap fake of Zalo the other; medians of up to "
        f"{ROUNDS} rounds, the clients taking turns; {versions}. The baseline is httpx as it comes, in the same "
        "scene of the same run. Machines differ: read the ratios. `ZaloClient.send` includes writing and reading "
        "the bodies, and so do the two httpx clients; the pool alone does not."
    )
    heading = "| " + " | ".join(columns) + " |"
    table = [heading, "|---|---|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows(found))]
    sys.stdout.write("\n".join(table) + "\n")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        "\n".join(["# What one request to Zalo costs", "", how, "", *table]) + "\n", encoding="utf-8"
    )


def main() -> int:
    """The benchmark has run and its table is written."""
    cores = sorted(os.sched_getaffinity(0))
    reading, writing = os.pipe()
    fake = os.fork()
    if fake == 0:
        serve(writing, cores[-1])
        return 0
    os.sched_setaffinity(0, {cores[0]})
    try:
        found = uvloop.run(measure_all(f"http://127.0.0.1:{int(os.read(reading, 16))}"))
    finally:
        os.kill(fake, signal.SIGKILL)
        os.waitpid(fake, 0)
    tell(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
