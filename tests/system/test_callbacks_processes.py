"""Callbacks across the deaths of processes, beside one another, and before any has started."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.receiver import Receiver, call_back, receiving, secret
from tests.system.stage import Process, Stage, eventually, order

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as it:
        yield it


def sent(gateway: Process, stage: Stage, name: str) -> str:
    """The tracking_id of an order that Zalo took, and of which nothing is heard after that."""
    return str(gateway.post(order(f"callback-{name}", stage.phones["never"])).message["tracking_id"])


def test_what_a_killed_gateway_had_not_told_is_told_by_the_next(stage: Stage, receiver: Receiver) -> None:
    call_back(stage, "checkout", receiver.url("killed"))
    stage.import_grant()
    for turn in range(10):
        gateway = stage.serve()
        try:
            tracking_id = sent(gateway, stage, f"killed-{turn}")
        finally:
            gateway.kill()
        if not receiver.calls("killed", about=tracking_id):
            break
    else:
        pytest.fail("it always tells before it can be killed")
    with stage.serving(has_grant=False):
        assert receiver.first("killed", tracking_id).said["data"]["status"] == "sent"


def test_two_gateways_on_one_store_tell_everything_under_one_id_each(stage: Stage, receiver: Receiver) -> None:
    call_back(stage, "checkout", receiver.url("twins"))
    with stage.serving() as one, stage.serving(has_grant=False) as other, ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda count: sent((one, other)[count % 2], stage, f"twins-{count}"), range(40)))
        eventually(lambda: {it.said["data"]["tracking_id"] for it in receiver.calls("twins")} == set(ids))
        assert len({it.id for it in receiver.calls("twins")}) == len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("url", "secrets", "what"),
    [
        ("ftp://callback-canary/", [secret("x")], "callback.url is no URL"),
        ("http://who:callback-canary@x/", [secret("x")], "a user name or a password"),
        ("http://x/", ["whsec_callback-canary"], "callback.secrets holds what is not whsec_"),
    ],
)
def test_the_check_finds_what_could_not_be_called(stage: Stage, url: str, secrets: list[str], what: str) -> None:
    call_back(stage, "extra", url, *secrets)
    lines = stage.config.read_text().splitlines()
    line = 1 + next(count for count, text in enumerate(lines) if text.startswith("callback = "))
    done = stage.command_here("check")
    said = " ".join((done.stdout + done.stderr).decode().split())
    assert done.returncode == 1
    assert f"gateway.toml:{line}: " in said
    assert what in said
    assert "canary" not in said
