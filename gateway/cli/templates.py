"""`templates pull` and `templates diff`: Zalo's definitions of the templates that the mappings fill."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import click
import msgspec

from gateway.core.errors import CannotStart, clip
from gateway.core.mapping import ConfigFault

from .completion import accounts, snapshots
from .live import NO_SUCH_TEMPLATE, Found, Heard, Missing, Wanted, hear, wanted_templates
from .snapshots import Around, Difference, around, broken_by, compared, record
from .tables import hanging
from .terminal import Asking, Group, err, out, pretty, with_config, with_json

_ENABLED: Final = "ENABLE"
_IN_REVIEW: Final = "PENDING_REVIEW"

Outcome = Literal["new", "changed", "unchanged", "gone", "refused", "unwritten"]
_STYLES: Final[Mapping[Outcome, str]] = {"new": "doubtful", "changed": "doubtful", "unchanged": "good"}
_FAILED: Final[frozenset[Outcome]] = frozenset({"gone", "refused", "unwritten"})


class Line(msgspec.Struct, frozen=True):
    """What is told of one template; `passing` are the changes that do not count, `error` is Zalo's number."""

    template_id: str
    account: str
    outcome: Outcome
    changes: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()
    status: str = ""
    is_written: bool = False
    detail: str | None = None
    error: int | None = None


class Report(msgspec.Struct, frozen=True):
    """All that is told: of each template, of the mappings that break, and of what could not be asked."""

    templates: tuple[Line, ...]
    breaks: tuple[ConfigFault, ...]
    troubles: tuple[str, ...]


@click.group(cls=Group)
def templates() -> None:
    """Zalo's definitions of the templates, recorded beside the configuration."""


def _with_account(command: Any) -> Any:
    told = "Only its templates; whose they are, where no mapping says it."
    return click.option("--account", shell_complete=accounts, help=told)(command)


@templates.command()
@with_config
@click.argument("template_ids", metavar="[TEMPLATE_ID]…", nargs=-1, shell_complete=snapshots)
@_with_account
@with_json
@click.pass_obj
def pull(asking: Asking, template_ids: tuple[str, ...], account: str | None, is_json: bool) -> None:
    """Record what Zalo says of these templates, or of all that the mappings use, in templates/.

    Files that say the same already stay untouched. A gateway that serves takes up the others by itself. Exits 2
    unless every template could be pulled.
    """
    it, heard = _look(asking, template_ids, account)
    lines = tuple(_recorded(it, wanted, answer) for wanted, answer in heard.answers.items())
    written = {line.template_id for line in lines if line.is_written}
    report = Report(lines, _broken(it, heard, written), heard.troubles)
    _tell(
        report,
        is_json,
        _told_pulled,
        "check finds from now on:",
    )
    if report.troubles or any(line.outcome in _FAILED for line in lines):
        raise click.exceptions.Exit(2)


@templates.command()
@with_config
@click.argument("template_ids", metavar="[TEMPLATE_ID]…", nargs=-1, shell_complete=snapshots)
@_with_account
@with_json
@click.pass_obj
def diff(asking: Asking, template_ids: tuple[str, ...], account: str | None, is_json: bool) -> None:
    """Tell how Zalo's templates differ from the snapshots, and which mappings a pull would break; write nothing.

    Exits 1 if anything differs, 2 if Zalo could not be asked.
    """
    it, heard = _look(asking, template_ids, account)
    lines = tuple(
        _line(wanted, answer, _difference(it, wanted, answer)) for wanted, answer in heard.answers.items()
    )
    every = {line.template_id for line in lines}
    report = Report(lines, _broken(it, heard, every), heard.troubles)
    _tell(report, is_json, _told_different, "after a pull, check would find:")
    if report.troubles or any(line.outcome == "refused" for line in lines):
        raise click.exceptions.Exit(2)
    if report.breaks or any(line.outcome != "unchanged" for line in lines):
        raise click.exceptions.Exit(1)


def _look(asking: Asking, ids: Sequence[str], account: str | None) -> tuple[Around, Heard]:
    """What lies beside the config, and what Zalo says."""
    loaded = asking.load_for_store()
    it = around(loaded)
    wanted, troubles = wanted_templates(loaded, it.mappings, ids, account)
    heard = hear(asking, loaded, wanted)
    return it, msgspec.structs.replace(heard, troubles=(*troubles, *heard.troubles))


