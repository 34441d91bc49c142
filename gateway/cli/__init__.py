"""The command `zns-gateway`: one file a group of commands, each thin. uvicorn, click and rich are spoken here.

Exit codes: 0; 1 findings; 2 cannot start or cannot do.
"""

from pathlib import Path

import click

from gateway import __version__

from .check import check, openapi, preview
from .demo import demo
from .keys import key
from .messages import messages
from .serve import serve, simulator
from .terminal import Asking, Group
from .token import token


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None})
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


for command in (serve, simulator, demo, check, preview, key, token, messages, openapi):
    cli.add_command(command)


def main() -> None:
    """The command line has been obeyed."""
    cli(prog_name="zns-gateway")
