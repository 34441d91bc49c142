"""`completion`: the script that completes commands in a shell, and the names that it completes.

While somebody types, nothing is read but the configuration as text: quickly, and in silence if it is broken.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from .ending import COMPLETING
from .terminal import STYLES, Asking, fail, starting_with

_SHELLS: Final = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print the script that completes commands, options and names in bash, zsh or fish.

    Without SHELL it is the shell in $SHELL. Commands, options, accounts, callers, statuses and sample files are
    completed; names come from the configuration that the command line names.

    \b
    To install it, for this user:
      bash   zns-gateway completion bash > ~/.local/share/bash-completion/completions/zns-gateway
      zsh    echo 'eval "$(zns-gateway completion zsh)"' >> ~/.zshrc
      fish   zns-gateway completion fish > ~/.config/fish/completions/zns-gateway.fish
    """
    guessed = shell or Path(os.environ.get("SHELL", "")).name
    if guessed not in _SHELLS:
        fail(
            f"cannot tell which shell this is ($SHELL is {guessed or 'not set'}); name it: zns-gateway completion bash"
        )
    kind = get_completion_class(guessed)
    if kind is None:
        fail(f"there is no completion for {guessed}; there is one for {', '.join(_SHELLS)}")
    made = kind(context.find_root().command, {}, "zns-gateway", COMPLETING)
    click.echo(made.source_template % made.source_vars())


def accounts(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The accounts in the configuration."""
    return starting_with(incomplete, dict.fromkeys(_table(context, "accounts"), ""))


def callers(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The callers in the configuration, with their role."""
    told = {
        name: str(it.get("role", "sender"))
        for name, it in _table(context, "callers").items()
        if isinstance(it, dict)
    }
    return starting_with(incomplete, told)


def statuses(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:  # noqa: ARG001 - click's signature
    """The statuses that a message can have."""
    return starting_with(incomplete, dict.fromkeys(STYLES, ""))


def types(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The event types that are mapped."""
    files = sorted((_config(context).parent / "mappings").glob("*.toml"))
    return starting_with(incomplete, {file.stem: "" for file in files})


def snapshots(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The templates that have a snapshot."""
    files = sorted((_config(context).parent / "templates").glob("*.json"))
    return starting_with(incomplete, {file.stem: "" for file in files})


def events(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The samples beside the configuration, and whatever files there are."""
    folder = _config(context).parent / "samples"
    if incomplete and not incomplete.startswith(str(folder)):
        return [CompletionItem(incomplete, type="file")]
    found = starting_with(incomplete, {str(file): "" for file in sorted(folder.glob("*/*.json"))})
    return found or [CompletionItem(incomplete, type="file")]


def _table(context: click.Context, name: str) -> dict[str, Any]:
    """The table of that name in the configuration; an empty one if anything is wrong."""
    try:
        found = tomllib.loads(_config(context).read_text("utf-8-sig")).get(name)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _config(context: click.Context) -> Path:
    """The configuration that the command line names so far; nothing is run while somebody types."""
    each: click.Context | None = context
    while each is not None:
        if isinstance(each.obj, Asking):
            return each.obj.config
        if isinstance(given := each.params.get("config"), Path):
            return given
        each = each.parent
    return Path("config/gateway.toml")
