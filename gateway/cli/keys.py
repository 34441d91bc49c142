"""`key new`: a caller's key, shown once."""

import re
import secrets

import click

from gateway.config import key_digest
from gateway.core.errors import CannotStart, clip

from .terminal import Group, pretty, with_json


@click.group(cls=Group)
def key() -> None:
    """Caller keys."""


@key.command("new")
@click.argument("name")
@with_json
def new(name: str, is_json: bool) -> None:
    """Make a key for the caller NAME; print it once, with the digest that goes into gateway.toml."""
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) is None:
        raise CannotStart(f"{clip(name)} is no caller's name; use letters, digits, '.', '_' and '-', 64 at most")
    table = f'callers."{name}"' if "." in name else f"callers.{name}"
    made = f"zns_{secrets.token_urlsafe(32)}"
    if is_json:
        click.echo(pretty({"caller": name, "key": made, "key_sha256": key_digest(made)}))
        return
    click.echo(f"key (give it to {name}; it is not kept anywhere and cannot be shown again):\n  {made}\n")
    click.echo(f'digest (put it into gateway.toml):\n  [{table}]\n  key_sha256 = ["{key_digest(made)}"]')
