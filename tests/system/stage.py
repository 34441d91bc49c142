"""Real processes on loopback: a gateway and a simulator that tests start, ask, kill and start again."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner

from gateway.cli import cli
from gateway.config import key_digest

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 20.0
KEYS = {"checkout": "test-key-checkout", "platform": "test-key-platform", "other": "test-key-other"}


class Answer(msgspec.Struct, frozen=True):
    """What one call was answered."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def message(self) -> Any:
        """The Message in the answer, also where it is part of a problem."""
        return self.body.get("message", self.body) if isinstance(self.body, dict) else None


class Speaker:
    """Speaks HTTP to whatever listens at the URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> Answer:
        """What it answers; headers are named with underscores."""
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=raw, method=method)
        if raw is not None:
            request.add_header("Content-Type", "application/json")
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return Answer(response.status, lowered(response.headers), read(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, lowered(error.headers), read(error.read()))

    def post(self, event: Any, caller: str = "checkout", **headers: str) -> Answer:
        """The answer to an event."""
        return self.ask("POST", "/v1/events", event, KEYS[caller], **headers)

    def message(self, tracking_id: str, caller: str = "checkout") -> Any:
        """The message with its timeline."""
        return self.ask("GET", f"/v1/messages/{tracking_id}", key=KEYS[caller]).body

    def statuses(self) -> dict[str, str]:
        """The status of every message, by tracking_id."""
        found: dict[str, str] = {}
        cursor = ""
        while True:
            page = self.ask("GET", f"/v1/messages?limit=1000{cursor}", key=KEYS["platform"]).body
            found.update({item["tracking_id"]: item["status"] for item in page["items"]})
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"


class Process(Speaker):
    """One of our processes, up once it has said where it listens."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        super().__init__(self._listening())

    def _listening(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(b"listening on "):
                return line.split()[-1].decode()
        self.process.wait()
        raise AssertionError(f"did not start: {Path(self._log.name).read_text()[-2000:]}")

    def kill(self) -> None:
        """It is dead, without a chance to tidy up."""
        self.process.send_signal(signal.SIGKILL)
        self._close()

    def stop(self) -> int:
        """It was asked to end and has ended; its exit code."""
        self.process.terminate()
        return self._close()

    def _close(self) -> int:
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()
        return code


class Stage:
    """A folder with a configuration, a simulator, and gateways on the same store."""

    def __init__(self, folder: Path, simulator: Process) -> None:
        self.folder = folder
        self.simulator = simulator
        self.credentials = simulator.ask("GET", "/__sim/credentials").body
        self.phones = {outcome: phone for phone, outcome in self.credentials["phones"].items()}
        self.config = folder / "gateway.toml"
        self.write_config()

    def write_config(self, *, server: str = "", zalo: str = "", delivery: str = "", account: str = "") -> None:
        """The configuration, with these further lines in its tables."""
        for name in ("mappings", "samples", "templates"):
            link = self.folder / name
            if not link.exists():
                link.symlink_to(ROOT / "config" / name)
        it = self.credentials
        sealing_key = base64.b64encode(b"k" * 32).decode()
        self.config.write_text(
            f"""
[server]
port = 0
{server}
[store]
url = "sqlite:///{self.folder}/gateway.db"
[secrets]
keys = ["{sealing_key}"]
[zalo]
api_url = "{self.simulator.url}"
oauth_url = "{self.simulator.url}"
{zalo}
[delivery]
{delivery}
[accounts.main]
app_id = "{it["app_id"]}"
app_secret = "{it["app_secret"]}"
oa_id = "{it["oa_id"]}"
webhook_secrets = ["{it["oa_secret"]}"]
{account}
[callers.checkout]
key_sha256 = ["{key_digest(KEYS["checkout"])}"]
events = ["order.*", "auth.*", "shipping.*", "unmapped.*"]
[callers.other]
key_sha256 = ["{key_digest(KEYS["other"])}"]
events = ["bill.*"]
[callers.platform]
key_sha256 = ["{key_digest(KEYS["platform"])}"]
role = "operator"
"""
        )

    def command(self, *arguments: str, given: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
        """A command on this configuration has ended."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", "--config", str(self.config), *arguments],
            input=given,
            capture_output=True,
            cwd=ROOT,
            check=False,
            timeout=60,
        )

    def command_here(self, *arguments: str, given: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
        """The same in this process, in a thirtieth of the time: for what a command does, not for how it ends."""
        done = CliRunner().invoke(cli, ["--config", str(self.config), *arguments], input=given)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout_bytes, done.stderr_bytes)

    def import_grant(self, *arguments: str, expires_in: int | None = None) -> None:
        """The account has a fresh grant of the simulator's, which is said to live only so many seconds."""
        grant = self.simulator.ask("GET", "/__sim/credentials").body["grant"]
        if expires_in is not None:
            grant["expires_in"] = str(expires_in)
        done = self.command_here("token", "import", "main", *arguments, given=json.dumps(grant).encode())
        assert done.returncode == 0, done.stderr

    def serve(self) -> Process:
        """A gateway on this configuration; Zalo's webhooks go to it."""
        gateway = Process(
            ["--config", str(self.config), "serve", "--log-level", "debug"], self.folder / "gateway.log"
        )
        self.simulator.ask("POST", "/__sim/webhook", {"url": f"{gateway.url}/webhooks/zalo/main"})
        return gateway

    @contextmanager
    def serving(self, *, has_grant: bool = True) -> Iterator[Process]:
        """A gateway for as long as the context lasts, with a working grant unless it is to have none."""
        if has_grant:
            self.import_grant("--replace")
        gateway = self.serve()
        try:
            yield gateway
        finally:
            gateway.stop()  # also one that has ended: then only what is left of it is closed

    def fault(self, **what: Any) -> None:
        """The simulator misbehaves so."""
        answer = self.simulator.ask("POST", "/__sim/faults", what)
        assert answer.status < 300, answer.body

    def sent(self, tracking_id: str) -> list[Any]:
        """The messages that the simulator took under this tracking_id."""
        told = self.simulator.ask("GET", f"/__sim/ledger?tracking_id={tracking_id}").body
        return [it for it in told["messages"] if it["tracking_id"] == tracking_id]

    def ledger(self) -> Any:
        """What Zalo would know."""
        return self.simulator.ask("GET", "/__sim/ledger").body


def problem(answer: Answer, status: int, code: str) -> Any:
    """The problem in the answer, which is complete and of this status and code."""
    assert (answer.status, answer.body["code"]) == (status, code), answer
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.body
    assert body["status"] == status
    assert body["type"].endswith(code)
    assert all(isinstance(body[name], str) and body[name] for name in ("title", "detail"))
    assert body["retryable"] is (status in (429, 503))
    return body


def order(event_id: str, phone: str = "0912345678", **changes: Any) -> dict[str, Any]:
    """An order that was paid."""
    return {
        "id": event_id,
        "source": "/checkout",
        "type": "order.paid",
        "time": "2026-11-23T08:00:00Z",
        "data": {
            "order_id": "DH-1001",
            "total": 1250000,
            "payment_method": "card",
            "customer": {"name": "Nguyễn Văn An", "phone": phone},
        },
        **changes,
    }


def eventually(look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """What `look` returns once it is true of something; fails when patience ends."""
    end = time.monotonic() + patience_s
    while True:
        try:
            seen = look()
        except (OSError, HTTPException):
            seen = None
        if seen:
            return seen
        assert time.monotonic() < end, f"never happened; last seen: {seen!r}"
        time.sleep(LOOK_EVERY_S)


LOOK_EVERY_S = 0.05


def lowered(headers: Any) -> dict[str, str]:
    """The headers by lower-case name."""
    return {name.lower(): value for name, value in headers.items()}


def read(body: bytes) -> Any:
    """JSON where it is JSON, else text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
