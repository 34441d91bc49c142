"""`check`, `preview` and `openapi`: what can be known without sending anything."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from gateway.config import Loaded
from gateway.core.caller import Caller
from gateway.core.document import read_document
from gateway.core.event import read_event
from gateway.core.identity import identify
from gateway.core.mapping import Skipped, check_samples, fill
from gateway.core.phone import mask
from gateway.http.openapi import document
from gateway.intake import unmapped
from gateway.wiring import mappings_of

from .terminal import Asking, err, fail, out, pretty, with_config


@click.command()
@with_config
@click.pass_obj
def check(asking: Asking) -> None:
    """Find every fault in the configuration, the mappings, the snapshots and the samples.

    Prints `file:line: what is wrong, and the cure` for each and exits 1 if there is any. Variables that are not
    set here are only noted: the secrets belong to the machine that serves.
    """
    loaded, faults = _loaded_or_faults(asking)
    for fault in faults:
        err.print(fault, style="bad", markup=False)
    if loaded is None or faults:
        fail(f"{len(faults)} fault{'s' if len(faults) != 1 else ''}", code=1)
    for note in loaded.unset:
        out.print(f"note: {note}", style="faint", markup=False)
    mapping_set = mappings_of(loaded)
    out.print(
        f"[good]no faults[/]: {len(mapping_set.mappings)} mappings, {len(loaded.samples)} samples, "
        f"{len(mapping_set.templates)} template snapshots"
    )


def _loaded_or_faults(asking: Asking) -> tuple[Loaded | None, list[str]]:
    """The configuration, and every fault in it and in what lies beside it."""
    from gateway.config import BrokenConfig
    from gateway.core.mapping import MappingFaults

    try:
        loaded = asking.load(may_be_unset=True)
    except BrokenConfig as error:
        return None, [str(fault) for fault in error.faults]
    try:
        mapping_set = mappings_of(loaded)
    except MappingFaults as error:
        return loaded, [str(fault) for fault in error.faults]
    return loaded, [str(fault) for fault in check_samples(mapping_set, loaded.samples)]


@click.command()
@with_config
@click.argument("file", metavar="EVENT.json", type=click.File("rb"))
@click.option(
    "--caller", "caller_name", help="Whose event it is; the default is the first caller that may send it."
)
@click.option("--reveal", is_flag=True, help="Show the phone number and secret values in full also in a pipe.")
@click.pass_obj
def preview(asking: Asking, file: Any, caller_name: str | None, reveal: bool) -> None:
    """Print the exact request body that Zalo would get for an event; send nothing, write nothing.

    \b
    Example:
      zns-gateway preview config/samples/order.paid/plain.json
    """
    loaded = asking.load(may_be_unset=True)
    given = read_document(file.read())
    if isinstance(given, dict) and isinstance(given.get("event"), dict) and "data" not in given:
        given = given["event"]  # a sample, which holds its event beside what is expected of it
    name = caller_name or _first_caller(loaded, given)
    event = read_event(given, default_source=name, needs_specversion=False)
    mapping_set = mappings_of(loaded)
    mapping = mapping_set.mappings.get(event.type)
    if mapping is None:
        raise unmapped(event.type, mapping_set.nearest(event.type, lambda _: True))
    filled = fill(mapping, event)
    if isinstance(filled, Skipped):
        err.print("skipped: no template's `when` holds for this event; nothing would be sent")
        return
    is_shown = reveal or sys.stdout.isatty()
    configured = loaded.settings.callers.get(name)
    mode = "live" if configured is None else configured.mode
    data = {
        key: text if is_shown or key not in filled.secret else "*****"
        for key, text in filled.template_data.items()
    }
    body: dict[str, Any] = {
        "phone": filled.phone if is_shown else mask(filled.phone),
        "template_id": filled.template_id,
        "template_data": data,
        "tracking_id": identify(mode=mode, caller=name, event=event).tracking_id,
    }
    if mode == "development":
        body["mode"] = mode
    click.echo(pretty(body))


def _first_caller(loaded: Loaded, given: Any) -> str:
    event_type = str(given.get("type", "")) if isinstance(given, dict) else ""
    callers = [Caller(name, tuple(it.events)) for name, it in loaded.settings.callers.items()]
    return next((caller.name for caller in callers if caller.may_send(event_type)), "preview")


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
