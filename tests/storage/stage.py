"""How the tests of this room open a store: by themselves, and from several processes at once."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.storage import SqliteStore, open_store
from tests.contract.stage import KEY

ROOT = Path(__file__).parents[2]


async def opened(url: str, *keys: bytes, is_simulated: bool = False) -> SqliteStore:
    return await open_store(url, keys or (KEY,), is_simulated=is_simulated)


def found_at_once(url: str, count: int = 4) -> list[int]:
    """Which generation of the grant each of so many processes found that opened the store in the same moment; 0: none."""
    command = [sys.executable, "-m", "tests.storage.opener", url]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            )
            for _ in range(count)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=20)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return [int(each) for each in told]


def killed_at(call: str, when: int, module: str, *arguments: str) -> bool:
    """True if a process that runs this module of ours was killed at that system call of one of its threads."""
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"]
    ended = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", *inject, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        input=b"go\n",
        timeout=60,
        check=False,
    )
    return ended.returncode != 0


@contextmanager
def running(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that runs this module of ours, and is gone afterwards, whatever happens."""
    command = [sys.executable, "-m", f"tests.storage.{name}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()
