"""A grant by consent with real processes: the link, the simulator's page, the callback, and everything that goes wrong."""

import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_from_bytes, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.system.commands import edited, said
from tests.system.stage import ROOT, Answer, Process, Stage, eventually, order, problem
from tests.transport.fault_server import closed_port

pytestmark = pytest.mark.system

ELSEWHERE = "http://127.0.0.1:9/landing"
VERIFIER = "a-fixed-verifier.that~only_tests.know-4711x"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def consent(link: str, **changes: str | None) -> str:
    """The button on Zalo's page is pressed; where the browser lands. `changes` are to the link's query."""
    page, _, query = link.partition("?")
    fields = {name: values[0] for name, values in parse_qs(query).items()} | changes
    body = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
    try:
        urllib.request.build_opener(_Stay).open(urllib.request.Request(page, body), timeout=20)
    except urllib.error.HTTPError as redirect:
        with redirect:
            return str(redirect.headers["location"])
    raise AssertionError("the page sends nobody back")


def landed(gateway: Process, address: str, **changes: str | None) -> Answer:
    """The browser opens the address on which it landed. `changes` are to its query."""
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    kept = {name: value for name, value in query.items() if value is not None}
    return gateway.ask("GET", f"{parts.path}?{urlencode(kept)}")


def state_of(link: str) -> str:
    return parse_qs(urlsplit(link).query)["state"][0]


class Command:
    """`token login main` under way, as far as its link."""

    def __init__(self, config: Path, *arguments: str, link_on: str = "stdout") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--config", str(config), "token", "login", "main", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.seen = ""
        self.link = ""
        for raw in getattr(self.process, link_on):
            line = raw.decode()
            self.seen += line
            if "/v4/oa/permission?" in line:
                self.link = line.strip()
            if "Ctrl-C" in line:
                break
        if not self.link:
            raise AssertionError(self.seen + str(self.process.communicate(timeout=20)))
        self.cmdline = Path(f"/proc/{self.process.pid}/cmdline").read_bytes()

    def end(self, given: str | None = None) -> tuple[int, str]:
        """What was given is pasted, and nothing more; the exit code, and all that was said."""
        out, err = self.process.communicate(None if given is None else given.encode(), timeout=60)
        self.seen += (out + err).decode()
        assert "Traceback" not in self.seen
        return self.process.returncode, self.seen

    def interrupt(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        return self.end()


@contextmanager
def logging_in(config: Path, *arguments: str, **about: str) -> Iterator[Command]:
    command = Command(config, *arguments, **about)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.communicate()


@pytest.fixture(scope="module")
def gateway(scene: Stage) -> Iterator[Process]:
    """A gateway without a grant, whose public URL is known to the commands beside it."""
    with scene.serving(has_grant=False) as process:
        scene.write_config(server=f'public_url = "{process.url}"')
        yield process


def generation(stage: Stage) -> int | None:
    found: int | None = json.loads(stage.command("token", "status", "--json").stdout)[0].get("generation")
    return found


def a_page(answer: Answer, status: int, *words: str) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "<script" not in answer.body
    assert [word for word in words if word not in answer.body] == []


# -- the way through --


def test_the_whole_way_and_what_was_waiting_is_sent(stage: Stage) -> None:
    with stage.serving(has_grant=False) as gateway:
        stage.write_config(server=f'public_url = "{gateway.url}"')
        waiting = gateway.post(order("l-early")).body
        assert (waiting["status"], waiting["reason"]) == ("queued", "credentials")
        with logging_in(stage.config) as command:
            assert f"{gateway.url}/oauth/zalo/callback" in command.seen
            address = consent(command.link)
            a_page(landed(gateway, address), 200, "generation 1", "Tài khoản main")
            code, told = command.end()
        assert (code, "granted: account main, generation 1, works until 20" in told) == (0, True)
        eventually(lambda: gateway.message(waiting["tracking_id"])["status"] == "sent", patience_s=4)
        a_page(landed(gateway, address), 410, "was used before")
        assert generation(stage) == 1


def test_a_working_grant_is_replaced_only_on_purpose_and_json_is_json(scene: Stage, gateway: Process) -> None:
    scene.import_grant("--replace")
    before = generation(scene)
    assert before is not None
    said(scene.command("token", "login", "main"), 2, "working grant", "--replace")
    with logging_in(scene.config, "--replace", "--json", link_on="stderr") as command:
        a_page(landed(gateway, consent(command.link)), 200)
        out, _ = command.process.communicate(timeout=30)
        assert command.process.returncode == 0
    told = json.loads(out)
    assert (told["account"], told["generation"]) == ("main", before + 1)
    assert told["access_expires_at"].startswith("20")


# -- what goes wrong at the callback --


@pytest.fixture
def under_way(scene: Stage, gateway: Process) -> Iterator[Command]:
    with logging_in(scene.config, "--replace") as command:
        yield command


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", ["code is missing", "code thiếu"]),
        ("code=a", ["state is missing", "--paste"]),
        (f"code=a&code=b&state={'s' * 43}", ["code is repeated"]),
        (f"code=a&state={'s' * 43}&state={'t' * 43}", ["state is repeated"]),
        (f"code={'c' * 9000}&state={'s' * 43}", ["code is too long"]),
        (f"code={'c' * 20000}&state={'s' * 43}", ["query is too long"]),
        ("code=%3Cb%3E%00&state=x", ["state is unreadable"]),
    ],
)
def test_what_is_missing_repeated_or_huge_is_told(gateway: Process, query: str, words: list[str]) -> None:
    a_page(gateway.ask("GET", f"/oauth/zalo/callback?{query}"), 400, *words)


