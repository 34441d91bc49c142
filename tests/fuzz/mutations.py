"""How a valid request is spoilt: in its body, in its head, in both, or in the bytes of the whole."""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from .corpus import BATCH, PLAIN, STRUCTURED, Corpus
from .tokens import HEADERS, LINES, NAMES, TOKENS, VALUES
from .wire import Ask, chunked

DEEP = 200_000
HUGE = 10 << 20
_TYPES = (
    PLAIN,
    STRUCTURED,
    BATCH,
    "text/plain",
    "application/json;",
    " Application/JSON ; charset=x",
    "a/b/c",
    "",
)


def mutated(random: Random, corpus: Corpus) -> bytes:
    """A spoilt request, as bytes."""
    ask = corpus.ask(random)
    kind = random.random()
    if kind < 0.12:
        return ask.bytes()
    if kind < 0.14:
        return ask.bytes() + corpus.ask(random).bytes()
    if kind < 0.62:
        return _with_body(random, ask, corpus)
    if kind < 0.84:
        return b"\r\n".join(_spoilt_head(random, ask.head())) + _framed(ask)
    if kind < 0.89:
        return b"\r\n".join(_spoilt_head(random, ask.head())) + spoilt(random, _framed(ask))
    if kind < 0.93:
        other = corpus.ask(random).bytes()
        raw = ask.bytes()
        return raw[: random.randrange(len(raw))] + other[random.randrange(len(other)) :]
    return spoilt(random, ask.bytes())


def spoilt(random: Random, raw: bytes) -> bytes:
    """The bytes after one to four mutations."""
    for _ in range(random.choice([1, 1, 1, 2, 2, 4])):
        raw = random.choice(_BYTE_MUTATIONS)(random, raw)
    return raw


def _with_body(random: Random, ask: Ask, corpus: Corpus) -> bytes:
    """Another body, mostly with the length and the signature that fit it."""
    body = _spoilt_body(random, ask.body)
    headers = ask.headers
    if random.random() < 0.15:
        headers = tuple(
            (name, random.choice(_TYPES) if name == "Content-Type" else value) for name, value in headers
        )
    changed = Ask(ask.method, ask.target, headers, body, ask.is_chunked)
    if any(name == "X-ZEvent-Signature" for name, _ in headers) and random.random() < 0.9:
        changed = corpus.signed(changed)
    if changed.is_chunked or random.random() < 0.97:
        return changed.bytes()
    return changed.head(random.choice([0, len(body) + 1, len(body) - 1, 10**19])) + body


def _spoilt_body(random: Random, body: bytes) -> bytes:
    kind = random.random()
    if kind < 0.65:
        return _spoilt_json(random, body)
    if kind < 0.658:
        return random.choice(
            [b"[" * DEEP, b'{"a":' * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"data":' + b"[" * 100_000]
        )
    if kind < 0.6583:
        return random.choice([b"[" * HUGE, b'{"id":"' + b"a" * HUGE + b'"}', b" " * HUGE])
    return spoilt(random, body)


def _spoilt_json(random: Random, body: bytes) -> bytes:
    """The same document with some of its values, or its members' names, replaced."""
    try:
        document = json.loads(body)
    except ValueError:
        return spoilt(random, body)
    for _ in range(random.choice([1, 1, 2, 3])):
        spots = list(_spots(document))
        if not spots:
            break
        holder, name = random.choice(spots)
        if isinstance(holder, dict) and random.random() < 0.2:
            holder[random.choice(NAMES)] = holder.pop(name)
        else:
            holder[name] = deepcopy(random.choice(VALUES))
    text = json.dumps(document, ensure_ascii=random.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def _spots(node: Any) -> Any:
    """Every place in the document that holds a value."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in list(items):
        yield node, name
        yield from _spots(value)


def _spoilt_head(random: Random, head: bytes) -> list[bytes]:
    """The head's lines, with lines changed, added, doubled, taken away or moved."""
    lines = head.split(b"\r\n")
    for _ in range(random.choice([1, 1, 2, 3])):
        at = random.randrange(len(lines) - 2) if len(lines) > 2 else 0
        match random.randrange(9):
            case 0 | 1 | 2:
                lines.insert(max(1, at), random.choice(HEADERS))
            case 3:
                lines[0] = random.choice(LINES)
            case 4:
                lines[0] = _spoilt_target(random, lines[0])
            case 5:
                lines[at] = spoilt(random, lines[at])
            case 6:
                lines.insert(max(1, at), lines[at])
            case 7 if at:
                del lines[at]
            case _:
                lines[at] += random.choice(
                    [b" ", b"\t", b"\r", b"\n", b"\x00", b"\xa0", b";", b"%00", b"\xe1\xba\xa9"]
                )
    return lines


def _spoilt_target(random: Random, line: bytes) -> bytes:
    method, _, rest = line.partition(b" ")
    target, _, version = rest.rpartition(b" ")
    token = random.choice(TOKENS)
    if random.random() < 0.6:  # so that it may stand in a target, and reaches what reads it
        token = b"".join(b"%%%02x" % byte for byte in token[:500])
    at = random.randrange(len(target) + 1)
    if b"=" in target and random.random() < 0.6:
        at = random.choice([place for place in range(len(target)) if target[place] == ord("=")]) + 1
    return b"%b %b%b%b %b" % (method, target[:at], token, target[at:], version)


def _framed(ask: Ask) -> bytes:
    return chunked(ask.body) if ask.is_chunked else ask.body


def _flip(random: Random, raw: bytes) -> bytes:
    if not raw:
        return raw
    at = random.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ (1 << random.randrange(8))]) + raw[at + 1 :]


def _drop(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + raw[at + random.choice([1, 1, 2, 8, 40]) :]


def _insert(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + random.choice(TOKENS) + raw[at:]


def _replace(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + random.choice(TOKENS) + raw[at + random.randrange(20) :]


def _cut(random: Random, raw: bytes) -> bytes:
    return raw[: random.randrange(len(raw) + 1)]


def _double(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw) + 1)
    end = at + random.randrange(60)
    return raw[:end] + raw[at:]


_BYTE_MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (
    *[_flip] * 3,
    *[_insert] * 4,
    *[_replace] * 3,
    *[_drop] * 2,
    _cut,
    _double,
)
