"""What was promised outlives the process that promised it, and a disk that fails for a while."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.core.identity import identify
from gateway.ports import Known
from gateway.storage import open_store
from tests.contract.stage import KEY, NOW, make_event, tracking_id_of

_ROOT = Path(__file__).parents[2]


@contextmanager
def running(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that runs this module of ours, and is gone afterwards, whatever happens."""
    command = [sys.executable, "-m", f"tests.storage.{name}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def killed_after(count: int, url: str, prefix: str) -> tuple[str, list[str]]:
    """The name of a process that was killed in full flight, and what it had promised by then."""
    with running("acceptor", url, prefix) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        promised = [process.stdout.readline().strip() for _ in range(count)]
        process.kill()
        promised += [line.strip() for line in process.stdout if line.endswith("\n")]
    return owner, promised


@pytest.mark.system
async def test_what_was_promised_is_there_after_a_kill(url: str) -> None:
    promised: list[str] = []
    owners: set[str] = set()
    for round_, count in enumerate([1, 20, 200]):
        owner, more = killed_after(count, url, f"r{round_}")
        owners.add(owner)
        promised += more
    store = await open_store(url, [KEY], is_simulated=False)
    for name in promised:
        message = await store.load(tracking_id_of(name))
        letter = await store.letter(tracking_id_of(name))
        assert message is not None
        assert letter is not None
        assert letter.event.id == name
        identity = identify(mode="live", caller="checkout", event=make_event(name))
        assert await store.known(identity, make_event(name)) == Known(message)
    stalled = await store.stalled(NOW, 100_000)
    assert {tracking_id_of(name) for name in promised} <= {message.tracking_id for message in stalled}
    assert {attempt.owner for message in stalled if (attempt := message.open_attempt)} == owners
    await store.aclose()


@pytest.mark.system
def test_after_a_failed_write_the_store_goes_on_without_a_restart(url: str) -> None:
    with running("failing_disk", url) as process:
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.split() == ["refused", "recovered", "complete"]