def test_a_wrong_state_changes_nothing(gateway: Process, under_way: Command) -> None:
    address = consent(under_way.link)
    a_page(landed(gateway, address, state="x" * 43), 410, "No login waits")
    a_page(landed(gateway, address), 200)
    assert under_way.end()[0] == 0


def test_only_get_is_taken(gateway: Process) -> None:
    problem(gateway.ask("POST", "/oauth/zalo/callback?code=a", b""), 405, "method-not-allowed")


def test_another_official_account_is_told_with_both(scene: Stage, gateway: Process, under_way: Command) -> None:
    address = consent(under_way.link)
    a_page(landed(gateway, address, oa_id="111222"), 409, "111222", scene.credentials["oa_id"])
    a_page(landed(gateway, address), 410, "was used before")
    told_at_once(under_way, "another Official Account", "111222", scene.credentials["oa_id"])


def told_at_once(command: Command, *words: str) -> None:
    """The terminal says the same as the page, and is done."""
    command.process.wait(2)
    code, told = command.end()
    assert (code, [word for word in words if word not in " ".join(told.split())]) == (2, [])


def test_a_consent_that_is_denied_is_told(gateway: Process, under_way: Command) -> None:
    query = {"error": "-14099", "error_description": "<i>no", "state": state_of(under_way.link)}
    a_page(gateway.ask("GET", f"/oauth/zalo/callback?{urlencode(query)}"), 403, "-14099", "&lt;i&gt;no")
    told_at_once(under_way, "Consent was not given", "-14099 <i>no", "next: zns-gateway token login main")


def test_a_grant_that_somebody_else_brings_meanwhile_is_not_taken_for_the_links(
    scene: Stage, gateway: Process, under_way: Command
) -> None:
    before = generation(scene)
    scene.import_grant("--replace")
    assert generation(scene) != before
    address = consent(under_way.link)
    a_page(landed(gateway, address, oa_id="111222"), 409)
    told_at_once(under_way, "another Official Account")


def test_a_wrong_verifier_is_told_in_plain_words(gateway: Process, under_way: Command) -> None:
    a_page(landed(gateway, consent(under_way.link, code_challenge="x" * 43)), 422, "-14010", "code_verifier")
    told_at_once(under_way, "Zalo refused -14010", "code_verifier")


def test_a_link_that_is_interrupted_is_withdrawn(gateway: Process, under_way: Command) -> None:
    address = consent(under_way.link)
    code, told = under_way.interrupt()
    assert (code, told.splitlines()[-1]) == (130, "interrupted")
    a_page(landed(gateway, address), 410)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200), name=st.sampled_from(["code", "state", "oa_id", "error", "x"]))
def test_no_query_is_too_strange_for_a_page(gateway: Process, raw: bytes, name: str) -> None:
    for query in (quote_from_bytes(raw, safe="&=;%+"), f"{name}={quote_from_bytes(raw)}&state={'s' * 43}&code=c"):
        answer = gateway.ask("GET", f"/oauth/zalo/callback?{query}")
        assert answer.status in (400, 410), answer
        a_page(answer, answer.status)


# -- pasted --


def pasting(stage: Stage, *arguments: str) -> Any:
    return logging_in(stage.config, "--paste", "--redirect-uri", ELSEWHERE, *arguments)


@pytest.mark.parametrize("is_bare", [False, True])
def test_where_the_browser_landed_is_pasted_without_a_gateway(stage: Stage, is_bare: bool) -> None:
    with pasting(stage) as command:
        address = consent(command.link)
        assert address.startswith(ELSEWHERE)
        code, told = command.end(parse_qs(urlsplit(address).query)["code"][0] if is_bare else f"\n{address}\n")
    assert (code, "granted: account main, generation 1" in told) == (0, True)
    assert generation(stage) == 1


