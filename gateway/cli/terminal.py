"""What the commands share: the configuration they were given, how they speak, how they end."""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
import msgspec
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.theme import Theme

from gateway.core.errors import CannotStart, GatewayError

from .examples import epilog

if TYPE_CHECKING:
    from gateway.config import Loaded
    from gateway.storage import SqliteStore

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

STAYING: Final = frozenset({"serve", "simulator", "demo"})

# Commands beside a simulated gateway only open its store; they never speak to Zalo.
_ANY_CREDENTIALS: Final = {"app_id": "any", "app_secret": "any", "oa_id": "any", "oa_secret": "any"}

_STORE_CURES: Final = {
    "locked": "another process holds it: look who has it open, and try again",
    "not a database": "it is another file: name another store.url, or put the store back from its backup",
    "malformed": "it is damaged: put it back from its backup",
    "unable to open": "see that its folder is there and that store.url names a file",
    "readonly": "give this user write access to it and to its folder",
    "Permission denied": "give this user access to it",
    "cannot be used: No such file": "make that folder, or set another store.url",
    "Not a directory": "set another store.url",
}


class Unheard:
    """The Observer of a command: its person is told by the command itself."""

    def fact(self, name: str, **about: Any) -> None:
        """Nothing is logged."""


class _Console(Console):
    """A console that leaves it to the end of the command what follows when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - called where the error is being handled


# NO_COLOR is taken at its word: nothing faint or bold either.
_COLOURS: Final = None if os.environ.get("NO_COLOR") else "auto"
out = _Console(theme=_THEME, highlight=False, soft_wrap=True, color_system=_COLOURS)
err = _Console(theme=_THEME, highlight=False, soft_wrap=True, color_system=_COLOURS, stderr=True)


class Asking(msgspec.Struct, frozen=True):
    """Which configuration the command line names; `--config` may stand before or after the command."""

    config: Path

    def load(self, **options: Any) -> "Loaded":
        """The configuration; raises BrokenConfig with every fault if it cannot be used."""
        from gateway.config import load  # not for a completion, which has to be quick

        return load(self.config, **options)

    def load_for_store(self) -> "Loaded":
        """The configuration as it goes with the store: a simulated store's secrets need not be set."""
        from gateway.storage import kind_of  # as above

        from .simulated import load_simulated

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

    async def open_store(self, loaded: "Loaded | None" = None, *, must_exist: bool = False) -> "SqliteStore":
        """The store that the configuration names, of the kind that it is or will be; raises CannotStart.

        What only looks must not make (and mark) a store where somebody has mistyped its name: `must_exist`.
        """
        from gateway.storage import has_store, kind_of, open_store  # as above

        settings = (loaded or self.load_for_store()).settings
        kind = kind_of(settings.store.url)
        if must_exist and not has_store(settings.store.url):
            raise CannotStart(f"there is no store at {settings.store.url} yet; `serve` or `token import` makes it")
        is_simulated = settings.zalo.is_simulated if kind is None else kind == "simulated"
        try:
            return await open_store(
                settings.store.url, settings.sealing_keys(), is_simulated=is_simulated, told=settings.told()
            )
        except CannotStart as error:
            cure = next((cure for word, cure in _STORE_CURES.items() if word in error.detail), None)
            raise CannotStart(f"{error.detail}; {cure}") if cure is not None else error from None


class Group(click.Group):
    """A group whose commands end with a message and exit code 2 when they cannot do what was asked."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, whose help ends with examples."""
        found = self.command_named(ctx, cmd_name)
        if found is not None:
            found.epilog = epilog(" ".join([*ctx.command_path.split()[1:], cmd_name]))
        return found

    def command_named(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name as it was defined."""
        return super().get_command(ctx, name)

    def invoke(self, ctx: click.Context) -> Any:
        """What the command returns; no traceback for what we refuse on purpose."""
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            faults: Iterable[object] = getattr(error, "faults", ())  # of a configuration or of mappings
            told = [str(fault) for fault in faults]
            others = [] if told else [one for one in error.errors if one.detail != error.detail]
            details = [f"  {one.pointer or '(the event)'}: {one.detail}" for one in others]
            if not told:
                is_start = type(error) is CannotStart and ctx.find_root().invoked_subcommand in STAYING
                told = [f"cannot start: {error.detail}" if is_start else error.detail]
        for line in told:
            err.print(line, style="bad", markup=False)
        for line in details:
            err.print(line, markup=False)
        raise click.exceptions.Exit(2)


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


def fail(text: str, code: int = 2) -> NoReturn:
    """The command has ended with this message."""
    err.print(text, style="bad", markup=False)
    raise click.exceptions.Exit(code)


def pretty(value: Any) -> str:
    """The value as indented JSON, for people and for scripts alike."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def starting_with(incomplete: str, names: Mapping[str, str]) -> list[CompletionItem[str]]:
    """The names that begin so, each with what it means, for a shell."""
    return [CompletionItem(name, help=told or None) for name, told in names.items() if name.startswith(incomplete)]


def with_config(command: Any) -> Any:
    """The command also takes `--config` behind its own name, where people often put it."""

    def take(context: click.Context, _: click.Parameter, value: Path | None) -> None:
        if value is not None:
            context.find_root().obj = Asking(value)
            context.obj = Asking(value)

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=take,
        help="The configuration file.",
    )(command)


def with_json(command: Any) -> Any:
    """The command also takes `--json`: then standard output is JSON and nothing else."""
    return click.option("--json", "is_json", is_flag=True, help="JSON on standard output, and nothing else.")(
        command
    )