def _difference(it: Around, wanted: Wanted, answer: Found | Missing) -> Difference:
    snapshot = it.snapshots.get(str(it.path(wanted.template_id)))
    return compared(snapshot, answer) if isinstance(answer, Found) else Difference()


def _line(wanted: Wanted, answer: Found | Missing, difference: Difference) -> Line:
    """What is told of the template as long as nothing is written."""
    template_id, account = wanted.template_id, wanted.account
    if isinstance(answer, Missing):
        outcome: Outcome = "gone" if answer.number == NO_SUCH_TEMPLATE else "refused"
        return Line(template_id, account, outcome, detail=answer.detail, error=answer.number)
    outcome = "new" if difference.is_new else "changed" if difference.changes else "unchanged"
    status = answer.document.get("status")
    return Line(
        template_id,
        account,
        outcome,
        difference.changes,
        difference.passing,
        status if isinstance(status, str) else "",
    )


def _recorded(it: Around, wanted: Wanted, answer: Found | Missing) -> Line:
    """What is told of the template, once its snapshot says what Zalo says."""
    difference = _difference(it, wanted, answer)
    line = _line(wanted, answer, difference)
    if isinstance(answer, Missing) or difference.is_same:
        return line
    try:
        record(it.path(wanted.template_id), answer.raw)
    except CannotStart as error:
        return msgspec.structs.replace(line, outcome="unwritten", detail=error.detail)
    return msgspec.structs.replace(line, is_written=True)


def _broken(it: Around, heard: Heard, ids: set[str]) -> tuple[ConfigFault, ...]:
    """What breaks if the definitions of these templates count, and those that Zalo does not have are gone."""
    live, gone = {}, set()
    for wanted, answer in heard.answers.items():
        if isinstance(answer, Found):
            if wanted.template_id in ids:
                live[wanted.template_id] = answer.raw
        elif answer.number == NO_SUCH_TEMPLATE:
            gone.add(wanted.template_id)
    return tuple(broken_by(it, live, gone)) if live or gone else ()


def _tell(report: Report, is_json: bool, told: Any, heading: str) -> None:
    """What could not be done goes to standard error, all else to standard output; with --json all goes there."""
    if is_json:
        click.echo(pretty(report))
        return
    if not report.templates and not report.troubles:
        out.print("no mapping uses a template", style="faint")
    for line in report.templates:
        told(line)
    if report.breaks:
        out.print(heading, style="bad")
    for fault in report.breaks:
        out.print(hanging(f"{fault.file}:{fault.line}:", fault.what, fault.cure, styles=("bad", "", "doubtful")))
    for trouble in report.troubles:
        _fault(trouble)


def _told_pulled(line: Line) -> None:
    """One line."""
    if line.detail is not None:
        _fault(f"{line.template_id}: {_failure(line)}")
        return
    what = f": {'; '.join(line.changes)}" if line.changes else _passing(line)
    told = line.outcome + what + _status(line)
    out.print(hanging(f"{line.template_id}:", told, styles=(_STYLES[line.outcome], "", "")))


def _told_different(line: Line) -> None:
    """One line a difference."""
    if line.outcome == "refused":
        _fault(f"{line.template_id}: {_failure(line)}")
        return
    told = {"new": ["no snapshot yet"], "gone": [_failure(line)], "unchanged": ["no difference" + _passing(line)]}
    for each in told.get(line.outcome, line.changes):
        out.print(hanging(f"{line.template_id}:", each, styles=(_STYLES.get(line.outcome, "bad"), "", "")))
    if status := _status(line):
        out.print(hanging(f"{line.template_id}:", status.removeprefix("; "), styles=("doubtful", "", "")))


def _failure(line: Line) -> str:
    return f"{line.detail}" + ("" if line.error is None else f" ({line.error})")


def _passing(line: Line) -> str:
    return f" ({'; '.join(line.passing)})" if line.passing else ""


def _status(line: Line) -> str:
    """What follows from a status other than the one that lets it be sent."""
    if line.status.upper() in ("", _ENABLED):
        return ""
    what = "goes out in development mode only" if line.status.upper() == _IN_REVIEW else "Zalo does not send it"
    return f"; status {clip(line.status)}: {what}"


def _fault(text: str) -> None:
    err.print(text, style="bad", markup=False)
