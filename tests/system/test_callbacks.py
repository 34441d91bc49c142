"""Callbacks between real processes: who asked to be told is told, in time, and nobody waits for another."""

import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.system.receiver import Call, Receiver, Reply, call_back, is_signed, key_of, receiving, secret
from tests.system.stage import ROOT, Answer, Process, Stage, eventually, order, problem

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("begun")]

SECRETS = secret("the newer one"), secret("the older one")
FIRST_RETRY_S = 10.0
ASKED_S = 9
TOLD = {"sent", "delivered", "undelivered", "failed", "unknown", "expired", "cancelled"}
ORDER_PAID = (ROOT / "config" / "mappings" / "order.paid.toml").read_text()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as it:
        yield it


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, simulator: Process, receiver: Receiver) -> Stage:
    """Callers of many kinds, and mappings whose messages end in every way."""
    folder = tmp_path_factory.mktemp("callbacks")
    for name in ("mappings", "templates"):
        shutil.copytree(ROOT / "config" / name, folder / name)
    for name, line in (
        ("later", "not_before = '{{ \"2090-01-01T00:00:00Z\" }}'"),
        ("brief", 'expires_after = "2s"'),
    ):
        (folder / "mappings" / f"order.{name}.toml").write_text(f"{line}\n{ORDER_PAID}")
    snapshot = folder / "templates" / "310005.json"
    text = snapshot.read_text()
    assert '"timeout": 7200000' in text
    snapshot.write_text(text.replace('"timeout": 7200000', '"timeout": 1000'))
    stage = Stage(folder, simulator)
    stage.write_config(delivery='receipt_grace = "0s"')
    call_back(stage, "checkout", receiver.url("checkout"), *SECRETS)
    for caller in ("billing", "flaky", "gone", "hanging", "platform"):
        call_back(stage, caller, receiver.url(caller))
    call_back(stage, "dead", f"http://127.0.0.1:{closed_port()}/")
    return stage


def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def gateway(scene: Stage, receiver: Receiver) -> Iterator[Process]:
    with scene.serving() as process:
        yield process
        receiver.release()


@pytest.fixture(scope="module")
def begun(gateway: Process, scene: Stage, receiver: Receiver) -> dict[str, str]:
    """What takes its time, under way while the other tests go on: the tracking_ids by the name of the first answer."""
    first = {
        "busy": Reply(503),
        "asks": Reply(429, {"retry-after": str(ASKED_S)}),
        "moved": Reply(302, {"location": receiver.url("elsewhere")}),
    }
    receiver.rules["flaky"] = lambda call, number: first[name_of(call)] if number == 1 else Reply()
    receiver.rules["gone"] = lambda *_: Reply(410)
    receiver.rules["hanging"] = lambda *_: Reply(hangs=True)
    found = {name: post(gateway, silent(scene, name), "flaky") for name in first}
    return found | {"gone": post(gateway, silent(scene, "gone"), "gone")}


def name_of(call: Call) -> str:
    """The name of the event that a callback is about."""
    return str(call.said["data"]["event"]["id"]).removeprefix("callback-")


def silent(scene: Stage, name: str) -> dict[str, Any]:
    """An order that is sent, of which nothing is heard after that."""
    return order(f"callback-{name}", scene.phones["never"])


def bill(name: str, phone: str) -> dict[str, Any]:
    customer = {"id": "KH-1", "name": "An", "phone": phone, "address": "45 Lê Lợi"}
    data = {
        "period": 1,
        "from": "2020-04-01",
        "to": "2020-04-30",
        "volume_m3": 2,
        "total": 3,
        "customer": customer,
    }
    return order(f"callback-{name}", type="bill.issued", data=data)


def post(gateway: Process, event: Any, caller: str = "checkout") -> str:
    """The tracking_id of the event's message."""
    answer = gateway.ask("POST", "/v1/events", event, key_of(caller))
    return str(answer.message["tracking_id"])


def replay(gateway: Process, body: Any, caller: str = "checkout") -> Answer:
    return gateway.ask("POST", "/v1/callbacks/replay", body, key_of(caller))


def check_of(gateway: Process, caller: str) -> Any:
    checks = gateway.ask("GET", "/readyz?verbose").body["checks"]
    return next((it for it in checks if it["check"] == f"callbacks to {caller}"), None)


