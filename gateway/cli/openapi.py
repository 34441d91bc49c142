"""`openapi`: the HTTP interface, described."""

from pathlib import Path

import click
import msgspec
import yaml

from gateway.http.openapi import document

from .terminal import pretty


@click.command()
@click.option("--json", "is_json", is_flag=True, help="JSON instead of YAML.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def openapi(is_json: bool, output: Path | None) -> None:
    """Print the OpenAPI 3.1 document of the gateway's HTTP interface."""
    text = pretty(document()) + "\n" if is_json else as_yaml()
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def as_yaml() -> str:
    """The document as `openapi/gateway.yaml` holds it."""
    plain = msgspec.to_builtins(document())
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)
