"""What the commands share: the configuration they were given, how they speak, how they end."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.theme import Theme

from gateway.config import BrokenConfig, Loaded, load
from gateway.core.errors import CannotStart, GatewayError
from gateway.core.mapping import MappingFaults
from gateway.storage import SqliteStore, kind_of, open_store

from .simulated import load_simulated

_THEME = Theme({"good": "green", "bad": "bold red", "doubtful": "yellow", "faint": "dim", "name": "bold"})
STYLES: Mapping[str, str] = {
    "sent": "good",
    "delivered": "good",
    "skipped": "faint",
    "queued": "doubtful",
    "sending": "doubtful",
    "unknown": "doubtful",
    "undelivered": "doubtful",
    "failed": "bad",
    "expired": "bad",
    "cancelled": "faint",
}

# Commands beside a simulated gateway only open its store; they never speak to Zalo.
_ANY_CREDENTIALS: Final = {"app_id": "any", "app_secret": "any", "oa_id": "any", "oa_secret": "any"}

_WIDE: Final = 1000
out = Console(theme=_THEME, highlight=False, soft_wrap=True)
err = Console(theme=_THEME, highlight=False, soft_wrap=True, stderr=True)


class Asking(msgspec.Struct, frozen=True):
    """Which configuration the command line names; `--config` may stand before or after the command."""

    config: Path

    def load(self, **options: Any) -> Loaded:
        """The configuration; raises BrokenConfig with every fault if it cannot be used."""
        return load(self.config, **options)

    def load_for_store(self) -> Loaded:
        """The configuration as it goes with the store: a simulated store's secrets need not be set."""
        lenient = self.load(may_be_unset=True)
        is_simulated = kind_of(lenient.settings.store.url) == "simulated"
        if is_simulated and lenient.unset:
            return load_simulated(self.config, _ANY_CREDENTIALS)
        loaded = self.load() if lenient.unset else lenient
        if is_simulated and not loaded.settings.zalo.is_simulated:
            raise CannotStart(
                f"the store {loaded.settings.store.url} was made by `serve --simulator` and is sealed under a key that "
                "everybody knows: a live gateway needs a store of its own; remove it, or set another store.url"
            )
        return loaded

    async def open_store(self, loaded: Loaded | None = None, *, must_exist: bool = False) -> SqliteStore:
        """The store that the configuration names, of the kind that it is or will be; raises CannotStart.

        What only looks must not make (and mark) a store where somebody has mistyped its name: `must_exist`.
        """
        settings = (loaded or self.load_for_store()).settings
        kind = kind_of(settings.store.url)
        if kind is None and must_exist:
            raise CannotStart(f"there is no store at {settings.store.url} yet; `serve` or `token import` makes it")
        is_simulated = settings.zalo.is_simulated if kind is None else kind == "simulated"
        return await open_store(settings.store.url, settings.sealing_keys(), is_simulated=is_simulated)


class Group(click.Group):
    """A group whose commands end with a message and exit code 2 when they cannot do what was asked."""

    def invoke(self, ctx: click.Context) -> Any:
        """What the command returns; no traceback for what we refuse on purpose."""
        try:
            return super().invoke(ctx)
        except (BrokenConfig, MappingFaults) as error:
            told, details = [str(fault) for fault in error.faults], []
        except GatewayError as error:
            told = [f"cannot start: {error.detail}" if type(error) is CannotStart else error.detail]
            details = [f"  {one.pointer or '(the event)'}: {one.detail}" for one in error.errors]
        for line in told:
            err.print(line, style="bad", markup=False)
        for line in details:
            err.print(line, markup=False)
        raise click.exceptions.Exit(2)


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


def print_table(table: Table) -> None:
    """The table as wide as the terminal, or as wide as it is where nobody but a program reads it."""
    out.print(table, width=None if out.is_terminal else _WIDE)


def fail(text: str, code: int = 2) -> NoReturn:
    """The command has ended with this message."""
    err.print(text, style="bad", markup=False)
    raise click.exceptions.Exit(code)


def pretty(value: Any) -> str:
    """The value as indented JSON, for people and for scripts alike."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def with_config(command: Any) -> Any:
    """The command also takes `--config` behind its own name, where people often put it."""

    def take(context: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.find_root().obj = Asking(value)
            context.obj = Asking(value)

    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        callback=take,
        help="The configuration file.",
    )(command)
