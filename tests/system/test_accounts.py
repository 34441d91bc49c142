"""`/v1/accounts` from outside: how an account is, who may stop it, and that operators are told once, with the cure."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.receiver import Receiver, call_back, key_of, receiving
from tests.system.stage import KEYS, Answer, Process, Stage, eventually, order, problem

pytestmark = pytest.mark.system

PAUSED, RESUMED = "account.paused", "account.resumed"
ORDER_TEMPLATE = "7895417a7d3f9461cd2e"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as it:
        yield it


@pytest.fixture(scope="module")
def gateway(scene: Stage, receiver: Receiver) -> Iterator[Process]:
    """A gateway that tells operators, and has a second account which has never had a grant."""
    call_back(scene, "platform", receiver.url("platform"))
    with scene.config.open("a") as config:
        config.write('[accounts.second]\napp_id = "2"\napp_secret = "s"\n')
    with scene.serving() as process:
        yield process


def account(gateway: Process, name: str = "main") -> Any:
    items = gateway.ask("GET", "/v1/accounts", key=KEYS["platform"]).body["items"]
    return next(it for it in items if it["account"] == name)


def say(gateway: Process, word: str, body: Any = None, name: str = "main", caller: str = "platform") -> Answer:
    """The answer to `pause` or `resume`."""
    return gateway.ask("POST", f"/v1/accounts/{name}/{word}", body, key_of(caller))


def checks_of(gateway: Process) -> Any:
    return gateway.ask("GET", "/readyz?verbose").body["checks"]


def check_of(gateway: Process, name: str = "main") -> Any:
    return next(it for it in checks_of(gateway) if it["check"] == f"account {name}")


def told(receiver: Receiver, kind: str, path: str = "platform", name: str = "main") -> list[Any]:
    """What operators were told of the account, once for each id."""
    calls = {it.id: it.said for it in receiver.calls(path, kind=kind)}
    return [said["data"] for said in calls.values() if said["data"]["account"] == name]


def posted(gateway: Process, event_id: str, **changes: Any) -> Any:
    return gateway.post(order(f"accounts-{event_id}", **changes)).message


def now_sent(gateway: Process, message: Any) -> Any:
    """The message, once Zalo has taken it."""

    def look() -> Any:
        found = gateway.message(message["tracking_id"], "platform")
        return found if found["status"] in ("sent", "delivered") else None

    return eventually(look)


def test_operators_see_how_each_account_is(gateway: Process) -> None:
    posted(gateway, "shape")
    eventually(lambda: account(gateway)["token"]["has_worked"])
    main = account(gateway)
    assert main.keys() == {"account", "token", "quota", "queue", "paused", "held", "news"}
    assert (main["token"]["health"], main["token"]["generation"]) == ("working", 1)
    assert main["token"]["access_expires_at"] < main["token"]["refresh_expires_at"]
    assert main["quota"]["daily"] >= main["quota"]["remaining"] > 0
    assert main["queue"] == {"count": 0, "oldest": None, "urgent": 0, "normal": 0, "bulk": 0}
    assert (main["paused"], main["held"], main["news"]) == (None, [], [])


def test_an_account_without_a_grant_is_paused_with_the_command_that_cures_it(
    gateway: Process, receiver: Receiver
) -> None:
    second = account(gateway, "second")
    assert second["token"]["health"] == "missing"
    assert second["paused"]["reason"] == "credentials"
    assert second["paused"]["cure"].startswith("zns-gateway token import second")
    (data,) = eventually(lambda: told(receiver, PAUSED, name="second"))
    assert data["paused"] == {name: second["paused"][name] for name in ("reason", "since", "cause", "cure")}
    problem(say(gateway, "resume", name="second"), 409, "wrong-state")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/main/pause"), ("POST", "/main/resume")])
def test_accounts_are_for_operators(gateway: Process, method: str, path: str) -> None:
    body: Any = {} if method == "POST" else None
    problem(gateway.ask(method, f"/v1/accounts{path}", body, KEYS["checkout"]), 403, "forbidden")
    problem(gateway.ask(method, f"/v1/accounts{path}", body), 401, "unauthenticated")
    assert account(gateway)["paused"] is None


def test_a_paused_account_keeps_its_messages_until_it_is_resumed_and_operators_are_told_once_of_each(
    gateway: Process, receiver: Receiver
) -> None:
    answer = say(gateway, "pause", {"note": "complaints of 0912345678"})
    assert answer.status == 200
    paused = answer.body["paused"]
    assert (paused["reason"], paused["until"]) == ("operator", None)
    assert paused["cause"].startswith("by platform: complaints of ")
    assert "0912345678" not in paused["cause"]
    assert paused == account(gateway)["paused"] == say(gateway, "pause").body["paused"], "once is enough"
    assert check_of(gateway) == {
        "check": "account main",
        "status": "warning",
        "detail": f"operator: {paused['cause']}",
        "since": paused["since"],
        "cure": paused["cure"],
    }
    message = posted(gateway, "paused")
    assert (message["status"], message["reason"], message["attempts"]) == ("queued", "operator", 0)
    queue = account(gateway)["queue"]
    assert (queue["count"], queue["normal"], queue["oldest"]) == (1, 1, message["accepted_at"])
    (data,) = eventually(lambda: told(receiver, PAUSED))
    assert data["paused"] == {name: paused[name] for name in ("reason", "since", "cause", "cure")}
    eventually(lambda: 'account_paused{account="main",reason="operator"} 1.0' in metrics(gateway))

    method, path = paused["cure"].split()
    assert gateway.ask(method, path, key=KEYS["platform"]).body["paused"] is None, "the cure is what it says"
    assert now_sent(gateway, message)["attempts"] == 1
    (data,) = eventually(lambda: told(receiver, RESUMED))
    assert data == {"account": "main", "paused": None}
    assert len(told(receiver, PAUSED)) == 1
    assert check_of(gateway) == {"check": "account main", "status": "ok"}
    assert say(gateway, "resume").status == 200, "nothing is left to do"


def metrics(gateway: Process) -> str:
    return str(gateway.ask("GET", "/metrics").body)


@pytest.mark.parametrize("narrow", [{"template_id": ORDER_TEMPLATE}, {"type": "order.paid"}])
def test_a_pause_may_be_only_of_a_template_or_a_type(
    gateway: Process, receiver: Receiver, narrow: dict[str, str]
) -> None:
    before = len(told(receiver, PAUSED))
    answer = say(gateway, "pause", {**narrow, "note": "wrong text"})
    (held,) = answer.body["held"]
    assert answer.body["paused"] is None
    assert {name: held[name] for name in narrow} == narrow
    assert (held["reason"], held["cause"]) == ("operator", "by platform: wrong text")
    (kind, value), *_ = narrow.items()
    scope = kind.removesuffix("_id")
    warned = next(it for it in checks_of(gateway) if it["check"] == f"{scope} {value} of main")
    assert (warned["status"], warned["detail"]) == ("warning", "operator: by platform: wrong text")
    assert warned["cure"] == held["cure"]
    number = f'zns_gateway_holds{{account="main",reason="operator",scope="{scope}"}} 1.0'
    eventually(lambda: number in gateway.ask("GET", "/metrics").body)
    message = posted(gateway, f"narrow-{'-'.join(narrow)}")
    assert (message["status"], message["reason"]) == ("queued", "operator")
    other = gateway.post(otp(f"accounts-other-{'-'.join(narrow)}")).message
    assert other["status"] == "sent", "everything else goes on"
    assert say(gateway, "resume").body["held"] == [held], "what is narrower is not meant"
    assert say(gateway, "resume", narrow).body["held"] == []
    now_sent(gateway, message)
    assert len(told(receiver, PAUSED)) == before, "the account was not paused"


def otp(event_id: str) -> Any:
    return order(event_id, type="auth.otp", data={"phone": "0912345678", "otp": "123456"})


SLIPS: list[tuple[Any, str]] = [
    ({"type": "order.payd"}, "`order.paid`"),
    ({"template_id": ORDER_TEMPLATE[:-1]}, f"`{ORDER_TEMPLATE}`"),
    ({"type": "order.paid", "template_id": ORDER_TEMPLATE}, "not both"),
    ({"note": "x" * 201}, "note"),
    ({"note": "a\nb"}, "note"),
    ({"note": 1}, "note"),
    ({"types": "order.paid"}, "types"),
    ([], "object"),
    (b"{", "JSON"),
]


@pytest.mark.parametrize(("body", "what"), SLIPS)
def test_a_slip_pauses_nothing_and_is_told(gateway: Process, body: Any, what: str) -> None:
    told = problem(say(gateway, "pause", body), 400, "invalid-request")
    assert what in told["detail"]
    if isinstance(body, dict) and len(body) == 1:
        assert [fault["pointer"] for fault in told["errors"]] == [f"/{name}" for name in body]
    assert (account(gateway)["paused"], account(gateway)["held"]) == (None, [])


@pytest.mark.parametrize("word", ["pause", "resume"])
def test_an_account_that_nobody_knows_is_not_found_and_the_nearest_is_named(gateway: Process, word: str) -> None:
    assert "`main`" in problem(say(gateway, word, name="mian"), 404, "not-found")["detail"]


def test_a_pause_outlives_the_process_and_operators_are_told_of_it_once(stage: Stage, receiver: Receiver) -> None:
    call_back(stage, "platform", receiver.url("outliving"))
    with stage.serving() as gateway:
        say(gateway, "pause", {"note": "for the night"})
        message = posted(gateway, "outliving")
        eventually(lambda: told(receiver, PAUSED, "outliving"))
        before = account(gateway)["paused"]
    with stage.serving(has_grant=False) as gateway:
        assert account(gateway)["paused"] == before
        assert posted(gateway, "outliving")["reason"] == "operator"
        say(gateway, "resume")
        now_sent(gateway, message)
        eventually(lambda: told(receiver, RESUMED, "outliving"))
        assert len(told(receiver, PAUSED, "outliving")) == 1
    assert len(told(receiver, RESUMED, "outliving")) == 1


def test_the_command_that_is_printed_cures_a_dead_grant_and_everything_goes_on_by_itself(
    stage: Stage, receiver: Receiver
) -> None:
    call_back(stage, "platform", receiver.url("dead"))
    with stage.serving() as gateway:
        message = dead(stage, gateway)
        paused = account(gateway)["paused"]
        assert paused["reason"] == "credentials"
        assert account(gateway)["token"]["cure"] == check_of(gateway)["cure"] == paused["cure"]
        assert check_of(gateway)["detail"] == f"credentials: {paused['cause']}"
        (data,) = eventually(lambda: told(receiver, PAUSED, "dead"))
        assert data["paused"] == {name: paused[name] for name in ("reason", "since", "cause", "cure")}
        cure(stage, paused["cure"])
        now_sent(gateway, message)
        eventually(lambda: told(receiver, RESUMED, "dead"))
        assert account(gateway)["paused"] is None
        assert check_of(gateway)["status"] == "ok"
    assert (len(told(receiver, PAUSED, "dead")), len(told(receiver, RESUMED, "dead"))) == (1, 1)


def test_a_dead_grant_is_told_once_also_across_a_restart(stage: Stage, receiver: Receiver) -> None:
    call_back(stage, "platform", receiver.url("restarted"))
    with stage.serving() as gateway:
        message = dead(stage, gateway)
        eventually(lambda: told(receiver, PAUSED, "restarted"))
    with stage.serving(has_grant=False) as gateway:
        eventually(lambda: 'account_paused{account="main",reason="credentials"} 1.0' in metrics(gateway))
        assert told(receiver, RESUMED, "restarted") == []
        stage.import_grant()
        now_sent(gateway, message)
        eventually(lambda: told(receiver, RESUMED, "restarted"))
    assert (len(told(receiver, PAUSED, "restarted")), len(told(receiver, RESUMED, "restarted"))) == (1, 1)


def dead(stage: Stage, gateway: Process) -> Any:
    """A message that waits, since Zalo takes neither token of the account any more."""
    stage.simulator.ask("POST", "/__sim/expire", {"what": "all"})
    message = posted(gateway, stage.folder.name)
    assert (message["status"], message["reason"]) == ("queued", "credentials")
    return message


def cure(stage: Stage, command: str) -> None:
    """The command has been run as it is printed, by somebody who has the file that it names."""
    grant = stage.simulator.ask("GET", "/__sim/credentials").body["grant"]
    (stage.folder / "grant.json").write_text(json.dumps(grant))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GATEWAY_CONFIG": str(stage.config)}
    done = subprocess.run(
        command, shell=True, cwd=stage.folder, env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
