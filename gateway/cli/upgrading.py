"""A request that also asks for another protocol is answered in this one."""

from collections.abc import Iterable


def without_upgrade(line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head with this first line and these headers, as one that does not ask; names are in lower case."""
    lines = [line]
    for name, value in headers:
        if name == b"connection":
            value = b", ".join(it for it in value.split(b",") if it.strip().lower() in (b"close", b"keep-alive"))
        if name not in (b"upgrade", b"http2-settings"):
            lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"
