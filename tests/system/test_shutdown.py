"""SIGTERM: what is under way is finished and told, nothing new is promised, and the end comes within a stated time."""

import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from urllib.parse import urlsplit

import pytest

from tests.system.stage import KEYS, Process, Stage, eventually, order

pytestmark = pytest.mark.system

# Half a second for the tick, 5 s for clients that do not take their answer, and what the machine needs.
END_S = 8.0


def ended_within(gateway: Process, limit_s: float) -> int:
    """The exit code of a gateway that was asked to end and has done so in time."""
    begun = time.monotonic()
    code = gateway.stop()
    assert time.monotonic() - begun < limit_s
    return code


def test_an_idle_gateway_ends_at_once(stage: Stage) -> None:
    with stage.serving() as gateway:
        assert gateway.post(order("s-0")).status == 200
        assert ended_within(gateway, 3) == 0


def test_interrupting_it_is_as_good(stage: Stage) -> None:
    with stage.serving(has_grant=False) as gateway:
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(5) == 0


def test_fifty_sends_under_way_are_all_finished_and_answered(stage: Stage) -> None:
    stage.fault(at="send", do="delay", value=1.5, count=50)
    with stage.serving() as gateway, ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(gateway.post, order(f"s-{number}")) for number in range(50)]
        eventually(lambda: len(gateway.statuses()) == 50)
        assert ended_within(gateway, END_S) == 0
        answers = [one.result() for one in waiting]
    assert {answer.status for answer in answers} == {200}
    assert {answer.body["status"] for answer in answers} <= {"sent", "delivered"}


def test_while_it_drains_nothing_new_is_promised(stage: Stage) -> None:
    stage.fault(at="send", do="delay", value=2, count=1)
    with stage.serving() as gateway, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.post, order("s-slow"))
        eventually(lambda: "sending" in gateway.statuses().values())
        gateway.process.terminate()
        refused = eventually(lambda: (it := gateway.post(order("s-late"))).status == 503 and it)
        assert (refused.body["code"], refused.body["retryable"]) == ("not-accepted", True)
        assert int(refused.headers["retry-after"]) >= 1
        assert gateway.ask("GET", "/readyz").status == 503
        assert gateway.ask("GET", "/livez").status == 200
        assert waiting.result().status == 200
        assert gateway.process.wait(END_S) == 0
        with pytest.raises((OSError, HTTPException)):
            gateway.post(order("s-late"))
    with stage.serving(has_grant=False) as gateway:
        assert "s-late" not in {it["event"]["id"] for it in listed(gateway)}


def listed(gateway: Process) -> list[dict[str, dict[str, str]]]:
    items: list[dict[str, dict[str, str]]] = gateway.ask("GET", "/v1/messages", key=KEYS["platform"]).body["items"]
    return items


def test_what_waits_for_its_turn_is_told_as_queued_and_goes_on_after_the_next_start(stage: Stage) -> None:
    stage.write_config(delivery='retry_first = "3s"')
    stage.fault(at="send", do="error", value=-100, count=1)
    with stage.serving() as gateway, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.post, order("s-queued"))
        eventually(lambda: "queued" in gateway.statuses().values())
        assert ended_within(gateway, END_S) == 0
        answer = waiting.result()
    assert (answer.status, answer.body["status"], answer.body["reason"]) == (202, "queued", "retry")
    with stage.serving(has_grant=False) as gateway:
        eventually(lambda: gateway.message(answer.body["tracking_id"])["status"] in ("sent", "delivered"))


def half_a_head(connection: socket.socket) -> None:
    connection.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\n")


def half_a_body(connection: socket.socket) -> None:
    head = f"Host: x\r\nAuthorization: Bearer {KEYS['checkout']}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"POST /v1/events HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\n".encode() + b'{"id":')


def an_answer_not_taken(connection: socket.socket) -> None:
    head = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(head * 500)


@pytest.mark.parametrize("stuck", [half_a_head, half_a_body, an_answer_not_taken])
def test_a_client_that_is_stuck_holds_nothing_up(stage: Stage, stuck: Callable[[socket.socket], None]) -> None:
    with stage.serving(has_grant=False) as gateway:
        address = urlsplit(gateway.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            stuck(connection)
            assert gateway.ask("GET", "/livez").status == 200
            assert ended_within(gateway, END_S) == 0
