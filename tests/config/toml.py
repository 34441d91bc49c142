"""Configurations for the tests of this room, and what is wrong with them."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import BrokenConfig, Loaded, Settings, key_digest, load

SEALING = base64.b64encode(b"k" * 32).decode()
WHSEC = "whsec_" + base64.b64encode(b"s" * 24).decode()
DIGEST = key_digest("a key")
WHOLE = f"""\
[secrets]
keys = ["{SEALING}"]
[accounts.main]
app_id = "1"
app_secret = "s"
"""


def read(
    tmp_path: Path, text: str, *, may_be_unset: bool = False, environment: Mapping[str, str] | None = None
) -> Loaded:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return load(file, environment=environment or {}, may_be_unset=may_be_unset)


def settings(tmp_path: Path, more: str, **environment: str) -> Settings:
    return read(tmp_path, WHOLE + more, environment=environment).settings


def faults(tmp_path: Path, text: str, **environment: str) -> list[str]:
    """What is wrong, each as `line: what, cure`."""
    with pytest.raises(BrokenConfig) as broken:
        read(tmp_path, text, environment=environment)
    told = [str(fault) for fault in broken.value.faults]
    prefix = f"{tmp_path / 'gateway.toml'}:"
    assert all(line.startswith(prefix) for line in told)
    assert str(broken.value).splitlines() == told
    return [line.removeprefix(prefix) for line in told]


def the_fault(tmp_path: Path, more: str, **environment: str) -> str:
    """The one thing that is wrong, without its line, which is the last one of `more`."""
    (told,) = faults(tmp_path, WHOLE + more, **environment)
    line, _, what = told.partition(": ")
    assert int(line) == (WHOLE + more).rstrip().count("\n") + 1, told
    return what
