"""How soon Zalo is answered: signed receipts posted at the gateway while it sends.

`python -m bench.webhooks` takes about a minute, prints the table and writes it to bench/results/webhooks.md. Each receipt is
of a message that has just been sent, and is stored before it is answered. The baseline is `/livez` of the same process
at the same time, a handler that only answers: what it waits for, everybody waits for. Server on one core; the senders,
a cheap Zalo and both clocks on the other.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvloop

from bench.batches import answered, probing
from bench.gateway import ROOT, ROUND_S, ROUNDS, Fake, cpu_s, event, request, write_config
from gateway.zalo.webhook import sign

RESULTS = Path(__file__).parent / "results" / "webhooks.md"
POSTERS = 8
WANTED_MS = 50.0
WARM_S = 1.0
OA_SECRET = "bench-oa-secret"
GRANT = b'{"access_token":"bench-access","refresh_token":"bench-refresh","expires_in":"90000"}'


class Scene(msgspec.Struct, frozen=True):
    """What is sent meanwhile: over so many connections, each of which rests so long after an answer."""

    name: str
    connections: int
    rest_s: float


SCENES = (
    Scene("16 connections, resting 150 ms", 16, 0.15),
    Scene("16 connections, resting 40 ms", 16, 0.04),
    Scene("64 connections, as fast as it can", 64, 0.0),
)


class Figure(msgspec.Struct, frozen=True):
    """One round."""

    busy: float
    sends_per_second: float
    receipts_per_second: float
    p50_ms: float
    p99_ms: float
    livez_p50_ms: float
    livez_p99_ms: float


@contextmanager
def serving(fake_port: int, folder: Path) -> Iterator[tuple[int, int]]:
    """A gateway on the first core that knows what Zalo's webhooks are signed with; its port and its process id."""
    config = write_config(folder, fake_port)
    app_secret = 'app_secret = "bench"\n'
    config.write_text(config.read_text().replace(app_secret, f'{app_secret}webhook_secrets = ["{OA_SECRET}"]\n'))
    command = [sys.executable, "-m", "gateway", "--config", str(config)]
    subprocess.run([*command, "token", "import", "main"], input=GRANT, check=True, stdout=subprocess.DEVNULL)
    pinned = ["taskset", "-c", "0", *command, "serve", "--log-level", "error"]
    process = subprocess.Popen(pinned, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if b"listening on" not in line:
            raise SystemExit("the gateway did not start")
        yield int(line.strip().rpartition(b":")[2]), process.pid
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


class Traffic:
    """Sends, and a receipt for each of them, until it is turned off."""

    def __init__(self, name: str, scene: Scene, port: int) -> None:
        self.name = name
        self.scene = scene
        self.port = port
        self.sent: asyncio.Queue[str] = asyncio.Queue()
        self.sends = 0
        self.took_ms: list[float] = []

    async def send(self, number: int) -> None:
        """One connection of the senders."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.sleep(self.scene.rest_s * number / self.scene.connections)
        try:
            while True:
                self.sends += 1
                writer.write(request(json.dumps(event(f"{self.name}-{self.sends}")).encode()))
                self.sent.put_nowait(json.loads(await answered(reader, b"200"))["tracking_id"])
                await asyncio.sleep(self.scene.rest_s)
        finally:
            writer.close()

    async def tell(self) -> None:
        """One connection of Zalo's."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while True:
                receipt = receipt_of(await self.sent.get())
                begun = time.perf_counter()
                writer.write(receipt)
                await answered(reader, b"200")
                self.took_ms.append((time.perf_counter() - begun) * 1e3)
        finally:
            writer.close()


def receipt_of(tracking_id: str) -> bytes:
    """The whole request with which Zalo says that the phone has the message."""
    now_ms = str(time.time_ns() // 1_000_000)
    message = {"delivery_time": now_ms, "msg_id": "a4d0243feee163bd3af2", "tracking_id": tracking_id}
    ends = {"sender": {"id": "1"}, "recipient": {"id": "84912345678"}}
    said = {**ends, "event_name": "user_received_message", "message": message, "app_id": "1", "timestamp": now_ms}
    body = json.dumps(said).encode()
    head = b"POST /webhooks/zalo/main HTTP/1.1\r\nHost: gateway\r\nX-ZEvent-Server: ZNS\r\nX-ZEvent-Signature: "
    kind = b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head + sign(body, "1", OA_SECRET) + kind % len(body) + body


async def round_of(port: int, pid: int, scene: Scene, name: str, seconds: float) -> Figure:
    """So many seconds of the scene."""
    traffic, livez_ms = Traffic(name, scene, port), list[float]()
    works = [traffic.send(number) for number in range(scene.connections)]
    works += [traffic.tell() for _ in range(POSTERS)]
    tasks = [asyncio.create_task(work) for work in [*works, probing(port, livez_ms)]]
    cpu, begun = cpu_s(pid), time.perf_counter()
    ended, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    spent, lasted = cpu_s(pid) - cpu, time.perf_counter() - begun
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()  # what went wrong
    rates = spent / lasted, traffic.sends / lasted, len(traffic.took_ms) / lasted
    return Figure(*rates, *middle_and_most(traffic.took_ms), *middle_and_most(livez_ms))


def middle_and_most(took: list[float]) -> tuple[float, float]:
    """The 50th and the 99th percentile."""
    ordered = sorted(took)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


async def measured() -> dict[str, Figure]:
    fake = await asyncio.get_running_loop().create_server(Fake, "127.0.0.1", 0)
    rounds: dict[str, list[Figure]] = {scene.name: [] for scene in SCENES}
    fake_port = fake.sockets[0].getsockname()[1]
    for turn in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder, serving(fake_port, Path(folder)) as (port, pid):
            await round_of(port, pid, SCENES[-1], f"warm-{turn}", WARM_S)
            for scene in SCENES:
                rounds[scene.name].append(await round_of(port, pid, scene, f"{turn}-{scene.name}", ROUND_S))
    fake.close()
    return {name: median(figures) for name, figures in rounds.items()}


def median(figures: list[Figure]) -> Figure:
    return Figure(*(statistics.median(getattr(it, name) for it in figures) for name in Figure.__struct_fields__))


def report(figures: dict[str, Figure]) -> str:
    lines = [
        f"A signed receipt of each message over {POSTERS} connections: stored, then answered; medians of {ROUNDS} rounds.",
        f"Wanted: {WANTED_MS:g} ms at the 99th percentile.",
        "",
        "| senders meanwhile | server busy | sends/s | receipts/s | webhook: p50 ms | p99 ms | /livez: p50 ms | p99 ms | p99 against /livez |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, it in figures.items():
        rates = f"{it.busy:.0%} | {it.sends_per_second:,.0f} | {it.receipts_per_second:,.0f}"
        webhook, livez = f"{it.p50_ms:.1f} | {it.p99_ms:.1f}", f"{it.livez_p50_ms:.1f} | {it.livez_p99_ms:.1f}"
        lines.append(f"| {name} | {rates} | {webhook} | {livez} | {it.p99_ms / it.livez_p99_ms:.1f} × |")
    return "\n".join(lines) + "\n"


def main() -> None:
    os.sched_setaffinity(0, {1} if len(os.sched_getaffinity(0)) > 1 else {0})
    text = report(uvloop.run(measured()))
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
