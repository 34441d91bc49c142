"""`key new`: a caller's key, shown once."""

import secrets

import click

from gateway.config import key_digest


@click.group()
def key() -> None:
    """Caller keys."""


@key.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Make a key for the caller NAME; print it once, with the digest that goes into gateway.toml.

    \b
    Example:
      zns-gateway key new checkout
    """
    made = f"zns_{secrets.token_urlsafe(32)}"
    click.echo(f"key (give it to {name}; it is not kept anywhere and cannot be shown again):\n  {made}\n")
    click.echo(f'digest (put it into gateway.toml):\n  [callers.{name}]\n  key_sha256 = ["{key_digest(made)}"]')
