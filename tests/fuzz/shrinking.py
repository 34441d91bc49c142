"""A request with as few bytes as still show what is wrong."""

import re
import time
from collections.abc import Awaitable, Callable

_TRIES = 120
_LONGEST_S = 20.0
_LENGTH = re.compile(rb"(?i)(\r\ncontent-length: ?)(\d+)(?=\r\n)")


async def shrunk(raw: bytes, shows: Callable[[bytes], Awaitable[bool]]) -> bytes:
    """The least request found from which `shows` still holds; `raw` itself if it does not hold of that."""
    if not await shows(raw):
        return raw
    tries, end = _TRIES, time.monotonic() + _LONGEST_S
    size = max(1, len(raw) // 2)
    while size >= 1 and tries > 0 and time.monotonic() < end:
        at, was_shorter = 0, False
        while at < len(raw) and tries > 0 and time.monotonic() < end:
            for candidate in _without(raw, at, size):
                tries -= 1
                if await shows(candidate):
                    raw, was_shorter = candidate, True
                    break
            else:
                at += size
        size = size if was_shorter and size > 64 else size // 2
    return raw


def _without(raw: bytes, at: int, size: int) -> list[bytes]:
    """The request without these bytes: as it is then, and with a length that fits."""
    candidate = raw[:at] + raw[at + size :]
    head, separator, body = candidate.partition(b"\r\n\r\n")
    fitted = _LENGTH.sub(lambda it: it[1] + str(len(body)).encode(), head) + separator + body
    return [fitted] if fitted == candidate else [fitted, candidate]
