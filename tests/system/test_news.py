"""What Zalo's webhook tells beside receipts: stored before it is answered, once however often it is said, and passed on."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.system.receiver import Receiver, call_back, receiving
from tests.system.stage import KEYS, Answer, Process, Stage, eventually, problem

pytestmark = pytest.mark.system

PATH = "/webhooks/zalo/main"
TEMPLATE = "7895417a7d3f9461cd2e"
NOW_MS = 1795422305077
AT = "2026-11-23T08:25:05.077000Z"
CANARY = "news-canary-of-the-customer"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as it:
        yield it


@pytest.fixture(scope="module")
def gateway(scene: Stage, receiver: Receiver) -> Iterator[Process]:
    """A gateway that tells an operator, and a sender, which is not told of accounts."""
    for caller in ("platform", "checkout"):
        call_back(scene, caller, receiver.url(caller))
    with scene.serving() as process:
        # Nothing comes by itself: these tests are Zalo.
        scene.simulator.ask("POST", "/__sim/webhook", {"url": None})
        yield process


def said(name: str, at: int = NOW_MS, **members: Any) -> bytes:
    """The body of an event, told at that moment."""
    return json.dumps({"event_name": name, **members, "timestamp": str(at)}, ensure_ascii=False).encode()


def status(after: str = "REJECT", template_id: str = TEMPLATE, at: int = NOW_MS) -> bytes:
    change = {"prev_status": "PENDING_REVIEW", "new_status": after}
    return said("change_template_status", at, template_id=template_id, status=change, reason="Nội dung không rõ")


def quality(after: str = "LOW", at: int = NOW_MS) -> bytes:
    return said("change_template_quality", at, template_id=TEMPLATE, quality=after)


def quota(after: int = 2000, at: int = NOW_MS) -> bytes:
    return said("change_oa_daily_quota", at, oaId="1", quota={"prev_value": 1000, "new_value": after})


def feedback(msg_id: str = "7e4c33cfc20b05575c18") -> bytes:
    about = {"rating_type": "csat", "option": "five_emotions", "note": CANARY, "rate": 5, "feedbacks": ["Nhanh"]}
    more = {"submit_time": str(NOW_MS), "msg_id": msg_id, "tracking_id": "1956"}
    return said("user_feedback", message=about | more)


def mac(scene: Stage, body: bytes, **other: str) -> str:
    """The header that Zalo would send, or one made of something else."""
    it = {**scene.credentials, "timestamp": str(json.loads(body)["timestamp"])} | other
    signed = it["app_id"].encode() + body + it["timestamp"].encode() + it["oa_secret"].encode()
    return f"mac={hashlib.sha256(signed).hexdigest()}"


def tell(gateway: Process, scene: Stage, body: bytes) -> None:
    """Zalo has told it, and been answered that it is stored."""
    answer: Answer = gateway.ask("POST", PATH, body, X_ZEvent_Signature=mac(scene, body), X_ZEvent_Server="ZNS")
    assert answer.status == 200


def news(gateway: Process) -> list[Any]:
    """What `/v1/accounts` shows of it, the latest first."""
    listed: list[Any] = gateway.ask("GET", "/v1/accounts", key=KEYS["platform"]).body["items"][0]["news"]
    return listed


def forwarded(receiver: Receiver, kind: str) -> list[Any]:
    """What operators were told, once for each id."""
    return list({it.id: it.said for it in receiver.calls("platform", kind=kind)}.values())


def count(gateway: Process, name: str, **labels: str) -> float:
    """The metric of the account with these labels; 0 if it is not there."""
    given = ",".join(f'{label}="{value}"' for label, value in {"account": "main", **labels}.items())
    found = re.search(
        rf"^zns_gateway_{name}_total{{{given}}} (\S+)$", gateway.ask("GET", "/metrics").body, re.MULTILINE
    )
    return 0.0 if found is None else float(found[1])


def logged(scene: Stage, kind: str) -> list[Any]:
    lines = []
    for line in (scene.folder / "gateway.log").read_text().splitlines():
        with suppress(ValueError):
            lines.append(json.loads(line))
    return [it for it in lines if it["event"] == "news" and it["kind"] == kind]


CHANGES: dict[str, tuple[bytes, str, dict[str, Any], dict[str, Any]]] = {
    "template-status": (
        status(),
        "template.changed",
        {"subject": TEMPLATE, "before": "PENDING_REVIEW", "after": "REJECT", "note": "Nội dung không rõ"},
        {
            "template_id": TEMPLATE,
            "what": "status",
            "before": "PENDING_REVIEW",
            "after": "REJECT",
            "reason": "Nội dung không rõ",
        },
    ),
    "template-quality": (
        quality(),
        "template.changed",
        {"subject": TEMPLATE, "before": None, "after": "LOW", "note": ""},
        {"template_id": TEMPLATE, "what": "quality", "before": None, "after": "LOW", "reason": ""},
    ),
    "quota": (
        quota(),
        "quota.changed",
        {"subject": "", "before": "1000", "after": "2000", "note": ""},
        {"before": 1000, "after": 2000},
    ),
    "feedback": (
        feedback(),
        "feedback.received",
        {"subject": "7e4c33cfc20b05575c18", "before": None, "after": "5", "note": ""},
        {"msg_id": "7e4c33cfc20b05575c18", "tracking_id": "1956", "rate": 5, "note": f"{CANARY}\nNhanh"},
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_zalo_tells_is_shown_counted_logged_and_passed_on_once_however_often_it_is_said(
    gateway: Process, scene: Stage, receiver: Receiver, kind: str
) -> None:
    body, callback, shown, data = CHANGES[kind]
    for _ in range(3):
        tell(gateway, scene, body)
    assert [it for it in news(gateway) if it["kind"] == kind] == [{"at": AT, "kind": kind, **shown}]
    whole = {"type": callback, "timestamp": AT, "data": {"account": "main", **data}}
    eventually(lambda: whole in forwarded(receiver, callback))
    assert forwarded(receiver, callback).count(whole) == 1
    assert len({it.id for it in receiver.calls("platform", kind=callback)}) == len(forwarded(receiver, callback))
    assert receiver.calls("checkout") == [], "a sender is not told of accounts"
    assert count(gateway, "news", kind=kind) == 1
    assert len(logged(scene, kind)) == 1
    assert CANARY not in (scene.folder / "gateway.log").read_text()


def test_what_is_said_later_is_something_new(gateway: Process, scene: Stage) -> None:
    for at in (NOW_MS + 1, NOW_MS + 2):
        tell(gateway, scene, quality("MEDIUM", at))
    assert [it["after"] for it in news(gateway)[:2]] == ["MEDIUM", "MEDIUM"]


def test_what_was_stored_is_still_there_after_a_kill_and_is_passed_on_once(
    stage: Stage, receiver: Receiver
) -> None:
    call_back(stage, "platform", receiver.url("platform"))
    body = quota(4321)
    stage.import_grant()
    gateway = stage.serve()
    try:
        tell(gateway, stage, body)
    finally:
        gateway.kill()
    with stage.serving(has_grant=False) as gateway:
        assert [it["after"] for it in news(gateway)] == ["4321"]
        tell(gateway, stage, body)
        assert len(news(gateway)) == 1
        eventually(lambda: 4321 in [it["data"]["after"] for it in forwarded(receiver, "quota.changed")])
        assert len([it for it in forwarded(receiver, "quota.changed") if it["data"]["after"] == 4321]) == 1


def test_a_changed_quota_is_asked_for_at_once(gateway: Process, scene: Stage) -> None:
    eventually(lambda: asked(scene))
    before = asked(scene)
    tell(gateway, scene, quota(3000))
    eventually(lambda: asked(scene) > before, patience_s=5)


def asked(scene: Stage) -> int:
    """How often Zalo was asked for the quota."""
    return sum(it["path"] == "/message/quota" for it in scene.ledger()["requests"])


def test_an_event_of_tomorrow_is_taken_and_kept_sealed(gateway: Process, scene: Stage, receiver: Receiver) -> None:
    before, others = news(gateway), count(gateway, "news", kind="other")
    body = said("oa_send_template", something={"new": f"{CANARY} {'x' * 200}", "phone": "84912345678"})
    for _ in range(2):
        tell(gateway, scene, body)
    assert count(gateway, "news", kind="other") == others + 1
    assert news(gateway) == before
    held = b"".join(path.read_bytes() for path in scene.folder.glob("gateway.db*") if path.is_file())
    assert scene.credentials["app_id"].encode() not in held, "the whole store is looked at"
    assert b"template-status" in held, "and what is not sealed is found"
    assert not [text for text in (CANARY, "84912345678", "Nội dung", "oa_send_template") if text.encode() in held]
    assert receiver.calls(about="oa_send_template") == []


def test_what_zalo_did_not_sign_is_refused_and_changes_nothing(gateway: Process, scene: Stage) -> None:
    body = status("DISABLE")
    forged = {
        "none": None,
        "no mac": "",
        "app secret": mac(scene, body, oa_secret=scene.credentials["app_secret"]),
        "oa_id first": mac(scene, body, app_id=scene.credentials["oa_id"]),
        "another time": mac(scene, body, timestamp="1795422305078"),
        "another body": mac(scene, status("ENABLE")),
        "no prefix": mac(scene, body).removeprefix("mac="),
    }
    before, counted = news(gateway), count(gateway, "webhooks", verdict="forged")
    for name, header in forged.items():
        given = {} if header is None else {"X_ZEvent_Signature": header}
        problem(gateway.ask("POST", PATH, body, **given), 401, "unauthenticated")
        assert news(gateway) == before, name
    assert count(gateway, "webhooks", verdict="forged") == counted + len(forged)
    tell(gateway, scene, body)
    assert news(gateway)[0]["after"] == "DISABLE", "rightly signed it would have changed something"


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_zalos_probe_is_answered_and_changes_nothing(gateway: Process, body: bytes) -> None:
    before, counted = news(gateway), count(gateway, "webhooks", verdict="probe")
    assert gateway.ask("POST", PATH, body).status == 200
    assert news(gateway) == before
    assert count(gateway, "webhooks", verdict="probe") == counted + 1


def test_of_very_much_the_latest_is_shown(gateway: Process, scene: Stage) -> None:
    for number in range(25):
        tell(gateway, scene, status(f"STATUS_{number}", at=NOW_MS + 100 + number))
    assert [it["after"] for it in news(gateway)] == [f"STATUS_{number}" for number in range(24, 4, -1)]
