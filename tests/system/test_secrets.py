"""Canaries in every input, a varied day at log level debug, and then a search of everything that came out: 0 hits."""

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.system.stage import KEYS, Answer, Process, Speaker, Stage, eventually, order

pytestmark = pytest.mark.system

PHONES = ["0934567812", "+84 987-654-321", "84356789012", "0708.123.456"]
CODES = ["73519264", "90817263"]
WRONG_KEY = "wrong-key-that-somebody-typed-9f2c"


def told_forms(secret: str) -> set[bytes]:
    """The ways in which the text could hide in an output."""
    raw = secret.encode()
    forms = {
        raw,
        raw[::-1],
        binascii.hexlify(raw),
        quote(secret, safe="").encode(),
        json.dumps(secret)[1:-1].encode(),
    }
    for offset in range(3):  # base64 of a longer text that holds it, wherever in it it stands
        whole = base64.b64encode(b"\0" * offset + raw)
        forms.add(whole[-(-offset * 8 // 6) : len(whole) - 4])
    return forms


def phone_forms(phone: str) -> set[bytes]:
    """Every way of writing the number down, of which the last nine digits are enough."""
    nine = "".join(filter(str.isdigit, phone))[-9:]
    spaced = [nine[:2] + sep + nine[2:5] + sep + nine[5:] for sep in " .-"]
    spaced += [nine[:3] + sep + nine[3:6] + sep + nine[6:] for sep in " .-"]
    return told_forms(nine) | {text.encode() for text in spaced}


class Heard:
    """Everything that the gateway has answered."""

    def __init__(self, gateway: Process) -> None:
        self._speaker = Speaker(gateway.url)
        self.answers: list[bytes] = []

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> Answer:
        answer = self._speaker.ask(method, path, body, key, **headers)
        self.answers.append(json.dumps([dict(answer.headers), answer.body], ensure_ascii=False).encode())
        return answer

    def post(self, event: Any, **headers: str) -> Answer:
        return self.ask("POST", "/v1/events", event, KEYS["checkout"], **headers)


def otp(event_id: str, code: str, phone: str) -> dict[str, Any]:
    return {"id": event_id, "type": "auth.otp", "data": {"otp": code, "phone": phone}}


def a_varied_day(stage: Stage, heard: Heard) -> None:
    """Sent, refused, cut, replayed, conflicting, malformed, forged, refreshed, listed."""
    for number, phone in enumerate(PHONES):
        heard.post(order(f"day-{number}", phone))
        heard.post(otp(f"otp-{number}", CODES[number % 2], phone))
        heard.ask("POST", "/v1/events/preview", otp(f"otp-{number}", CODES[0], phone), KEYS["checkout"])
        heard.ask("GET", f"/v1/messages?phone={quote(phone)}", key=KEYS["platform"])
    for do in ("error", "html", "garbage", "cut"):
        stage.fault(at="send", do=do, count=1, **({"value": -118} if do == "error" else {}))
        heard.post(otp(f"otp-{do}", CODES[0], PHONES[0]), Prefer="wait=1")
    heard.post(order("day-0", PHONES[1]))  # a conflict
    heard.post(otp("otp-long", CODES[0] + CODES[1], PHONES[0]))  # beyond the template's limit
    heard.post(otp("otp-phone", CODES[0], PHONES[0] + "9"))  # no number
    heard.post(json.dumps(otp("otp-cut", CODES[0], PHONES[0])).encode()[:-2])  # no JSON
    heard.post({"id": "x", "type": "auth.otp", "data": [CODES[0], PHONES[0]]})
    heard.post({"id": "x", "type": f"unmapped.{WRONG_KEY}", "data": {"otp": CODES[0]}})
    heard.ask("GET", "/v1/messages", key=WRONG_KEY)
    heard.ask("GET", f"/v1/messages?key={WRONG_KEY}&phone={PHONES[0]}x", key=KEYS["platform"])
    heard.ask(
        "POST", "/webhooks/zalo/main", {"event_name": WRONG_KEY, "timestamp": "1"}, X_ZEvent_Signature="mac=0"
    )
    stage.simulator.ask("POST", "/__sim/expire", {"what": "access"})
    heard.post(order("day-refreshed", PHONES[0]))
    stage.simulator.ask("POST", "/__sim/expire", {"what": "access"})
    stage.fault(at="refresh", do="cut", count=1)
    heard.post(order("day-lost", PHONES[0]))
    for path in ("/readyz?verbose", "/metrics", "/livez", "/schema/openapi.json"):
        heard.ask("GET", path)
    listed = heard.ask("GET", "/v1/messages?limit=1000", key=KEYS["platform"])
    for item in listed.body["items"]:
        heard.ask("GET", f"/v1/messages/{item['tracking_id']}", key=KEYS["platform"])


@pytest.fixture(scope="module")
def outputs(scene: Stage) -> dict[str, bytes]:
    """Everything that came out of such a day, by where it was found."""
    grant = scene.simulator.ask("GET", "/__sim/credentials").body["grant"]
    done = scene.command("token", "import", "main", given=json.dumps(grant).encode())
    gateway = scene.serve()
    heard = Heard(gateway)
    try:
        a_varied_day(scene, heard)
        eventually(lambda: "delivered" in gateway.statuses().values())
        commands = [scene.command(*words) for words in (["token", "status"], ["messages", "list"], ["check"])]
        files = {path.name: path.read_bytes() for path in scene.folder.glob("gateway.db*") if path.is_file()}
        environment = Path(f"/proc/{gateway.process.pid}/cmdline").read_bytes()
        seen = {"answers": b"\n".join(heard.answers), "cmdline": environment} | files
        seen["commands"] = b"".join(it.stdout + it.stderr for it in [done, *commands])
        seen["given"] = json.dumps([grant["access_token"], grant["refresh_token"]]).encode()
    finally:
        gateway.stop()
    files = {path.name: path.read_bytes() for path in scene.folder.glob("gateway.db*") if path.is_file()}
    return (
        seen
        | {f"{name} at the end": body for name, body in files.items()}
        | {"log": (scene.folder / "gateway.log").read_bytes()}
    )


def secrets_of(stage: Stage) -> dict[str, set[bytes]]:
    """Each canary, and the forms in which it is looked for."""
    config = {name: str(stage.credentials[name]) for name in ("app_secret", "oa_secret")}
    keys = {f"key of {caller}": key for caller, key in KEYS.items()} | {"wrong key": WRONG_KEY}
    codes = {f"code {number}": code for number, code in enumerate(CODES)}
    found = {name: told_forms(secret) for name, secret in {**config, **keys, **codes}.items()}
    return found | {f"phone {number}": phone_forms(phone) for number, phone in enumerate(PHONES)}


def hits(outputs: dict[str, bytes], canaries: dict[str, set[bytes]]) -> list[tuple[str, str]]:
    return [
        (name, place)
        for place, output in outputs.items()
        for name, forms in canaries.items()
        if any(form in output for form in forms)
    ]


def test_the_day_left_traces_to_search(outputs: dict[str, bytes]) -> None:
    assert {"log", "answers", "gateway.db", "gateway.db-wal", "commands"} <= outputs.keys()
    for word in (b'"attempted"', b'"refreshed"', b'"webhook"', b'"accepted"'):
        assert word in outputs["log"], "at level debug everything is told"
    assert b"84*****7812" in outputs["answers"]


def test_no_output_holds_a_secret_a_code_or_a_phone_number(outputs: dict[str, bytes], scene: Stage) -> None:
    canaries = secrets_of(scene)
    # What a caller writes into a type of its own is its own: it is told back, but neither logged nor counted.
    told_back = {("wrong key", "answers")}
    assert set(hits(outputs, canaries)) <= told_back


def test_no_output_holds_a_token(outputs: dict[str, bytes]) -> None:
    given = json.loads(outputs["given"])
    canaries = {token[:6]: told_forms(token) | {token[:24].encode(), token[-24:].encode()} for token in given}
    assert hits({place: it for place, it in outputs.items() if place != "given"}, canaries) == []


@pytest.mark.parametrize("place", ["log", "answers", "commands"])
def test_nothing_that_looks_like_a_token_is_told_either(outputs: dict[str, bytes], place: str) -> None:
    """Those that a refresh brought are known to nobody here, but all of them are long."""
    assert re.findall(rb"[A-Za-z0-9_-]{100,}", outputs[place]) == []


def test_every_line_of_the_log_is_one_json_object(outputs: dict[str, bytes]) -> None:
    for line in outputs["log"].splitlines():
        assert {"at", "level", "event"} <= json.loads(line).keys(), line
