"""What these tests stand on: a clock that is moved by hand, a served simulator, a receiver of webhooks."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import uvicorn

from gateway.simulator import Simulator, business
from gateway.simulator.clock import Clock
from gateway.simulator.exchange import Asked, Told
from gateway.simulator.zalo import Zalo

NOON = 1_795_410_000.0
"""12:00 on 23 November 2026 in Vietnam."""


class Hands:
    """The time, moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def move(self, seconds: float) -> None:
        self.at += seconds

    def clock(self, scale: float = 1.0) -> Clock:
        return Clock(scale, monotonic=lambda: self.at, wall=lambda: NOON + self.at)


class Scene:
    """A Zalo without a socket, with one grant, on a clock moved by hand."""

    def __init__(self) -> None:
        self.hands = Hands()
        self.zalo = Zalo(seed=7, clock=self.hands.clock())
        self.credentials = self.zalo.credentials()
        self.token = self.credentials["grant"]["access_token"]

    def send(
        self,
        phone: str = "84912345678",
        template_id: Any = "310001",
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        is_hashed: bool = False,
        **members: Any,
    ) -> dict[str, Any]:
        """What a send is told, as JSON."""
        body = {
            "hash_phone" if is_hashed else "phone": phone,
            "template_id": template_id,
            "template_data": sample_of(self.zalo, template_id),
            "tracking_id": "t-1",
            **members,
        }
        raw = msgspec.json.encode(body) if raw is None else raw
        told = business.send(self.zalo, self.asked(raw, headers), is_hashed=is_hashed)
        return json_of(told)

    def asked(self, body: bytes = b"", headers: dict[str, str] | None = None, query: str = "") -> Asked:
        """A POST with the access token, unless other headers are given."""
        given = {"access_token": self.token} if headers is None else headers
        pairs = [(name.lower().encode(), value.encode()) for name, value in given.items()]
        return Asked("POST", "/message/template", pairs, query.encode(), body)


def sample_of(zalo: Zalo, template_id: Any) -> dict[str, str]:
    template = zalo.templates.get(str(template_id))
    return template.sample_data() if template else {"otp": "1"}


def json_of(told: Told) -> dict[str, Any]:
    answer = json.loads(told.body)
    assert isinstance(answer, dict)
    return answer


def phone_of(credentials: dict[str, Any], outcome: str) -> str:
    """The number whose fate this is."""
    phones: dict[str, str] = credentials["phones"]
    return next(phone for phone, named in phones.items() if named == outcome)


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """The condition holds; fails if it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        await asyncio.sleep(0.005)


class Receiver:
    """Takes webhooks, and answers with the statuses it was told to, then 200."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.url = ""

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def tracking_ids(self) -> list[str]:
        return [event["message"]["tracking_id"] for event in self.events()]

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Receiver"]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhooks/zalo/main"
        async with server:
            yield self

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in headers.items()}
            body = await reader.readexactly(int(headers["content-length"]))
            self.got.append((headers, body))
            status = self.statuses.pop(0) if self.statuses else 200
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()


class Live:
    """A served simulator and a client that knows its credentials."""

    def __init__(self, simulator: Simulator, client: httpx.AsyncClient, url: str) -> None:
        self.simulator = simulator
        self.client = client
        self.url = url
        self.credentials = simulator.credentials()
        self.token = self.credentials["grant"]["access_token"]

    def phone(self, outcome: str) -> str:
        return phone_of(self.credentials, outcome)

    async def send(self, phone: str = "84912345678", tracking_id: str = "t-1", **more: Any) -> httpx.Response:
        body = {
            "phone": phone,
            "template_id": "310001",
            "template_data": {"otp": "123456"},
            "tracking_id": tracking_id,
        }
        headers = {"access_token": self.token}
        return await self.client.post("/message/template", json=body, headers=headers, **more)

    async def refresh(self, token: str | None = None, **headers: str) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "app_id": self.credentials["app_id"],
            "refresh_token": token or self.credentials["grant"]["refresh_token"],
        }
        secret = headers or {"secret_key": self.credentials["app_secret"]}
        return await self.client.post("/v4/oa/access_token", data=form, headers=secret)

    async def ledger(self) -> dict[str, Any]:
        told: dict[str, Any] = (await self.client.get("/__sim/ledger")).json()
        return told

    async def fault(self, **members: Any) -> httpx.Response:
        return await self.client.post("/__sim/faults", json=members)


@contextlib.asynccontextmanager
async def served(simulator: Simulator) -> AsyncIterator[Live]:
    """The simulator on a loopback port of its own."""
    config = uvicorn.Config(simulator.app, port=0, log_level="error", http="httptools", lifespan="on")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as client:
            yield Live(simulator, client, url)
    finally:
        simulator.hang_up()
        server.should_exit = True
        await running