def without_state(address: str) -> str:
    return re.sub(r"&state=[^&]+", "", address)


def test_what_does_not_belong_to_the_link_is_told_and_leaves_it_open_to_the_end(stage: Stage) -> None:
    with pasting(stage) as command:
        address = consent(command.link)
        wrong = [without_state(address), address.replace("state=", "state=x")[:-1], "two words", ELSEWHERE]
        code, told = command.end("\n".join(wrong))
    assert code == 2
    words = ("has no state", "another link", "code is unreadable", "code is missing", "which is withdrawn")
    assert [word for word in words if word not in told] == []
    assert generation(stage) is None


def test_with_a_fixed_verifier_the_links_own_state_may_be_missing_but_not_at_the_gateway(stage: Stage) -> None:
    stage.write_config(account=f'code_verifier = "{VERIFIER}"')
    with stage.serving(has_grant=False) as gateway, pasting(stage) as command:
        address = without_state(consent(command.link, state=None))
        assert "state" not in address
        bare = f"{gateway.url}/oauth/zalo/callback?{urlsplit(address).query}"
        a_page(landed(gateway, bare), 400, "state is missing")
        code, told = command.end(address)
        assert (code, "granted" in told) == (0, True)
        assert VERIFIER not in told
        assert VERIFIER.encode() not in (stage.folder / "gateway.log").read_bytes()


def test_a_wrong_app_secret_is_told(stage: Stage) -> None:
    stage.credentials["app_secret"] = "wrong-secret-4711"
    stage.write_config()
    with pasting(stage) as command:
        code, told = command.end(consent(command.link))
    assert code == 2
    assert ("-14004" in told, "Compare app_id and app_secret" in told) == (True, True)
    assert "wrong-secret-4711" not in told


class Host:
    """An OAuth host that takes requests, and answers them with `answer` once it may; nothing is a hang-up."""

    def __init__(self, answer: bytes) -> None:
        self.taken: list[bytes] = []
        self.may_answer = threading.Event()
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            with peer:
                self.taken.append(peer.recv(65536))
                self.may_answer.wait(20)
                peer.sendall(self._answer)

    def close(self) -> None:
        self.may_answer.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@contextmanager
def hosting(stage: Stage, answer: bytes = b"") -> Iterator[Host]:
    """Codes are exchanged at such a host, while consent is given at the simulator."""
    host = Host(answer)
    edited(stage.config, (f'oauth_url = "{stage.simulator.url}"', f'oauth_url = "{host.url}"'))
    try:
        yield host
    finally:
        host.close()


def test_a_lost_answer_is_told_and_the_code_is_presented_once(stage: Stage) -> None:
    with hosting(stage) as host, pasting(stage) as command:
        host.may_answer.set()
        address = consent(command.link.replace(host.url, stage.simulator.url))
        code, told = command.end(address)
        assert (code, "is spent" in told, "next: zns-gateway token login main" in told) == (2, True, True)
        assert len(host.taken) == 1
    assert generation(stage) is None


def test_whoever_interrupts_while_zalo_is_answering_loses_no_grant(stage: Stage) -> None:
    pair = json.dumps({"access_token": "a" * 40, "refresh_token": "r" * 40, "expires_in": "90000"}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(pair), pair)
    with hosting(stage, answer) as host, pasting(stage) as command:
        assert command.process.stdin is not None
        command.process.stdin.write(b"some-code-of-zalo\n")
        command.process.stdin.flush()
        eventually(lambda: host.taken)
        command.process.send_signal(signal.SIGINT)
        host.may_answer.set()
        assert command.end()[0] == 130
    assert generation(stage) == 1


def test_a_gateway_without_zalo_says_so_and_the_code_is_not_used(stage: Stage) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}"
    edited(
        stage.config,
        (f'oauth_url = "{stage.simulator.url}"', f'oauth_url = "{nowhere}"\nconnect_timeout = "100ms"'),
    )
    edited(stage.config, ('connect_timeout = "100ms"', 'connect_timeout = "100ms"\nread_timeout = "100ms"'))
    with pasting(stage) as command:
        code, told = command.end("some-code-of-zalo")
    assert (code, "Zalo cannot be reached" in told) == (2, True)


def test_on_a_terminal_the_address_can_be_pasted_without_being_asked_for(stage: Stage) -> None:
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gateway", "--config", str(stage.config)),
            *("token", "login", "main", "--redirect-uri", ELSEWHERE),
        ],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(inner)
    seen, is_pasted = b"", False
    with process, io.FileIO(outer, "r+") as screen:
        while True:
            try:
                more = screen.read(65536)
            except OSError:
                break
            if not more:
                break
            seen += more
            if b"Ctrl-C withdraws" in seen and not is_pasted:
                is_pasted = True
                text = re.sub(rb"\x1b\[[0-9;]*m", b"", seen).decode().replace("\r\n", "\n")
                link = next(line for line in text.splitlines() if "/v4/oa/permission?" in line)
                screen.write(consent(link).encode() + b"\n")
    assert process.wait(60) == 0, seen.decode()
    assert b"paste here" in seen
    assert b"granted: account main, generation 1" in seen


