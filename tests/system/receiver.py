"""A real HTTP server on loopback that callers are told at: a test says how it answers, and sees what it was told."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from gateway.config import key_digest
from tests.system.stage import Stage, eventually, lowered, read


class Call(msgspec.Struct, frozen=True):
    """One post, as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return read(self.body)


class Reply(msgspec.Struct, frozen=True):
    """What a post is answered; `hangs`: nothing, until the receiver releases it."""

    status: int = 204
    headers: Mapping[str, str] = {}
    hangs: bool = False


Rule = Callable[[Call, int], Reply]
"""How a call is answered; the number says how often its id has come, this time included."""


class Receiver:
    """One server; each caller has a path of its own there."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self._calls: list[Call] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{path}"

    def calls(self, path: str | None = None, *, about: str = "", kind: str = "") -> list[Call]:
        """The posts that came, in order: to this path, of this type, whose body holds this text."""
        with self._lock:
            found = list(self._calls)
        wanted = [it for it in found if path in (None, it.path) and about.encode() in it.body]
        return [it for it in wanted if kind in ("", it.said["type"])]

    def first(self, path: str, tracking_id: str, status: str = "sent") -> Call:
        """The first post that tells of this status of the message, once it has come."""
        found: list[Call] = eventually(lambda: self.calls(path, about=tracking_id, kind=f"message.{status}"))
        return found[0]

    def told(self, path: str, tracking_id: str) -> dict[str, Any]:
        """What was told of a message, by type."""
        return {it.said["type"]: it.said for it in self.calls(path, about=tracking_id)}

    def release(self) -> None:
        """Whoever waits for an answer waits no more."""
        self._closing.set()

    def close(self) -> None:
        """Nothing listens here any more."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, call: Call) -> Reply | None:
        """The reply to a call; None where there is none to wait for."""
        with self._lock:
            self._calls.append(call)
            number = sum(it.id == call.id and it.path == call.path for it in self._calls)
        rule = self.rules.get(call.path)
        reply = Reply() if rule is None else rule(call, number)
        if not reply.hangs:
            return reply
        self._closing.wait()
        return None


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: Any) -> None:
        """A gateway that was killed in mid-sentence is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers["content-length"]))
        call = Call(self.path.removeprefix("/"), lowered(self.headers), body, time.monotonic())
        reply = self.server.receiver.answer(call)
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """It says nothing."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for as long as the context lasts."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def secret(text: str) -> str:
    """A callback secret made of this text."""
    return f"whsec_{base64.b64encode(text.encode().ljust(32, b'.')).decode()}"


def is_signed(call: Call, written: str) -> bool:
    """Whether one of the signatures is this secret's, as the specification says it is made."""
    key = base64.b64decode(written.removeprefix("whsec_"))
    signed = f"{call.id}.{call.headers['webhook-timestamp']}.".encode() + call.body
    made = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{made}" in call.headers["webhook-signature"].split(" ")


def key_of(caller: str) -> str:
    """The key of a caller on a stage."""
    return f"test-key-{caller}"


def call_back(stage: Stage, caller: str, url: str, *secrets: str) -> None:
    """The caller of the stage is told there, from the next start on; one that is new may send everything."""
    text = stage.config.read_text()
    table = f"[callers.{caller}]\n"
    if table not in text:
        text += f'{table}key_sha256 = ["{key_digest(key_of(caller))}"]\nevents = ["*"]\n'
    listed = json.dumps(secrets or (secret(caller),))
    stage.config.write_text(
        text.replace(table, f"{table}callback = {{ url = {json.dumps(url)}, secrets = {listed} }}\n")
    )