def number(gateway: Process, name: str) -> float:
    """The metric of this name and labels, as it is written; 0 if it is not there."""
    lines = str(gateway.ask("GET", "/metrics").body).splitlines()
    return sum(float(it.split()[-1]) for it in lines if it.startswith(f"zns_gateway_{name} "))


# -- what is told --


def endings(scene: Stage) -> dict[str, Any]:
    """An event for each way in which a message can end, and who posts it."""
    phones = scene.phones
    return {
        "delivered": (order("callback-delivered", phones["delivered"]), "checkout"),
        "failed": (order("callback-failed", phones["error:-118"]), "checkout"),
        "unknown": (order("callback-unknown", phones["html"]), "checkout"),
        "expired": (order("callback-expired", phones["error:-133"], type="order.brief"), "checkout"),
        "cancelled": (order("callback-cancelled", type="order.later"), "checkout"),
        "undelivered": (bill("undelivered", phones["never"]), "billing"),
    }


def test_a_caller_is_told_each_status_as_the_gateway_tells_it_itself(
    gateway: Process, scene: Stage, receiver: Receiver
) -> None:
    posted = {status: (post(gateway, *about), about[1]) for status, about in endings(scene).items()}
    gateway.ask("POST", f"/v1/messages/{posted['cancelled'][0]}/cancel", {}, key_of("platform"))
    for status, (tracking_id, caller) in posted.items():
        said = receiver.first(caller, tracking_id, status).said
        message = gateway.message(tracking_id, "platform")
        del message["timeline"]
        assert message["status"] == status
        assert said == {"type": f"message.{status}", "timestamp": message["updated_at"], "data": message}
    before = {status: set(receiver.told(caller, id_)) for status, (id_, caller) in posted.items()}
    assert before["delivered"] == {"message.sent", "message.delivered"}
    assert before["undelivered"] == {"message.sent", "message.undelivered"}
    assert before["cancelled"] == {"message.cancelled"}


def test_a_callback_is_signed_by_both_secrets_as_the_specification_says(
    gateway: Process, scene: Stage, receiver: Receiver
) -> None:
    call = receiver.first("checkout", post(gateway, silent(scene, "signed")))
    assert abs(int(call.headers["webhook-timestamp"]) - time.time()) < 60
    assert call.headers["content-type"] == "application/json"
    assert all(is_signed(call, one) for one in SECRETS)
    assert not is_signed(call, secret("another one"))
    assert len(call.headers["webhook-signature"].split(" ")) == 2
    assert not set(call.id) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_each_status_of_a_message_has_an_id_of_its_own(gateway: Process, scene: Stage, receiver: Receiver) -> None:
    tracking_id = post(gateway, order("callback-ids", scene.phones["delivered"]))
    ids = {receiver.first("checkout", tracking_id, status).id for status in ("sent", "delivered")}
    assert len(ids) == 2


def test_a_caller_that_did_not_ask_is_told_nothing(gateway: Process, scene: Stage, receiver: Receiver) -> None:
    answer = gateway.post(bill("unasked", scene.phones["delivered"]), "other")
    assert answer.body["status"] == "sent"
    receiver.first("checkout", post(gateway, silent(scene, "asked")))
    assert receiver.calls(about=answer.body["tracking_id"]) == []
    ever = {"caller": "other", "since": answer.body["accepted_at"], "until": "2090-01-01T00:00:00Z"}
    assert replay(gateway, ever, "platform").body == {"count": 0}, "there is nothing to tell"


# -- who does not take it --


def test_nobody_waits_for_a_caller_that_is_dead_or_never_answers(
    gateway: Process, scene: Stage, receiver: Receiver
) -> None:
    before = waits(gateway, scene, receiver, "before")
    for count in range(12):
        for caller in ("dead", "hanging"):
            post(gateway, silent(scene, f"{caller}-{count}"), caller)
    eventually(
        lambda: len(receiver.calls("hanging")) >= 8 and number(gateway, 'callback_backlog{caller="dead"}') == 12
    )
    meanwhile = waits(gateway, scene, receiver, "meanwhile")
    assert number(gateway, 'callback_backlog{caller="hanging"}') == 12, "they wait all the time"
    # Whoever waited for the hanging one would wait for 10 s: 20 times as long for a callback, 500 times for the rest.
    ratios = [after / first for after, first in zip(meanwhile, before, strict=True)]
    assert all(ratio < most for ratio, most in zip(ratios, (5, 50, 50), strict=True)), (before, meanwhile)


