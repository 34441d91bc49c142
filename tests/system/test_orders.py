"""What operators do to messages, over HTTP and from a shell beside a running gateway, as Zalo sees it in the end."""

import getpass
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.stage import KEYS, ROOT, Answer, Process, Stage, eventually, order, problem

pytestmark = pytest.mark.system

LATER = """
summary = "Only much later, so that there is time to cancel it"
owner = "team-checkout"
account = "main"
not_before = '{{ "2090-01-01T00:00:00Z" }}'

[[template]]
id = "7895417a7d3f9461cd2e"
phone = '{{ data.customer.phone }}'
[template.data]
customer_name = '{{ data.customer.name }}'
order_id = '{{ data.order_id }}'
total = '{{ data.total | vnd }}'
paid_at = '{{ time | local("%H:%M %d/%m/%Y") }}'
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Stage:
    """The stage of this module, whose mappings can be corrected."""
    folder = tmp_path_factory.mktemp("orders")
    shutil.copytree(ROOT / "config" / "mappings", folder / "mappings")
    for event_type in ("order.later", "order.many", "order.shell"):
        (folder / "mappings" / f"{event_type}.toml").write_text(LATER)
    return Stage(folder, simulator)


@pytest.fixture
def correcting(scene: Stage, gateway: Process) -> Iterator[Any]:
    """What changes a mapping that is in force, until the end of the test."""
    changed: dict[Path, str] = {}

    def correct(event_type: str, *changes: tuple[str, str]) -> None:
        file = scene.folder / "mappings" / f"{event_type}.toml"
        text = changed.setdefault(file, file.read_text())
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        replace(gateway, file, text)

    yield correct
    for file, text in changed.items():
        replace(gateway, file, text)


def replace(gateway: Process, file: Path, text: str) -> None:
    before = in_force(gateway)
    file.write_text(text)
    eventually(lambda: in_force(gateway) != before)


def in_force(gateway: Process) -> str:
    return str(gateway.ask("GET", "/v1/mappings", key=KEYS["platform"]).body["version"])


def give(gateway: Process, path: str, body: Any = None, caller: str = "platform") -> Answer:
    return gateway.ask("POST", f"/v1/messages/{path}", body, KEYS[caller])


def later(event_id: str, event_type: str = "order.later") -> dict[str, Any]:
    return order(f"ord-{event_id}", type=event_type)


def answering(scene: Stage, answer: bytes, *arguments: str) -> tuple[int, str]:
    """How the command ended that asked somebody at a terminal who answered so, and all that it said."""
    outer, inner = pty.openpty()
    os.write(outer, answer)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--config", str(scene.config), *arguments],
        stdin=inner,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    os.close(inner)
    os.close(outer)
    return done.returncode, done.stdout.decode()


def queued(gateway: Process, event_id: str, event_type: str = "order.later") -> str:
    """The tracking_id of a message that waits for a far moment."""
    answer = gateway.post(later(event_id, event_type))
    assert (answer.status, answer.body["reason"]) == (202, "not-before")
    return str(answer.body["tracking_id"])


def unknown(gateway: Process, scene: Stage, event_id: str) -> str:
    """The tracking_id of a message of which nobody knows whether Zalo took it; the simulator does: it did not."""
    scene.fault(at="send", do="cut", done=False, count=1)
    answer = gateway.post(order(f"ord-{event_id}", scene.phones["delivered"]))
    assert (answer.status, answer.body["status"]) == (202, "unknown")
    return str(answer.body["tracking_id"])


def status(gateway: Process, tracking_id: str) -> str:
    return str(gateway.message(tracking_id, "platform")["status"])


def delivered(gateway: Process, tracking_id: str) -> None:
    eventually(lambda: status(gateway, tracking_id) == "delivered")


# -- one --


def test_a_queued_message_is_cancelled_and_whoever_posts_its_event_again_is_told_so(gateway: Process) -> None:
    tracking_id = queued(gateway, "cancel")
    answer = give(gateway, f"{tracking_id}/cancel", {"note": "sold out, tell 0912345678"})
    assert (answer.status, answer.body["status"]) == (202, "cancelled")
    assert answer.headers["location"] == f"/v1/messages/{tracking_id}"
    line = gateway.message(tracking_id)["timeline"][-1]
    assert (line["fact"], line["status"]) == ("cancel", "cancelled")
    assert line["cause"].startswith("by platform: sold out, tell ")
    assert "0912345678" not in line["cause"]
    replay = gateway.post(later("cancel"))
    assert problem(replay, 422, "cancelled")["message"]["tracking_id"] == tracking_id
    assert replay.headers["idempotency-replayed"] == "true"
    for step in ("cancel", "resend"):
        assert problem(give(gateway, f"{tracking_id}/{step}"), 409, "wrong-state")


def test_a_failed_message_goes_out_once_its_mapping_is_corrected(
    gateway: Process, scene: Stage, correcting: Any
) -> None:
    event = order("ord-failed", scene.phones["error:-118"])
    refused = gateway.post(event)
    tracking_id = refused.message["tracking_id"]
    expires_at = refused.message["expires_at"]
    correcting("order.paid", ("{{ data.customer.phone }}", scene.phones["delivered"]))
    answer = give(gateway, f"{tracking_id}/resend", {})
    assert (answer.status, answer.body["status"], answer.body["attempts"]) == (202, "queued", 1)
    assert answer.body["expires_at"] > expires_at
    delivered(gateway, tracking_id)
    replay = gateway.post(event)
    assert (replay.status, replay.body["status"], replay.body["attempts"]) == (200, "delivered", 2)
    assert replay.body["phone"].endswith(scene.phones["delivered"][-4:])
    assert len(scene.sent(tracking_id)) == 1
    found = gateway.ask("GET", f"/v1/messages?phone={scene.phones['delivered']}", key=KEYS["platform"]).body
    assert tracking_id in [item["tracking_id"] for item in found["items"]]


def test_what_the_mapping_in_force_refuses_stays_as_it_is(gateway: Process, scene: Stage, correcting: Any) -> None:
    event = order("ord-refused", scene.phones["error:-118"])
    tracking_id = gateway.post(event).message["tracking_id"]
    before = gateway.message(tracking_id)
    correcting("order.paid", ("{{ data.customer.phone }}", "{{ data.customer.mobile }}"))
    told = problem(give(gateway, f"{tracking_id}/resend"), 422, "mapping-failed")
    assert [fault["pointer"] for fault in told["errors"]] == ["/data/customer/mobile"]
    assert gateway.message(tracking_id) == before
    assert gateway.post(event).message == {name: value for name, value in before.items() if name != "timeline"}


def test_an_unknown_message_can_be_sent_again(gateway: Process, scene: Stage) -> None:
    tracking_id = unknown(gateway, scene, "unknown")
    assert give(gateway, f"{tracking_id}/resend").body["status"] == "queued"
    delivered(gateway, tracking_id)
    assert len(scene.sent(tracking_id)) == 1
    facts = [line["fact"] for line in gateway.message(tracking_id)["timeline"]]
    assert facts[:6] == ["stored", "claim", "uncertain", "resend", "claim", "accepted"]


@pytest.mark.parametrize("verdict", ["delivered", "failed"])
def test_a_person_settles_what_is_unknown(gateway: Process, scene: Stage, verdict: str) -> None:
    tracking_id = unknown(gateway, scene, f"settle-{verdict}")
    answer = give(gateway, f"{tracking_id}/settle", {"status": verdict, "note": "seen at Zalo"})
    assert (answer.status, answer.body["status"]) == (202, verdict)
    assert (answer.body["delivered_at"] is None) is (verdict == "failed")
    if verdict == "failed":
        assert answer.body["error"]["code"] == "settled-as-failed"
        replay = gateway.post(order("ord-settle-failed", scene.phones["delivered"]))
        assert problem(replay, 422, "settled-as-failed")
    assert problem(give(gateway, f"{tracking_id}/settle", {"status": verdict}), 409, "wrong-state")


def test_senders_may_not_and_what_is_not_there_is_not_found(gateway: Process) -> None:
    tracking_id = queued(gateway, "forbidden")
    for path in (f"{tracking_id}/cancel", f"{tracking_id}/resend", f"{tracking_id}/settle", "cancel", "resend"):
        assert problem(give(gateway, path, {}, "checkout"), 403, "forbidden")
        assert problem(gateway.ask("POST", f"/v1/messages/{path}", {}), 401, "unauthenticated")
        assert gateway.ask("PUT", f"/v1/messages/{path}", {}, KEYS["platform"]).status == 405
    for step, body in (("cancel", {}), ("resend", {}), ("settle", {"status": "failed"})):
        assert problem(give(gateway, f"nothing/{step}", body), 404, "not-found")
    assert status(gateway, tracking_id) == "queued"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("{id}/cancel", {"colour": "red"}),
        ("{id}/cancel", {"note": 7}),
        ("{id}/cancel", {"note": "x" * 201}),
        ("{id}/cancel", {"note": "two\nlines"}),
        ("{id}/cancel", []),
        ("{id}/cancel", b"{"),
        ("{id}/cancel", b'{"note":"a","note":"b"}'),
        ("{id}/cancel", b'{"note":"\xff"}'),
        ("{id}/settle", {}),
        ("{id}/settle", {"status": "sent"}),
        ("cancel", {}),
        ("cancel", {"status": "queued"}),
        ("cancel", {"dry_run": "yes"}),
        ("cancel", {"expect": -1}),
        ("cancel", {"expect": 1.5}),
        ("cancel", {"expect": True}),
        ("cancel", {"expect": "1"}),
        ("cancel", {"status": "gone", "dry_run": True}),
        ("cancel", {"phone": "12", "dry_run": True}),
        ("cancel", {"since": "yesterday", "dry_run": True}),
        ("cancel", {"since": "2026-11-24T02:00:00", "dry_run": True}),
        ("cancel", {"until": "2026-11-24T02:00:00 07:00", "dry_run": True}),
        ("cancel", {"limit": 5, "dry_run": True}),
        ("cancel", {"cursor": "s1", "dry_run": True}),
        ("cancel", {"updated_after": "2026-01-01T00:00:00Z", "dry_run": True}),
    ],
)
def test_a_body_that_cannot_be_read_is_an_invalid_request_and_changes_nothing(
    gateway: Process, path: str, body: Any
) -> None:
    tracking_id = queued(gateway, "bodies")
    told = problem(give(gateway, path.format(id=tracking_id), body), 400, "invalid-request")
    if isinstance(body, dict) and body:
        assert any(name in told["detail"] for name in [*body, "expect"]), told
    assert status(gateway, tracking_id) == "queued"


def test_a_body_that_is_too_large_is_told_as_that(gateway: Process) -> None:
    assert problem(give(gateway, "cancel", {"type": "x" * 1_000_000, "dry_run": True}), 413, "too-large")


# -- many --


def test_many_are_counted_first_and_cancelled_only_if_they_are_still_so_many(gateway: Process) -> None:
    ids = [queued(gateway, f"many-{number}", "order.many") for number in range(5)]
    meant = {"type": "order.many"}
    dry = give(gateway, "cancel", {**meant, "dry_run": True})
    assert (dry.status, dry.body) == (200, {"count": 5, "dry_run": True})
    told = problem(give(gateway, "cancel", {**meant, "expect": 4}), 409, "wrong-state")
    assert "5" in told["detail"]
    assert "4" in told["detail"]
    assert {status(gateway, it) for it in ids} == {"queued"}
    other = queued(gateway, "many-not")
    done = give(gateway, "cancel", {**meant, "expect": 5, "note": "the sale is off"})
    assert (done.status, done.body) == (202, {"count": 5, "done": 5, "refused": [], "refused_count": 0})
    assert {status(gateway, it) for it in ids} == {"cancelled"}
    assert status(gateway, other) == "queued"
    assert give(gateway, "cancel", {**meant, "dry_run": True}).body["count"] == 0
    assert give(gateway, "cancel", {**meant, "status": "cancelled", "expect": 0}).body["done"] == 0


def test_all_that_failed_are_sent_again_and_what_still_cannot_is_told(
    gateway: Process, scene: Stage, correcting: Any
) -> None:
    good, bad = (
        gateway.post(order(f"ord-resend-{name}", scene.phones["error:-118"], time=time)).message["tracking_id"]
        for name, time in (("good", "2026-11-23T08:00:00Z"), ("bad", "2026-11-23"))
    )
    since = gateway.message(good)["accepted_at"]
    correcting(
        "order.paid",
        ("{{ data.customer.phone }}", scene.phones["delivered"]),
        ("{{ data.paid_at | default(time) ", '{{ (data.paid_at if time == "2026-11-23" else time) '),
    )
    meant = {"type": "order.paid", "status": "failed", "since": since}
    answer = give(gateway, "resend", {**meant, "expect": 2})
    assert (answer.status, answer.body["done"], answer.body["refused_count"]) == (202, 1, 1)
    (refused,) = answer.body["refused"]
    assert (refused["tracking_id"], refused["code"]) == (bad, "mapping-failed")
    delivered(gateway, good)
    assert status(gateway, bad) == "failed"


# -- from a shell --


def test_a_shell_cancels_one_and_many_beside_the_running_gateway(gateway: Process, scene: Stage) -> None:
    ids = [queued(gateway, f"shell-{number}", "order.shell") for number in range(4)]
    one = scene.command("messages", "cancel", ids[0], "--note", "asked by the shop", "--json")
    assert (one.returncode, json.loads(one.stdout)["status"]) == (0, "cancelled"), one.stderr
    cause = gateway.message(ids[0])["timeline"][-1]["cause"]
    assert cause == f"by shell:{getpass.getuser()}: asked by the shop"
    again = scene.command("messages", "cancel", ids[0])
    assert (again.returncode, again.stdout) == (2, b"")
    assert b"cancelled does not allow cancel" in again.stderr

    meant = ("messages", "cancel", "--type", "order.shell")
    dry = scene.command(*meant, "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, b"3 messages\n"), dry.stderr
    unasked = scene.command(*meant)
    assert unasked.returncode == 2
    assert b"--expect 3" in unasked.stderr
    wrong = scene.command(*meant, "--expect", "2")
    assert wrong.returncode == 2
    assert {status(gateway, it) for it in ids[1:]} == {"queued"}
    done = scene.command(*meant, "--expect", "3", "--json")
    assert (done.returncode, json.loads(done.stdout)["done"]) == (0, 3), done.stderr
    assert {status(gateway, it) for it in ids} == {"cancelled"}


def test_a_terminal_is_asked_before_many_are_touched(gateway: Process, scene: Stage) -> None:
    ids = [queued(gateway, f"asked-{number}", "order.shell") for number in range(2)]
    meant = ("messages", "cancel", "--type", "order.shell")
    code, said = answering(scene, b"n\n", *meant)
    assert (code, "Cancel 2 messages?" in said) == (2, True), said
    assert {status(gateway, it) for it in ids} == {"queued"}
    code, said = answering(scene, b"y\n", *meant)
    assert (code, "cancelled: 2 of 2 messages" in said) == (0, True), said
    assert {status(gateway, it) for it in ids} == {"cancelled"}


def test_a_shell_sends_again_and_says_that_the_customer_may_get_two(gateway: Process, scene: Stage) -> None:
    tracking_id = unknown(gateway, scene, "shell-unknown")
    code, said = answering(scene, b"n\n", "messages", "resend", tracking_id)
    assert (code, "may get a second message" in said) == (2, True), said
    assert status(gateway, tracking_id) == "unknown"
    assert scene.command("messages", "resend", tracking_id).returncode == 0
    delivered(gateway, tracking_id)
    assert len(scene.sent(tracking_id)) == 1


def test_a_shell_settles(gateway: Process, scene: Stage) -> None:
    tracking_id = unknown(gateway, scene, "shell-settle")
    done = scene.command("messages", "settle", tracking_id, "failed", "--note", "not in Zalo's console")
    assert (done.returncode, done.stdout.decode().split()[0]) == (0, "failed"), done.stderr
    assert status(gateway, tracking_id) == "failed"


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel",),
        ("resend", "--yes"),
        ("cancel", "abc", "--type", "order.paid"),
        ("cancel", "abc", "--dry-run"),
        ("settle", "abc", "gone"),
        ("cancel", "nothing"),
        ("cancel", "--status", "gone", "--yes"),
        ("cancel", "--since", "2026-11-24T02:00:00", "--yes"),
        ("cancel", "--type", "order.paid", "--note", "two\nlines", "--yes"),
    ],
)
def test_what_cannot_be_done_ends_with_two_and_a_line(gateway: Process, scene: Stage, arguments: Any) -> None:
    done = scene.command("messages", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr
    assert b"Traceback" not in done.stderr
