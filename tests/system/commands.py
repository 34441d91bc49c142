"""Commands, run as a user would run them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.system.stage import ROOT

Done = subprocess.CompletedProcess[bytes]


def run(
    *arguments: str, given: bytes | None = None, folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Done:
    """The command has ended; of the environment it saw only these variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        input=given,
        capture_output=True,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **(environment or {})},
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
