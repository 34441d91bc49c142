"""The command `zns-gateway`: one file a group of commands, each thin. uvicorn, click and rich are spoken here.

Exit codes: 0; 1 findings; 2 cannot start or cannot do. As of every tool: 130 after Ctrl-C, 141 where whoever read
the output has gone.
"""

from importlib import import_module
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from gateway import __version__

from .ending import ended
from .examples import epilog
from .terminal import Asking, Group, starting_with

# In the order in which a newcomer needs them: where each is, and what it does. Read when they are asked for: neither
# a list of them nor the completion of a name has any need of a web framework.
_ROOMS: Final = {
    "serve": ("serve", "Run the gateway."),
    "simulator": ("serve", "Run the Zalo simulator alone."),
    "demo": ("demo", "Show simulator and gateway at work."),
    "check": ("check", "Find every fault in configuration and mappings."),
    "preview": ("check", "Print what Zalo would get for an event."),
    "key": ("keys", "Caller keys: new."),
    "token": ("token", "The grant of each account: login, import, status, rekey."),
    "templates": ("templates", "Zalo's definitions of the templates: pull, diff."),
    "messages": ("messages", "Messages in the store: list, show, cancel, resend, settle."),
    "openapi": ("openapi", "Print the description of the HTTP interface."),
    "completion": ("completion", "Print the script that completes commands in a shell."),
}


class Commands(Group):
    """Every command by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names."""
        return list(_ROOMS)

    def command_named(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's context
        """The command of that name."""
        room, _ = _ROOMS.get(name, (None, None))
        if room is None:
            return None
        found: click.Command = getattr(import_module(f"gateway.cli.{room}"), name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """The list of the commands is in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in _ROOMS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The names that begin so, and the options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return starting_with(incomplete, {name: told for name, (_, told) in _ROOMS.items()})


@click.group(
    cls=Commands,
    epilog=epilog(""),
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None},
)
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    envvar="GATEWAY_CONFIG",
    default="config/gateway.toml",
    show_default=True,
    help="The configuration file; mappings/, samples/ and templates/ lie beside it.",
)
@click.version_option(__version__, prog_name="zns-gateway")
@click.pass_context
def cli(context: click.Context, config: Path) -> None:
    """Notifies a company's customers on Zalo: events in, ZNS messages out, each at most once."""
    context.obj = Asking(config)


def main() -> None:
    """The command line has been obeyed."""
    ended(cli, "zns-gateway")