def waits(gateway: Process, scene: Stage, receiver: Receiver, name: str) -> list[float]:
    """How long one waits in all for callbacks, for sends, and for signs of life."""
    callbacks, sends, lives = [], [], []
    for count in range(4):
        sends.append(lasting(lambda count=count: post(gateway, silent(scene, f"{name}-{count}"))))  # type: ignore[misc]
        answered = time.monotonic()
        lives += [lasting(lambda: gateway.ask("GET", "/livez")) for _ in range(5)]
        call = eventually(lambda count=count: about(receiver, f"callback-{name}-{count}"))  # type: ignore[misc]
        callbacks.append(max(0.0, call.at - answered))
    return [sum(it) for it in (callbacks, sends, lives)]


def about(receiver: Receiver, event_id: str) -> Call | None:
    return next(iter(receiver.calls("checkout", about=f'"{event_id}"')), None)


def lasting(step: Callable[[], Any]) -> float:
    begun = time.monotonic()
    step()
    return time.monotonic() - begun


def test_what_answers_410_is_left_alone_until_a_reload(
    gateway: Process, scene: Stage, receiver: Receiver, begun: dict[str, str]
) -> None:
    first = receiver.first("gone", begun["gone"])
    check = eventually(lambda: check_of(gateway, "gone"))
    assert (check["status"], gateway.ask("GET", "/readyz").status) == ("warning", 200)
    assert "410" in check["detail"]
    assert "kill -HUP" in check["cure"]
    eventually(lambda: number(gateway, 'callback_endpoint_disabled{caller="gone"}') == 1)
    assert number(gateway, 'callbacks_total{caller="gone",outcome="gone"}') == 1
    later = post(gateway, silent(scene, "gone-later"), "gone")
    receiver.first("checkout", post(gateway, silent(scene, "not-gone")))
    assert len(receiver.calls("gone")) == 1

    del receiver.rules["gone"]
    gateway.process.send_signal(signal.SIGHUP)
    receiver.first("gone", later)
    eventually(lambda: [it.id for it in receiver.calls("gone")].count(first.id) == 2)
    assert check_of(gateway, "gone") is None
    eventually(lambda: number(gateway, 'callback_endpoint_disabled{caller="gone"}') == 0)


def test_what_is_not_taken_is_told_again_soon_with_the_same_id_and_bytes_and_no_redirect_is_followed(
    receiver: Receiver, begun: dict[str, str]
) -> None:
    for name in ("busy", "moved", "asks"):
        first, second = eventually(lambda: both(receiver, begun[name]))  # noqa: B023 - called before the next turn
        assert (first.id, first.body) == (second.id, second.body)
        assert is_signed(second, secret("flaky"))
        assert second.headers["webhook-timestamp"] > first.headers["webhook-timestamp"]
        longest = FIRST_RETRY_S + (ASKED_S if name == "asks" else 0)
        assert (ASKED_S if name == "asks" else 0) <= second.at - first.at + 0.1 <= longest, name
    assert receiver.calls("elsewhere") == []


def both(receiver: Receiver, tracking_id: str) -> list[Call]:
    calls = receiver.calls("flaky", about=tracking_id)
    return calls if len(calls) == 2 else []


# -- what is asked for again --


def test_a_caller_replays_its_own_callbacks_by_id(gateway: Process, scene: Stage, receiver: Receiver) -> None:
    first = receiver.first("checkout", post(gateway, silent(scene, "replay")))
    assert replay(gateway, {"ids": [first.id]}, "billing").body == {"count": 0}
    answer = replay(gateway, {"ids": [first.id, first.id, "no-such-id"]})
    assert (answer.status, answer.body) == (202, {"count": 1})
    again = eventually(lambda: [it for it in receiver.calls() if it.id == first.id][1:])
    assert [(it.path, it.body) for it in again] == [("checkout", first.body)]
    assert all(is_signed(again[0], one) for one in SECRETS)


