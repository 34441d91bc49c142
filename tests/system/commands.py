"""Commands, run as a user would run them."""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.system.stage import ROOT

Done = subprocess.CompletedProcess[bytes]
_PATIENCE_S: Final = 10.0


def run(
    *arguments: str, given: bytes | None = None, folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Done:
    """The command has ended; of the environment it saw only these variables."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        input=given,
        capture_output=True,
        cwd=folder,
        env=_environment(environment or {}),
        check=False,
        timeout=60,
    )


def said(done: Done, code: int, *words: str, quiet: bool = True) -> str:
    """What a command said that ended with this code, in all these words and without a traceback."""
    both = (done.stdout + done.stderr).decode()
    assert done.returncode == code, both
    assert all(word in both for word in words), both
    assert "Traceback" not in both
    assert not (quiet and code == 2 and done.stdout), "what cannot be done is told on standard error alone"
    return both


def edited(file: Path, *changes: tuple[str, str]) -> Path:
    text = file.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text)
    return file


def shell(line: str, bin_folder: Path, *, program: str = "sh", folder: Path = ROOT) -> Done:
    """The line has run in a shell in which `zns-gateway` is our command; it is put into that folder."""
    command = bin_folder / "zns-gateway"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n')
    command.chmod(0o755)
    return subprocess.run(
        [program, "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        env=_environment({"PATH": f"{bin_folder}:{os.environ['PATH']}"}),
        check=False,
        timeout=60,
    )


class Shown(str):
    """What a person saw, as it was sent to the terminal."""

    __slots__ = ("code",)
    code: int

    @property
    def lines(self) -> list[str]:
        """The lines without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self).replace("\r\n", "\n").splitlines()


def on_terminal(
    *arguments: str,
    columns: int = 80,
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    interrupt_at: bytes | None = None,
) -> Shown:
    """What the command shows on a terminal so wide; interrupted (Ctrl-C) once it has shown that, if given.

    And once more where nothing comes of it: a signal between the look for one and the reading of a line is seen after it.
    """
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        cwd=folder,
        env=_environment({"TERM": "xterm-256color", **(environment or {})}),
        start_new_session=True,
    )
    os.close(inner)
    seen = b""
    with process, io.FileIO(outer) as screen:
        is_interrupted = False
        while True:
            while is_interrupted and not select.select([screen], [], [], _PATIENCE_S)[0]:
                process.send_signal(signal.SIGINT)
            try:
                more = screen.read(65536)
            except OSError:  # so Linux says that nobody is there any more
                break
            if not more:
                break
            seen += more
            if interrupt_at is not None and interrupt_at in seen:
                process.send_signal(signal.SIGINT)
                interrupt_at, is_interrupted = None, True
    shown = Shown(seen.decode())
    shown.code = process.wait(60)
    return shown


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **more}
