"""One refresh in a process that may be stopped at any system call, and what is left of it.

`python -m tests.system.refresher CONFIG` forks a process for each line that it reads, so that none has to be started
anew: a victim, which is killed in its refresh; an autopsy, which looks at the store without touching it; a survivor,
which does with the store what a gateway does. They are made by the gateway's own wiring.
"""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from gateway.config import Loaded, load
from gateway.core.grant import Grant, Rotated
from gateway.grants import adopt
from gateway.simulator.ledger import digest_of
from gateway.storage import SqliteStore, open_store
from gateway.telemetry import Telemetry
from gateway.wiring import Gateway, now
from gateway.zalo.oauth import read_grant

ACCOUNT: Final = "main"
PATIENCE_S: Final = 20.0
EXT4_IOC_SHUTDOWN: Final = 0x8004587D
NOLOGFLUSH: Final = 2


class Asked(msgspec.Struct):
    """What the next process is to do; with `cut_after_s` the power fails so long after it has begun."""

    do: str
    grant: dict[str, Any] = {}
    age_s: float = 0.0
    is_held: bool = False
    cut_after_s: float = 0.0
    begins: int = -1


def say(**what: Any) -> None:
    """One line, in one system call, and not a byte of it stays behind in this process."""
    os.write(1, json.dumps(what).encode() + b"\n")


def folder_of(loaded: Loaded) -> Path:
    """Where the store lies, and nothing else."""
    return Path(loaded.settings.store.url.removeprefix("sqlite:///")).parent


async def opened(loaded: Loaded, folder: Path | None = None) -> SqliteStore:
    """The store of the configuration, or a copy of it elsewhere."""
    url = loaded.settings.store.url
    if folder is not None:
        url = f"sqlite:///{folder / Path(url).name}"
    return await open_store(url, loaded.settings.sealing_keys(), is_simulated=True)


def told(grant: Grant) -> dict[str, Any]:
    """What there is to know of it, and neither token."""
    trouble = grant.trouble
    return {
        "generation": grant.generation,
        "refresh": digest_of(grant.refresh.value),
        "is_asking": grant.is_asking,
        "presented": grant.presented,
        "trouble": "" if trouble is None else trouble.kind,
        "is_final": trouble is not None and trouble.is_final,
    }


async def victim(loaded: Loaded, asked: Asked) -> None:
    """A grant whose time has come is refreshed, used, and refreshed again for as long as that is asked for."""
    store = await opened(loaded)
    pair = read_grant(200, json.dumps(asked.grant).encode(), "")
    assert isinstance(pair, Rotated)
    grant = await adopt(store, ACCOUNT, pair, now() - timedelta(seconds=asked.age_s), may_replace=True)
    gateway = Gateway(loaded, Telemetry(level="debug"), store)
    await gateway.gates.reload(now())
    await held(store, gateway, asked, grant.generation)
    await gateway.tokens.look()
    generation = grant.generation
    while generation == grant.generation or asked.cut_after_s:
        await gateway.tokens.renew(ACCOUNT, generation)
        generation = await used(gateway, generation)
    say(done=True)


async def held(store: SqliteStore, gateway: Gateway, asked: Asked, generation: int = 0) -> None:
    """Whoever wants to trace this process does: every thread that a refresh needs is there."""
    await store.ping()
    await store.holds()
    await gateway.zalo._connections._addresses.find("127.0.0.1")
    threads = {thread.name: thread.native_id for thread in threading.enumerate()}
    threads["MainThread"] = os.getpid()  # it thinks that it is still the one it was forked from
    say(threads=threads, generation=generation)
    if asked.cut_after_s:
        os.fdatasync = synced  # type: ignore[assignment]
        os.write(asked.begins, b".")
    else:
        os.read(0, 1)


def synced(file: int, fdatasync: Callable[[int], None] = os.fdatasync) -> None:
    """If it was an answer that is on disk now, that is said: from now on no power cut may take it."""
    fdatasync(file)
    if any(os.pread(file, 4, 0)):  # the mark that a question may have left is all zeros
        say(synced=True)


