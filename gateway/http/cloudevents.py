"""CloudEvents 1.0 over HTTP: which mode a request is in, and the event or the events that it carries.

Source: CloudEvents' HTTP protocol binding 1.0.2, §3.
"""

import re
from enum import Enum
from typing import Any, Final

from gateway.core.document import read_document, read_documents
from gateway.core.errors import Fault, GatewayError, MalformedEvent, UnsupportedMediaType, clip, pointer
from gateway.core.event import Event, is_json, read_event

from .doors import Headers

PLAIN: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_CHARSET: Final = re.compile(r';\s*charset\s*=\s*"?([^\s;"]*)', re.IGNORECASE)
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")


class Mode(Enum):
    """How a request carries what it carries."""

    PLAIN = "plain"
    STRUCTURED = "structured"
    BINARY = "binary"
    BATCH = "batch"


_MODES: Final = {PLAIN: Mode.PLAIN, STRUCTURED: Mode.STRUCTURED, BATCH: Mode.BATCH}


def mode_of(headers: Headers) -> Mode:
    """The mode that the headers announce; raises UnsupportedMediaType for none of ours."""
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise UnsupportedMediaType("send the body as it is: no Content-Encoding is read")
    given = headers.get(b"content-type", b"").decode("latin-1")
    media_type = given.partition(";")[0].strip().lower()
    charset = _CHARSET.search(given)
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"send the body in UTF-8, not in {clip(charset[1], 20)}")
    # Of a whole event the headers may say some once more (§3.2.3, §3.3.3): its media type decides first.
    mode = _MODES.get(media_type)
    if mode is not None and (mode is not Mode.PLAIN or b"ce-specversion" not in headers):
        return mode
    if b"ce-specversion" in headers:
        if not media_type or is_json(media_type):
            return Mode.BINARY
        raise UnsupportedMediaType(f"with ce-* headers the body is the event's data: send JSON, as {PLAIN}")
    raise UnsupportedMediaType(
        f"send one event as {PLAIN} or {STRUCTURED}, or its data as {PLAIN} with ce-* headers; several as {BATCH}"
    )


def read_one(mode: Mode, headers: Headers, body: bytes, *, caller: str) -> Event:
    """The one event in the request; raises MalformedEvent with every fault that was found."""
    if mode is Mode.BATCH:
        raise UnsupportedMediaType(f"this call takes one event: send it as {PLAIN} or {STRUCTURED}")
    document: Any
    if mode is Mode.BINARY:
        document = _attributes(headers)
        if body.strip():
            document["data"] = _data(body)
    else:
        document = read_document(body)
        if isinstance(document, list):
            raise MalformedEvent(f"the body is an array: send several events as {BATCH}", errors=[_NO_OBJECT])
    return read_event(document, default_source=caller, needs_specversion=mode is not Mode.PLAIN)


def _data(body: bytes) -> Any:
    """The event's data; a fault in it is told by where it lies in the event."""
    try:
        return read_document(body)
    except MalformedEvent as refusal:
        errors = [Fault(f"/data{it.pointer}", it.detail) for it in refusal.errors]
        raise MalformedEvent(refusal.detail, errors=errors) from None


def read_batch(body: bytes, *, max_count: int, max_length: int) -> list[Event | GatewayError]:
    """The events of a batch in the order given, and in the place of each that cannot be read why that is so.

    Raises MalformedEvent for a body that is no batch at all, and TooLarge for one of more than `max_count`.
    """
    documents = read_documents(body, max_count=max_count, max_length=max_length)
    if not documents:
        raise MalformedEvent("the batch is empty", errors=[Fault("", "must hold one event at least")])
    return [_event(document) for document in documents]


def unquoted(value: bytes) -> bytes:
    """The header's value without the quotes around it, if there are any."""
    value = value.strip()
    quoted = _QUOTED.fullmatch(value)
    return value if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted[1])


_NO_OBJECT: Final = Fault("", "must be a JSON object")


def _event(document: Any) -> Event | GatewayError:
    if isinstance(document, GatewayError):
        return document
    try:
        return read_event(document, default_source="", needs_specversion=True)
    except MalformedEvent as refusal:
        return refusal


def _attributes(headers: Headers) -> dict[str, Any]:
    """The event's attributes in the `ce-*` headers; raises MalformedEvent with every one that cannot be read."""
    attributes: dict[str, Any] = {}
    faults: list[Fault] = []
    for header, value in headers.items():
        if not header.startswith(b"ce-"):
            continue
        name = header[3:].decode("latin-1")
        try:
            attributes[name] = _decoded(value)
            if header in headers.repeated:
                raise ValueError("is given twice")
            if name in ("data", "data_base64"):
                raise ValueError("is no header: the body is the data")
        except ValueError as error:
            faults.append(Fault(pointer(clip(name)), f"(the header ce-{clip(name)}) {error}"))
    if faults:
        raise MalformedEvent(f"{len(faults)} fault(s) in the ce-* headers, see `errors`", errors=faults)
    return attributes


def _decoded(value: bytes) -> str:
    """The text of a `ce-*` header: quotes taken off, then percent-decoded once; raises ValueError."""

    def byte(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise ValueError("has a % that begins no percent-encoded byte; write %25 for the sign itself")
        return bytes((int(found[1], 16),))

    try:
        return _PERCENT.sub(byte, unquoted(value)).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; percent-encode it") from None
