"""`preview`: what an event would become, without sending anything."""

import codecs
import sys
from pathlib import Path
from typing import Any

import click

from gateway.config import Loaded
from gateway.core.caller import Caller
from gateway.core.document import read_document
from gateway.core.errors import CannotStart, MalformedEvent, clip
from gateway.core.event import Event, read_event
from gateway.core.identity import identify
from gateway.core.mapping import Draft, Mapping, compile_mappings, draft
from gateway.core.mapping_faults import nearest_to
from gateway.core.masking import masked_data
from gateway.core.phone import mask
from gateway.intake import unmapped

from .completion import callers, events
from .tables import hanging
from .terminal import Asking, err, pretty, with_config


@click.command()
@with_config
@click.argument("file", metavar="EVENT.json", type=click.Path(path_type=Path), shell_complete=events)
@click.option(
    "--caller",
    "caller_name",
    shell_complete=callers,
    help="Whose event it is; the default is the first caller that may send it.",
)
@click.option("--reveal", is_flag=True, help="Show the phone number and secret values in full also in a pipe.")
@click.pass_obj
def preview(asking: Asking, file: Path, caller_name: str | None, reveal: bool) -> None:
    """Print the exact request body that Zalo would get for an event; send nothing, write nothing.

    EVENT.json holds an event, or a sample; - is standard input. Where the mapping cannot be filled, the faults and
    what could be filled go to standard error, and the exit code is 1.
    """
    loaded = asking.load(may_be_unset=True)
    given = _given(file)
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
    body = _body(made, event, caller, is_shown=reveal or (sys.stdout is not None and sys.stdout.isatty()))
    if made.troubles:
        _explain(mapping, made, body)
    click.echo(pretty(body))


def _given(file: Path) -> Any:
    """The event in the file, which may be a sample that holds it; raises CannotStart for a file that has none."""
    if str(file) == "-":
        if sys.stdin.isatty():
            err.print("paste the event, then press Ctrl-D:", style="faint")
        raw = sys.stdin.buffer.read()
    else:
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise CannotStart(f"{file} cannot be read: {error.strerror}; name a file with one event") from error
    if not raw.strip():
        raise CannotStart(
            f"{_named(file)} is empty; write one event as JSON, such as config/samples/*/*.json have"
        )
    try:
        given = read_document(raw.removeprefix(codecs.BOM_UTF8))
    except MalformedEvent as error:
        raise CannotStart(f"{_named(file)}: {error.detail.replace('the body', 'it')}; mend the file") from None
    if isinstance(given, list) and given and all(isinstance(each, dict) for each in given):
        raise CannotStart(
            f"{_named(file)} is a batch of {len(given)} events; preview takes one: put it into a file alone"
        )
    if isinstance(given, dict) and isinstance(given.get("event"), dict) and "data" not in given:
        return given["event"]  # a sample, which holds its event beside what is expected of it
    return given


def _named(file: Path) -> str:
    return "standard input" if str(file) == "-" else str(file)


def _caller(loaded: Loaded, name: str | None, given: Any) -> Caller:
    """The caller of that name; without one, the first that may send the event, or one that nobody is."""
    configured = {one: Caller(one, tuple(it.events), mode=it.mode) for one, it in loaded.settings.callers.items()}
    if name is not None:
        if name not in configured:
            raise CannotStart(f"there is no caller {clip(name)}; {_among(name, configured)}")
        return configured[name]
    event_type = str(given.get("type", "")) if isinstance(given, dict) else ""
    return next((it for it in configured.values() if it.may_send(event_type)), Caller("preview"))


def _among(name: str, known: dict[str, Caller]) -> str:
    near = nearest_to(name, known)
    return f"{near} There are {', '.join(known)}" if near.endswith("?") else near


def _body(made: Draft, event: Event, caller: Caller, *, is_shown: bool) -> dict[str, Any]:
    """The request's body as far as it could be filled; what is confidential only if it `is_shown`."""
    body: dict[str, Any] = {
        "phone": made.phone if is_shown or made.phone is None else mask(made.phone),
        "template_id": None if made.choice is None else made.choice.template_id,
        "template_data": made.template_data if is_shown else masked_data(made),
        "tracking_id": identify(mode=caller.mode, caller=caller.name, event=event).tracking_id,
    }
    if caller.mode == "development":
        body["mode"] = caller.mode
    return body


def _explain(mapping: Mapping, made: Draft, body: dict[str, Any]) -> None:
    """Why nothing would be sent is on standard error, with what could be filled; the command ends."""
    for trouble in made.troubles:
        told = f"{trouble.error.code}: {trouble.fault.pointer or 'the event'} {trouble.fault.detail}"
        err.print(hanging(f"{mapping.file}:{trouble.line}:", told, styles=("bad", "", "")))
    err.print("as far as it could be filled:", style="faint")
    err.print(pretty(body), markup=False)
    raise click.exceptions.Exit(1)