async def used(gateway: Gateway, beyond: int) -> int:
    """The generation, newer than `beyond`, whose access token Zalo has just taken."""
    grants = gateway.tokens._grants
    token = grants.usable(ACCOUNT)
    assert token is not None
    assert token.generation > beyond
    say(using=token.generation)
    assert await gateway.zalo.answers(token)
    await grants.prove(ACCOUNT, token.generation)
    return token.generation


async def autopsy(loaded: Loaded, _asked: Asked) -> None:
    """What the store holds, read from a copy."""
    copy = folder_of(loaded).with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder_of(loaded), copy)
    store = await opened(loaded, copy)
    grant = await store.grant(ACCOUNT)
    assert grant is not None
    files, journal = len(list(copy.glob("*.answers/*"))), store.journal
    say(**told(grant), is_heard=journal.read(grant) is not None, is_unasked=journal.void(grant), pages=files)
    await store.aclose()
    shutil.rmtree(copy)


async def survivor(loaded: Loaded, asked: Asked) -> None:
    """What a gateway makes of the store: first by itself, then when Zalo rejects its access token."""
    store = await opened(loaded)
    gateway = Gateway(loaded, Telemetry(level="debug"), store)
    await gateway.gates.reload(now())
    grants, tokens = gateway.tokens._grants, gateway.tokens
    if asked.is_held:
        await held(store, gateway, asked)
    grant = await settled(gateway)
    if asked.is_held:
        return
    first, sends = told(grant), False
    token = grants.usable(ACCOUNT)
    if token is not None:
        sends = await gateway.zalo.answers(token)
        await grants.prove(ACCOUNT, token.generation)
        await tokens.renew(ACCOUNT, token.generation)
    last = await settled(gateway)
    row = grants.trouble(ACCOUNT, now())
    say(first=first, sends=sends, last=told(last), obstacle="" if row is None else row.kind)
    await gateway.aclose()
    await store.aclose()


async def settled(gateway: Gateway) -> Grant:
    """The grant once it is known whether it works or needs a person."""
    grants, tokens = gateway.tokens._grants, gateway.tokens
    end = time.monotonic() + PATIENCE_S
    while True:
        await tokens.look()
        while tokens._refreshing:
            await asyncio.wait(tokens._refreshing.values())
        grant = await grants.look(ACCOUNT)
        assert grant is not None
        is_final = grant.trouble is not None and grant.trouble.is_final
        if not grant.is_asking and (grants.is_good(grant) or is_final):
            return grant
        assert time.monotonic() < end, f"never settled: {told(grant)}"
        await asyncio.sleep(0.01)


CASES: Final[dict[str, Callable[[Loaded, Asked], Awaitable[None]]]] = {
    "victim": victim,
    "autopsy": autopsy,
    "survivor": survivor,
}


def begun(loaded: Loaded, asked: Asked) -> int:
    """The process id of one that does it; it ends without tidying up."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_as_coroutine(CASES[asked.do](loaded, asked)))
            code = 0
            os._exit(code)
    except BaseException as error:
        sys.stderr.write(f"{asked.do}: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(code)


async def _as_coroutine(awaited: Awaitable[None]) -> None:
    await awaited


def cut(folder: Path, after_s: float, pid: int) -> None:
    """The power of the disk fails so long after now, and comes back; nothing that was not synced is there."""
    time.sleep(after_s)  # any instant will do
    disk = os.open(folder, os.O_RDONLY)
    fcntl.ioctl(disk, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    os.close(disk)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    subprocess.run(["umount", str(folder)], check=True)
    subprocess.run(["mount", "-o", "loop", f"{folder}.img", str(folder)], check=True)


def main(config: str) -> None:
    """Every line is done when the next is read."""
    loaded = load(Path(config))
    folder = folder_of(loaded)
    has_begun, begins = os.pipe()
    lines = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - children read from it too
    say(ready=True)
    while line := lines.readline():
        if line == b"\n":  # meant for a victim that was dead before it began
            continue
        asked = msgspec.json.decode(line, type=Asked)
        asked.begins = begins
        if asked.do == "victim" and not asked.cut_after_s:
            shutil.rmtree(folder, ignore_errors=True)
        pid = begun(loaded, asked)
        if asked.cut_after_s:
            os.read(has_begun, 1)
            cut(folder, asked.cut_after_s, pid)
            say(ended=-signal.SIGKILL)
        else:
            _, status = os.waitpid(pid, 0)
            say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1])
