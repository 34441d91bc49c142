"""One line of JSON a fact, on standard error; what libraries log comes out the same way."""

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec


def render(_: Any, __: str, fields: Any) -> bytes:
    """One line of JSON; control characters are escaped by JSON itself, so a value cannot start a line."""
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


class _Foreign(logging.Handler):
    """What libraries log, as one of our lines: who, how serious, and the kind of error, never its text."""

    def __init__(self, stream: Any) -> None:
        super().__init__(logging.WARNING)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        fields = {"event": "library", "logger": record.name, "level": record.levelname.lower(), "error": error}
        fields["at"] = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        with suppress(OSError, ValueError):
            self._stream.write(render(None, "", fields) + b"\n")
            self._stream.flush()


def quiet_libraries(stream: Any) -> None:
    """What libraries log through `logging` comes out as JSON lines, from warnings up."""
    logging.root.handlers[:] = [_Foreign(stream)]
    logging.root.setLevel(logging.WARNING)
