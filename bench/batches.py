"""What a batch saves: events accepted a second, in batches of 1,000 against one by one.

`python -m bench.batches` takes about 30 s, prints the table and writes it to bench/results/batches.md. The baseline is
the same gateway, given one event a request over 64 connections, each answered as soon as it is durable. The account has no
grant, so that everything waits and only the accepting is measured. Beside each load somebody asks for /livez, one
call after the other: what the load costs everybody else.
"""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import uvloop

from bench.gateway import ROUND_S, ROUNDS, Figure, Load, event, median, one_round, request, server

RESULTS = Path(__file__).parent / "results" / "batches.md"
BATCH = 1000
ASYNC = "Prefer: respond-async\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n"


async def answered(reader: asyncio.StreamReader, status: bytes) -> bytes:
    """The body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    if status not in head.partition(b"\r\n")[0]:
        raise SystemExit(f"an unexpected answer: {head[:200]!r}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.partition(b":")[2]))


async def probing(port: int, seen: list[float]) -> None:
    """How long each /livez took, in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            begun = time.perf_counter()
            writer.write(LIVEZ)
            await answered(reader, b"200")
            seen.append((time.perf_counter() - begun) * 1e3)
            await asyncio.sleep(0.005)
    finally:
        writer.close()


async def in_batches(port: int, load: Load, seconds: float) -> int:
    """How many events were accepted over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=16 << 20)
    end, turn = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        turn += 1
        events = [event(f"{load.name}-{turn}-{number}") for number in range(BATCH)]
        writer.write(request(json.dumps(events).encode(), media_type="application/cloudevents-batch+json"))
        results = json.loads(await answered(reader, b"202"))["results"]
        if {it["http"] for it in results} != {202}:
            raise SystemExit("not every event was accepted")
    writer.close()
    return turn * BATCH


async def round_of(kind: str, turn: int) -> Figure:
    """Accepted a second, and /livez meanwhile."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server("ours", 9, Path(folder), has_grant=False) as (port, pid),
    ):
        seen: list[float] = []
        probe = asyncio.create_task(probing(port, seen))
        begun = time.perf_counter()
        if kind == "batches":
            count = await in_batches(port, Load(f"b{turn}"), ROUND_S)
        else:
            load = Load(f"s{turn}", ASYNC, b"HTTP/1.1 202")
            await one_round(port, pid, load, ROUND_S)
            count = len(load.latencies)
        lasted = time.perf_counter() - begun
        probe.cancel()
        await asyncio.wait([probe])
        ordered = sorted(seen)
        return Figure(count / lasted, 0.0, ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100])


async def measured() -> dict[str, Figure]:
    rounds: dict[str, list[Figure]] = {"one by one": [], "batches": []}
    for turn in range(ROUNDS):
        for kind, figures in rounds.items():
            figures.append(await round_of(kind, turn))
    return {kind: median(figures) for kind, figures in rounds.items()}


def report(figures: dict[str, Figure]) -> str:
    base = figures["one by one"]
    lines = [
        f"Accepting only; batches of {BATCH} over one connection, one by one over 64; medians of {ROUNDS} rounds.",
        "",
        "| events | accepted/s | against one by one | /livez meanwhile: p50 ms | p99 ms |",
        "|---|---|---|---|---|",
    ]
    for kind, it in figures.items():
        ratio = it.per_second / base.per_second
        lines.append(f"| {kind} | {it.per_second:,.0f} | {ratio:.1f} × | {it.p50_ms:.1f} | {it.p99_ms:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    os.sched_setaffinity(0, {1} if len(os.sched_getaffinity(0)) > 1 else {0})
    text = report(uvloop.run(measured()))
    print(text)
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
