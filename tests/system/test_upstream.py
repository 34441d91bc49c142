"""Zalo answers 502, for an hour: what that costs, and what happens after it."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest

from gateway.core.delivery import Reason
from tests.system.commands import edited
from tests.system.stage import KEYS, Process, Stage, eventually, order

pytestmark = pytest.mark.system

PAUSE_AFTER: Final = 5
OUTAGE: Final = 100


def messages(gateway: Process) -> list[Any]:
    return list(gateway.ask("GET", "/v1/messages?limit=1000", key=KEYS["platform"]).body["items"])


def is_over(gateway: Process, *statuses: str) -> bool:
    """True once every message has one of these."""
    return {it["status"] for it in messages(gateway)} <= set(statuses)


def test_an_outage_costs_a_handful_of_unknown_messages_and_all_others_go_out_after_it(stage: Stage) -> None:
    """Those that made it noticed, and one a probe, since a send is all that goes wrong here; each other is sent once."""
    stage.write_config(delivery=f'probe_every = "1s"\npause_after_uncertain = {PAUSE_AFTER}')
    with stage.serving() as gateway:
        stage.fault(at="send", do="html")
        begun = time.monotonic()
        for number in range(OUTAGE):
            answer = gateway.post(order(f"outage-{number}"))
            assert (answer.status, answer.body["status"]) == (202, "unknown" if number < PAUSE_AFTER else "queued")
        eventually(lambda: sum(it["status"] == "unknown" for it in messages(gateway)) > PAUSE_AFTER)
        eventually(lambda: is_over(gateway, "unknown", "queued"))
        during = Counter((it["status"], it["reason"]) for it in messages(gateway))
        assert during["unknown", None] <= PAUSE_AFTER + 1 + (time.monotonic() - begun)
        assert during["queued", Reason.UPSTREAM] == OUTAGE - during["unknown", None]

        stage.simulator.ask("DELETE", "/__sim/faults")
        eventually(lambda: is_over(gateway, "unknown", "delivered"))
        after = Counter(it["status"] for it in messages(gateway))
        assert after["unknown"] <= during["unknown", None] + 1
        taken = Counter(it["tracking_id"] for it in stage.ledger()["messages"])
        statuses = gateway.statuses()
        assert {it: taken[it] for it in statuses} == {it: int(has == "delivered") for it, has in statuses.items()}


@contextmanager
def zalo_that_is_out(stage: Stage) -> Iterator[Counter[str]]:
    """Every call of Zalo's is answered with 502, however often it is tried; how often each path was."""
    tried: Counter[str] = Counter()

    class Zalo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tried[self.path] += 1
            self.send_error(502)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Zalo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        edited(stage.config, (f'api_url = "{stage.simulator.url}"', f'api_url = "{url}"'))
        try:
            yield tried
        finally:
            server.shutdown()
            thread.join()


def test_while_nothing_of_zalos_answers_no_message_is_tried_to_find_out(stage: Stage) -> None:
    """However long it lasts, it costs only what made it noticed: another call is tried, which sends nothing."""
    stage.write_config(delivery=f'probe_every = "100ms"\npause_after_uncertain = {PAUSE_AFTER}')
    with zalo_that_is_out(stage) as tried, stage.serving() as gateway:
        for number in range(PAUSE_AFTER * 2):
            gateway.post(order(f"all-out-{number}"))
        asked = tried["/message/quota"]
        eventually(lambda: tried["/message/quota"] > asked + 3)
        assert tried["/message/template"] == PAUSE_AFTER
        assert Counter(gateway.statuses().values()) == {"unknown": PAUSE_AFTER, "queued": PAUSE_AFTER}
