"""The command `zns-gateway`: one file a group of commands, each thin. uvicorn, click and rich are spoken here.

Exit codes: 0; 1 findings; 2 cannot start or cannot do.
"""

from importlib import import_module
from pathlib import Path
from typing import Final

import click

from gateway import __version__

from .terminal import Asking, Group

# Read when they are asked for: a command that only looks into the store has no need of a web framework.
_ROOMS: Final = {
    "serve": "serve",
    "simulator": "serve",
    "demo": "demo",
    "check": "check",
    "preview": "check",
    "key": "keys",
    "token": "token",
    "messages": "messages",
    "openapi": "openapi",
}


class Commands(Group):
    """Every command by its name, in the order in which a newcomer needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names."""
        return list(_ROOMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of that name."""
        room = _ROOMS.get(cmd_name)
        if room is None:
            return None
        command: click.Command = getattr(import_module(f"gateway.cli.{room}"), cmd_name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None})
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
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
    cli(prog_name="zns-gateway")