# -- where it is served, and what has to be known --


def test_with_a_public_port_the_callback_is_served_there_and_only_there(stage: Stage) -> None:
    port = closed_port()
    public = f"http://127.0.0.1:{port}"
    stage.write_config(server=f'public_port = {port}\npublic_url = "{public}"')
    with stage.serving(has_grant=False) as gateway, logging_in(stage.config) as command:
        address = consent(command.link)
        assert address.startswith(f"{public}/oauth/zalo/callback?")
        problem(landed(gateway, address), 404, "not-found")
        path = address.removeprefix(public)
        with urllib.request.urlopen(public + path, timeout=20) as answer:
            assert answer.status == 200
        assert command.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["main"], ["server.public_url", "--redirect-uri", "/oauth/zalo/callback"]),
        (["mian"], ["there is no account mian", "main"]),
        (["main", "--redirect-uri", "ftp://x"], ["--redirect-uri takes a URL"]),
        (["main", "--redirect-uri", "https://x/#y"], ["--redirect-uri takes a URL"]),
        (["main", "--simulator", "https://zalo.example.com"], ["on this machine"]),
    ],
)
def test_what_has_to_be_known_first_is_told(stage: Stage, arguments: list[str], words: list[str]) -> None:
    said(stage.command("token", "login", *arguments), 2, *words)


class Simulated(Process):
    """`serve --simulator`, which also says where its simulator is."""

    simulator = ""

    def _listening(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(b"simulator on "):
                self.simulator = line.split()[-1].decode()
            if line.startswith(b"listening on "):
                return line.split()[-1].decode()
        raise AssertionError("did not start")


def test_it_works_beside_the_built_in_simulator(config: Path, tmp_path: Path) -> None:
    port = closed_port()
    edited(config, ("port = 8080", f"port = {port}"), ("sqlite:///var/", f"sqlite:///{tmp_path}/"))
    gateway = Simulated(["--config", str(config), "serve", "--simulator"], tmp_path / "gateway.log")
    try:
        refused = subprocess.run(
            [sys.executable, "-m", "gateway", "--config", str(config), "token", "login", "main", "--replace"],
            capture_output=True,
            cwd=ROOT,
            check=False,
            timeout=60,
        )
        said(refused, 2, "--simulator", "simulator on")
        with logging_in(config, "--replace", "--simulator", gateway.simulator) as command:
            a_page(landed(gateway, consent(command.link)), 200, "generation 2")
            assert command.end()[0] == 0
    finally:
        gateway.stop()


# -- secrets --


def test_no_code_state_verifier_or_token_is_in_a_log_a_page_or_a_process_list(stage: Stage) -> None:
    stage.write_config(account=f'code_verifier = "{VERIFIER}"')
    pages, cmdlines, secrets = "", b"", {VERIFIER, stage.credentials["app_secret"]}
    with stage.serving(has_grant=False) as gateway:
        server, account = f'public_url = "{gateway.url}"', f'code_verifier = "{VERIFIER}"'
        stage.write_config(server=server, account=account)
        for changes in ({}, {"oa_id": "1"}, {"code": "not-a-code-of-zalos-4711"}, {"state": "z" * 43}):
            with logging_in(stage.config, "--replace") as command:
                address = consent(command.link)
                secrets |= {
                    value[0] for name, value in parse_qs(urlsplit(address).query).items() if name != "oa_id"
                }
                pages += landed(gateway, address, **changes).body + landed(gateway, address).body
                cmdlines += command.cmdline + Path(f"/proc/{gateway.process.pid}/cmdline").read_bytes()
                pages += command.interrupt()[1].replace(command.link, "")
        pages += json.dumps(gateway.ask("GET", "/readyz?verbose").body) + str(gateway.ask("GET", "/metrics").body)
    log = (stage.folder / "gateway.log").read_bytes()
    assert b'"login-ended"' in log
    store = b"".join(path.read_bytes() for path in stage.folder.glob("gateway.db*") if path.is_file())
    everything = log + pages.encode() + cmdlines
    assert len(secrets) == 10
    assert [secret for secret in secrets if secret.encode() in everything] == []
    assert [secret for secret in secrets if secret.encode() in store] == []
    long_words = re.findall(rb"[A-Za-z0-9_-]{43,}", re.sub(rb"sha256:[0-9a-f]{64}", b"", log))
    assert long_words == [], "whatever looks like a code, a state or a token"