def test_a_caller_replays_its_own_callbacks_of_a_time(gateway: Process, scene: Stage, receiver: Receiver) -> None:
    ids = []
    for name in ("early", "wanted", "late"):
        tracking_id = post(gateway, silent(scene, f"time-{name}"), "billing")
        receiver.first("billing", tracking_id)
        ids.append(tracking_id)
    early, wanted, late = (gateway.message(id_, "platform")["accepted_at"] for id_ in ids)
    span = {"since": wanted, "until": late}
    assert replay(gateway, span, "checkout").body["count"] == 0
    assert replay(gateway, {**span, "caller": "billing"}, "platform").body["count"] == 1
    eventually(lambda: len(receiver.calls("billing", about=ids[1])) == 2)
    zoned = datetime.fromisoformat(early).astimezone().isoformat()
    assert replay(gateway, {"since": zoned, "until": late}, "billing").body["count"] == 2
    eventually(lambda: [len(receiver.calls("billing", about=id_)) for id_ in ids] == [2, 3, 1])


NOW = datetime.now(UTC).isoformat()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        b"{",
        {"ids": []},
        {"ids": [1]},
        {"ids": "x"},
        {"ids": ["x"] * 1001},
        {"ids": ["x"], "since": NOW, "until": NOW},
        {"since": NOW},
        {"until": NOW},
        {"since": NOW, "until": NOW},
        {"since": "yesterday", "until": NOW},
        {"since": "2026-11-23T08:00:00", "until": "2026-11-23T09:00:00"},
        {"since": "0001-01-01T00:00:00+14:00", "until": NOW},
        {"ids": ["x"], "what": 1},
    ],
)
def test_what_does_not_say_which_callbacks_is_refused(gateway: Process, body: Any) -> None:
    problem(replay(gateway, body), 400, "invalid-request")


def test_what_belongs_to_others_is_not_replayed(gateway: Process) -> None:
    problem(replay(gateway, {"ids": ["x"], "caller": "billing"}), 403, "forbidden")
    problem(gateway.ask("POST", "/v1/callbacks/replay", {"ids": ["x"]}), 401, "unauthenticated")


def test_the_feed_tells_the_same(gateway: Process, receiver: Receiver) -> None:
    eventually(lambda: last_told(receiver, "checkout") == last_fed(gateway, "checkout"))
    assert set(last_told(receiver, "checkout").values()) >= {"sent", "delivered", "failed", "cancelled"}


def last_told(receiver: Receiver, caller: str) -> dict[str, str]:
    """The last status of each message by the callbacks, whatever their order."""
    data = sorted((it.said["data"] for it in receiver.calls(caller)), key=lambda it: str(it["updated_at"]))
    return {it["tracking_id"]: it["status"] for it in data}


def last_fed(gateway: Process, caller: str) -> dict[str, str]:
    """The last status of each message by the feed, where it is one that is told."""
    since = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found: dict[str, str] = {}
    cursor = ""
    while True:
        path = f"/v1/messages?updated_after={since}&limit=7{cursor}"
        page = gateway.ask("GET", path, key=key_of(caller)).body
        if not page["items"]:
            return {id_: status for id_, status in found.items() if status in TOLD}
        found.update({it["tracking_id"]: it["status"] for it in page["items"]})
        cursor = f"&cursor={page['next_cursor']}"


def test_no_output_shows_a_secret_or_a_whole_number(gateway: Process, scene: Stage, receiver: Receiver) -> None:
    outputs = {"log": (scene.folder / "gateway.log").read_bytes()}
    outputs |= {f"callback {it.id}": it.body + repr(it.headers).encode() for it in receiver.calls()}
    for path in ("/readyz?verbose", "/metrics", "/v1/accounts", "/v1/messages?limit=1000"):
        outputs[path] = repr(gateway.ask("GET", path, key=key_of("platform"))).encode()
    wanted = [scene.phones[name][-9:] for name in ("never", "delivered", "error:-118")] + ["912345678"]
    wanted += [it.removeprefix("whsec_")[:30] for it in (*SECRETS, secret("flaky"))]
    found = [(where, it) for where, text in outputs.items() for it in wanted if it.encode() in text]
    assert found == []
