"""`check` and `preview`: what can be known without sending anything."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gateway.config import Beside, BrokenConfig, Loaded
from gateway.core.caller import Caller
from gateway.core.document import read_document
from gateway.core.errors import CannotStart
from gateway.core.event import Event, read_event
from gateway.core.identity import identify
from gateway.core.mapping import Draft, Mapping, MappingFaults, MappingSet, check_samples, compile_mappings, draft
from gateway.core.phone import mask
from gateway.http.views import MASK
from gateway.intake import unmapped

from .terminal import Asking, err, fail, out, pretty, with_config


@click.command()
@with_config
@click.pass_obj
def check(asking: Asking) -> None:
    """Find every fault in the configuration, the mappings, the snapshots and the samples.

    Prints `file:line: what is wrong, and the cure` for each and exits 1 if there is any. Variables that are not
    set here are only noted: the secrets belong to the machine that serves.
    """
    faults: list[str] = []
    loaded: Loaded | None = None
    try:
        loaded = asking.load(may_be_unset=True)
        beside, accounts = Beside(loaded.folder), tuple(loaded.settings.accounts)
    except BrokenConfig as error:
        faults += map(str, error.faults)
        beside, accounts = Beside(asking.config.parent), error.accounts
    mapping_set, found = _compiled(beside, accounts)
    faults += found
    for fault in faults:
        out.print(fault, style="bad", markup=False)
    if loaded is None or faults:
        fail(f"{len(faults)} fault{'s' if len(faults) != 1 else ''}", code=1)
    for note in loaded.unset:
        out.print(f"note: {note}", style="faint", markup=False)
    out.print(
        f"[good]no faults[/]: {len(mapping_set.mappings)} mappings, {len(beside.samples)} samples, "
        f"{len(mapping_set.templates)} template snapshots"
    )


def _compiled(beside: Beside, accounts: Sequence[str]) -> tuple[MappingSet, list[str]]:
    """The mappings in which nothing is wrong, and every fault: theirs, and that of the samples of the good ones."""
    mappings, templates, samples = beside.mappings, beside.templates, beside.samples
    try:
        mapping_set = compile_mappings(mappings, templates=templates, accounts=accounts)
    except MappingFaults as error:
        broken = {fault.file for fault in error.faults}
        mappings = {file: raw for file, raw in mappings.items() if file not in broken}
        templates = {file: raw for file, raw in templates.items() if file not in broken}
        types = {Path(file).stem for file in broken}
        samples = {file: raw for file, raw in samples.items() if Path(file).parent.name not in types}
        mapping_set = compile_mappings(mappings, templates=templates, accounts=accounts)
        return mapping_set, [*map(str, error.faults), *map(str, check_samples(mapping_set, samples))]
    return mapping_set, [str(fault) for fault in check_samples(mapping_set, samples)]


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

    Where the mapping cannot be filled, the faults and what could be filled go to standard error, and the exit
    code is 1.

    \b
    Example:
      zns-gateway preview config/samples/order.paid/plain.json
    """
    loaded = asking.load(may_be_unset=True)
    given = read_document(file.read())
    if isinstance(given, dict) and isinstance(given.get("event"), dict) and "data" not in given:
        given = given["event"]  # a sample, which holds its event beside what is expected of it
    caller = _caller(loaded, caller_name, given)
    event = read_event(given, default_source=caller.name, needs_specversion=False)
    accounts = tuple(loaded.settings.accounts)
    mapping_set = compile_mappings(loaded.mappings, templates=loaded.templates, accounts=accounts)
    mapping = mapping_set.mappings.get(event.type)
    if mapping is None:
        raise unmapped(event.type, mapping_set.nearest(event.type, lambda _: True))
    made = draft(mapping, event)
    if made.is_skipped:
        err.print("skipped: no template's `when` holds for this event; nothing would be sent")
        return
    body = _body(made, event, caller, is_shown=reveal or sys.stdout.isatty())
    if made.troubles:
        _explain(mapping, made, body)
    click.echo(pretty(body))


def _caller(loaded: Loaded, name: str | None, given: Any) -> Caller:
    """The caller of that name; without one, the first that may send the event, or one that nobody is."""
    configured = {one: Caller(one, tuple(it.events), mode=it.mode) for one, it in loaded.settings.callers.items()}
    if name is not None:
        if name not in configured:
            raise CannotStart(f"there is no caller {name}; there are {', '.join(configured) or 'none'}")
        return configured[name]
    event_type = str(given.get("type", "")) if isinstance(given, dict) else ""
    return next((it for it in configured.values() if it.may_send(event_type)), Caller("preview"))


def _body(made: Draft, event: Event, caller: Caller, *, is_shown: bool) -> dict[str, Any]:
    """The request's body as far as it could be filled; what is confidential only if it `is_shown`."""
    secret = frozenset() if made.choice is None else made.choice.secret
    data = made.template_data.items()
    body: dict[str, Any] = {
        "phone": made.phone if is_shown or made.phone is None else mask(made.phone),
        "template_id": None if made.choice is None else made.choice.template_id,
        "template_data": {key: text if is_shown or key not in secret else MASK for key, text in data},
        "tracking_id": identify(mode=caller.mode, caller=caller.name, event=event).tracking_id,
    }
    if caller.mode == "development":
        body["mode"] = caller.mode
    return body


def _explain(mapping: Mapping, made: Draft, body: dict[str, Any]) -> None:
    """Why nothing would be sent is on standard error, with what could be filled; the command ends."""
    for trouble in made.troubles:
        told = f"{trouble.error.code}: {trouble.fault.pointer or 'the event'} {trouble.fault.detail}"
        err.print(f"{mapping.file}:{trouble.line}: {told}", style="bad", markup=False)
    err.print("as far as it could be filled:", style="faint")
    err.print(pretty(body), markup=False)
    raise click.exceptions.Exit(1)
