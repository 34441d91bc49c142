"""What was promised outlives the process that promised it, and a disk that fails for a while."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.core.callback import of_message
from gateway.core.identity import identify
from gateway.ports import Known
from gateway.storage import open_store
from tests.contract.stage import KEY, NOW, make_event, tracking_id_of

from .stage import opened, running


def killed_after(count: int, url: str, *arguments: str) -> tuple[str, list[str]]:
    """The name of a process that was killed in full flight, and what it had promised by then."""
    with running("acceptor", url, *arguments) as process:
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
async def test_after_a_kill_every_message_has_its_callback_and_every_callback_its_message(
    url: str, tmp_path: Path
) -> None:
    _, promised = killed_after(200, url, "told", "crm")
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        stored = connection.execute("SELECT tracking_id FROM message").fetchall()
        callbacks = sorted(id_ for (id_,) in connection.execute("SELECT id FROM callback"))
    store = await opened(url)
    messages = [await store.load(tracking_id) for (tracking_id,) in stored]
    await store.aclose()
    expected = [told.id for message in messages if message and (told := of_message(message)) is not None]
    assert len(callbacks) >= len(promised) >= 200
    assert callbacks == sorted(expected)


@pytest.mark.system
def test_after_a_failed_write_the_store_goes_on_without_a_restart(url: str) -> None:
    with running("failing_disk", url) as process:
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.split() == ["refused", "recovered", "complete"]
