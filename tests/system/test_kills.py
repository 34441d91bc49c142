"""Killed without warning, again and again, under load: nothing is lost, sent twice or stuck."""

import random
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.system.stage import Process, Speaker, Stage, eventually, order

pytestmark = pytest.mark.system

KILLS = 30
CALLERS = 8
PAUSE_S = 0.01
LONGEST_LIFE_S = 0.4


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Process]:
    """One of its own: its clock runs fast in the end, and what it knows at most is little."""
    process = Process(["simulator", "--port", "0"], tmp_path / "simulator.log")
    yield process
    process.stop()


class Callers:
    """Posts events from several threads, each again until it is answered; remembers what callers were told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: dict[str, Any] = {}
        self._is_on = True
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_on = False
        for thread in self._threads:
            thread.join()

    def _post(self, number: int) -> None:
        count = 0
        while self._is_on:
            count += 1
            event_id = f"kill-{number}-{count}"
            self.told[event_id] = self._until_told(event_id)

    def _until_told(self, event_id: str) -> Any:
        """The Message that the caller was told of, however many gateways that took; None when the test ended."""
        while self._is_on:
            try:
                answer = Speaker(self.url).post(order(event_id))
            except (OSError, HTTPException):
                time.sleep(PAUSE_S)
                continue
            if answer.status in (200, 202):
                return answer.body
            assert answer.status == 503, answer
        return None


def test_thirty_kills_under_load_lose_nothing_and_send_nothing_twice(stage: Stage) -> None:
    chances = random.Random(7)
    stage.write_config(zalo='connect_timeout = "1s"\nread_timeout = "2s"')
    stage.import_grant()
    gateway = stage.serve()
    callers = Callers(gateway.url)
    for _ in range(KILLS):
        before = len(callers.told)
        eventually(lambda before=before: len(callers.told) > before + 5)  # type: ignore[misc]
        time.sleep(chances.random() * LONGEST_LIFE_S)
        gateway.kill()
        gateway = stage.serve()
        callers.url = gateway.url
    eventually(lambda: len(callers.told) > KILLS * 6)
    callers.stop()
    told = {event_id: message for event_id, message in callers.told.items() if message is not None}

    eventually(lambda: not {"queued", "sending"} & set(gateway.statuses().values()), 30)
    messages = stage.ledger()["messages"]
    taken = {message["tracking_id"] for message in messages}
    assert len(taken) == len(messages), "Zalo took a message twice"
    # Receipts that nobody was there for come again; then what Zalo took is delivered, and the rest never left.
    stage.simulator.ask("POST", "/__sim/clock", {"scale": 100})
    ids = {message["tracking_id"] for message in told.values()}
    eventually(lambda: _of(gateway.statuses(), ids & taken) == {"delivered"}, 40)
    assert _of(gateway.statuses(), ids - taken) <= {"unknown"}
    gateway.stop()


def _of(statuses: dict[str, str], ids: set[str]) -> set[str]:
    return {statuses[tracking_id] for tracking_id in ids}
