"""Tables that fit: on a terminal never wider than it is, in a pipe plain and whole."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from .terminal import now, out

ROOMY: Final = 100  # columns from which on a terminal is told more
_GAP: Final = "  "
_HANG: Final = 2
_LEAST_TEXT: Final = 24


class Column(msgspec.Struct, frozen=True):
    """One column: `rank` 0 is always shown, of the others the highest goes first where there is no room.

    Where `least` is given the cells may be cut to so many characters before a column has to go.
    """

    heading: str
    cells: Sequence[str]
    rank: int = 0
    least: int | None = None
    styles: Sequence[str] = ()

    @property
    def width(self) -> int:
        """As wide as its widest cell."""
        return max(map(cell_len, [self.heading, *self.cells]))


def is_roomy() -> bool:
    """True in a pipe, and on a terminal where there is room for more than what matters most."""
    return not out.is_terminal or out.width >= ROOMY


def print_columns(columns: Sequence[Column], remarks: Column | None = None) -> list[str]:
    """The table is printed; what is returned are the headings of what had no room, or not the whole of it.

    `remarks` are its last column, whose cells are wrapped within it.
    """
    widths = {id(column): column.width for column in columns}
    shown, lost = list(columns), list[str]()
    if out.is_terminal:
        shown, lost = _fitting(shown, widths, out.width)
    sizes = [widths[id(column)] for column in shown]
    indent = sum(sizes) + len(_GAP) * len(sizes)
    for row in range(-1, len(columns[0].cells)):
        cells = [_cell(column, row) for column in shown]
        line = _line(cells, sizes)
        if remarks is not None and (remark := _cell(remarks, row)).plain:
            if out.is_terminal and indent > out.width - _LEAST_TEXT:  # it stands below its row
                line.append("\n" + " " * _HANG + _wrapped(remark.plain, _HANG), remark.style)
            else:
                line.append(" " * (indent - cell_len(line.plain)))
                line.append(_wrapped(remark.plain, indent), remark.style)
        out.print(line)
    return lost


def print_fields(fields: Sequence[tuple[str, str, str]]) -> None:
    """Names and values, one a line, each value wrapped beside its name; the third is the value's style."""
    indent = max(cell_len(name) for name, _, _ in fields) + len(_GAP)
    for name, value, style in fields:
        out.print(Text().append(name.ljust(indent), "faint").append(_wrapped(value, indent), style))


def _cell(column: Column, row: int) -> Text:
    """The heading in row -1, else a cell."""
    if row < 0:
        return Text(column.heading, "faint")
    return Text(column.cells[row], column.styles[row] if column.styles else "")


def _wrapped(text: str, indent: int, start: int | None = None) -> str:
    """The text, on a terminal broken between words so that it stands within it, right of the indent."""
    room = out.width - indent
    if not out.is_terminal or room < _LEAST_TEXT:
        return text
    lines = [""]
    used = 0 if start is None else start - indent
    for word in text.split(" "):
        gap = " " if lines[-1] else ""
        if gap and used + cell_len(word) + 1 > room:
            lines.append(word)
            used = cell_len(word)
        else:
            lines[-1] += gap + word
            used += cell_len(gap + word)
    return ("\n" + " " * indent).join(lines)


def _fitting(columns: list[Column], widths: dict[int, int], room: int) -> tuple[list[Column], list[str]]:
    """The columns that fit into the room, the last to go perhaps narrower; and the headings of what is not whole."""
    lost: list[str] = []
    while (excess := sum(widths[id(it)] for it in columns) + len(_GAP) * (len(columns) - 1) - room) > 0:
        last = max(columns, key=lambda column: column.rank)
        if last.rank == 0:
            break
        lost.append(last.heading)
        if last.least is not None and last.width - excess >= max(last.least, cell_len(last.heading)):
            widths[id(last)] = last.width - excess
        else:
            columns.remove(last)
    return columns, lost


def _line(cells: list[Text], widths: list[int]) -> Text:
    line = Text()
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        is_last = number == len(cells) - 1
        fitted = _cut(cell, width)
        line.append_text(fitted)
        if not is_last:
            line.append(" " * (width - cell_len(fitted.plain)) + _GAP)
    line.rstrip()
    return line


def _cut(cell: Text, width: int) -> Text:
    if cell_len(cell.plain) <= width:
        return cell
    return Text(set_cell_size(cell.plain, width - 1).rstrip() + "…", cell.style)


def clock(moment: datetime | None) -> str:
    """The time in UTC: whole in a pipe, on a terminal without what goes without saying."""
    if moment is None:
        return "–"
    if not out.is_terminal:
        return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    today = now()
    if is_roomy():
        return moment.strftime(f"{'' if moment.year == today.year else '%Y-'}%m-%d %H:%M:%SZ")
    if moment.date() == today.date():
        return moment.strftime("%H:%MZ")
    return moment.strftime(f"{'' if moment.year == today.year else '%Y-'}%m-%d %H:%MZ")


def plain(text: str) -> str:
    """Text of somebody else's on one line: nothing in it moves the cursor or changes a colour."""
    return "".join(character if character.isprintable() else "?" for character in text)


def hanging(
    head: str, text: str, tail: str = "", *, styles: tuple[str, str, str] = ("name", "", "doubtful")
) -> Text:
    """`head text, tail`: on a terminal in lines that it holds, all but the first indented, `head` never broken."""
    whole = f"{text}, {tail}" if tail else text
    if not out.is_terminal:
        line = Text(f"{head} {whole}")
    elif len(head) > out.width - _LEAST_TEXT:  # what follows begins on a line of its own
        line = Text(f"{head}\n{' ' * _HANG}{_wrapped(whole, _HANG)}")
    else:
        line = Text(f"{head} {_wrapped(whole, _HANG, start=len(head) + 1)}")
    borders = [0, len(head), _place(line.plain, len(tail.replace(" ", ""))), len(line)]
    for style, start, end in zip(styles, borders, borders[1:], strict=False):
        line.stylize(style, start, end)
    return line


def _place(text: str, letters: int) -> int:
    """Where the last so many letters of the text begin."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    return places[-letters] if letters else len(text)
