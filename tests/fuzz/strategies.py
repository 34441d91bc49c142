"""What is drawn: events, headers and queries on both sides of the contract's rules, and on which side they are."""

import json
import math
from functools import cache
from typing import Any
from urllib.parse import quote

import msgspec
from hypothesis import strategies as st

from .ground import CANARY_PHONES, CODES

_MOST = 255
_CUSTOMER = {"name": "Lê  Thị Bình", "phone": "0912345670", "id": "KH-1", "address": "1 Lê Lợi"}
_DATA: dict[str, dict[str, Any]] = {
    "order.paid": {"order_id": "D-1", "total": 1250000, "paid_at": "2026-11-20", "customer": _CUSTOMER},
    "auth.otp": {"otp": CODES[0]},
    "shipping.status": {"recipient": _CUSTOMER, "order_id": "A-1", "status": "delivered"},
    "bill.issued": {
        "period": 1,
        "from": "2020-04-01",
        "to": "2020-04-30",
        "volume_m3": 12,
        "total": "14500000",
        "customer": _CUSTOMER,
    },
    "fuzz.wide": {
        "items": [{"name": "x", "code": "C"}, {"name": "Điện thoại", "code": "D"}],
        "code": CODES[0],
        "total": 1250000,
        "at": "2026-11-20T08:00:00Z",
        "phones": ["0912345670", "0912345671"],
        "kind": "a",
    },
    "payment.request": {"contract": {"number": "H-1", "price": "1.5"}, "amount": 1000, "customer": _CUSTOMER},
}
_ODD_ATTRIBUTES = ((), (), (), ("id",), ("source",), ("type",), ("specversion",), ("data",), ("data_base64", "id"))
_FURTHER_ATTRIBUTES = ((), (), (), ("time",), ("subject",), ("datacontenttype",), ("traceparent", "a/b~"))
_FORBIDDEN_TO_CHECKOUT = ("bill.issued", "fuzz.wide", "Order.paid")
_MISSING = object()


class Posted(msgspec.Struct, frozen=True):
    """A drawn event, and what the contract says of it."""

    document: Any
    is_structured: bool
    pointers: frozenset[str]  # where it is malformed
    is_unreadable: bool  # no document that any reader may take
    is_forbidden: bool
    is_clean: bool  # nothing about it is left to the gateway's own judgement

    def body(self) -> bytes:
        """As bytes; surrogates stay escaped."""
        return json.dumps(self.document).encode()


@cache
def values() -> st.SearchStrategy[Any]:
    """Any JSON, also what JSON does not have."""
    numbers = st.integers() | st.floats() | st.integers(-(2**65), 2**65) | st.sampled_from([2**63, 2**64, 10**400])
    leaves = (
        st.none()
        | st.booleans()
        | numbers
        | st.text()
        | st.sampled_from(["0912345670", "\ud800", "9" * 400, "2026-02-30", 1e308])
    )
    return st.recursive(leaves, lambda it: st.lists(it, max_size=4) | st.dictionaries(st.text(), it, max_size=4))


@cache
def attributes() -> st.SearchStrategy[Any]:
    """An attribute's value: mostly text of a length around the limit."""
    text = st.text(min_size=1, max_size=20) | st.sampled_from(
        ["a" * _MOST, "a" * (_MOST + 1), "é" * _MOST, "\x85", "\0"]
    )
    return st.one_of(text, text, text, values())


def _changed(draw: st.DrawFn, data: dict[str, Any]) -> dict[str, Any]:
    """The data with up to two of its members another value, at any depth that it has."""
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        name = draw(st.sampled_from(sorted(data)))
        inner = data[name]
        if isinstance(inner, dict) and inner and draw(st.booleans()):
            data = data | {name: inner | {draw(st.sampled_from(sorted(inner))): draw(values())}}
        else:
            data = data | {name: draw(values())}
    return data


@st.composite
def events(draw: st.DrawFn) -> Posted:
    """An event: a valid one in which some members are other values, or missing."""
    is_structured, is_forbidden = draw(st.booleans()), draw(st.integers(0, 9)) == 0
    kind = draw(st.sampled_from(sorted(_DATA)))
    data = _changed(draw, _DATA[kind] | {"phone": draw(st.sampled_from(CANARY_PHONES))})
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": draw(st.text("abc0", min_size=6, max_size=12)),
        "source": "/drawn",
        "type": draw(st.sampled_from(_FORBIDDEN_TO_CHECKOUT)) if is_forbidden else kind,
        "data": data,
    }
    for name in draw(st.sampled_from(_ODD_ATTRIBUTES)):
        value = draw(attributes() | st.just(_MISSING))
        if is_forbidden and name == "type":
            continue
        document.pop(name, None)
        if value is not _MISSING:
            document[name] = value
    is_clean = True
    for name in draw(st.sampled_from(_FURTHER_ATTRIBUTES)):
        document[name] = draw(attributes())
        is_clean = False
    return posted(document, is_structured=is_structured, is_forbidden=is_forbidden, is_clean=is_clean)


def posted(document: dict[str, Any], *, is_structured: bool, is_forbidden: bool, is_clean: bool) -> Posted:
    """The document with what the contract says of it; an attribute that is null is an absent one."""
    return Posted(
        document,
        is_structured,
        frozenset(_pointers(document, is_structured=is_structured)),
        not is_readable(document),
        is_forbidden,
        is_clean and not is_forbidden and isinstance(document.get("type"), str),
    )


def _pointers(document: dict[str, Any], *, is_structured: bool) -> list[str]:
    given = {name: value for name, value in document.items() if value is not None}
    required = ["id", "type", *(["source"] if is_structured else [])]
    wrong = [f"/{name}" for name in ("id", "type", "source") if name in given and not _is_text(given[name])]
    wrong += [f"/{name}" for name in required if name not in given]
    if given.get("specversion", None if is_structured else "1.0") != "1.0":
        wrong.append("/specversion")
    if "data_base64" in given:
        wrong.append("/data_base64")
    return wrong if isinstance(given.get("data"), dict) else [*wrong, "/data"]


def _is_text(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= _MOST:
        return False
    return not any(character < " " or "\x7f" <= character <= "\x9f" for character in value)


def is_readable(node: Any) -> bool:
    """Whether JSON, UTF-8, doubles and 64 bits can hold it."""
    match node:
        case bool() | None:
            return True
        case int():
            return -(2**63) <= node < 2**64  # signed or unsigned: what lies between is left to the gateway
        case float():
            return math.isfinite(node)
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in node)
        case dict():
            return all(is_readable(name) and is_readable(value) for name, value in node.items())
        case list():
            return all(map(is_readable, node))
        case _:
            return False


def batches() -> st.SearchStrategy[list[Posted]]:
    """Several events, structured as a batch wants them."""
    one = events().map(lambda it: posted(it.document, is_structured=True, is_forbidden=False, is_clean=False))
    return st.lists(one, max_size=5)


_TIMES = (
    "2026-11-23T08:00:00Z",
    "2026-11-23T08:00:00%2B07:00",
    "2000-01-01t00:00:00z",
    "2026-11-23T08:00:00.123456Z",
)
_BAD_TIMES = (
    "",
    "x",
    "2026-02-30T08:00:00Z",
    "2026-11-23T08:00:00",
    "2026-11-23",
    "2026-W48-1",
    "24:00",
    "10000-01-01",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
)
_GOOD: dict[str, st.SearchStrategy[str]] = {
    "limit": st.integers(1, 1000).map(str),
    "status": st.sampled_from(["sent", "queued", "failed", "delivered"]),
    "since": st.sampled_from(_TIMES),
    "until": st.sampled_from(_TIMES),
    "type": st.text(max_size=20).map(lambda it: quote(it, safe="")),
    "event_id": st.text(max_size=20).map(lambda it: quote(it, safe="")),
    "phone": st.sampled_from([quote(phone, safe="") for phone in CANARY_PHONES]),
}
_BAD: dict[str, st.SearchStrategy[str]] = {
    "limit": st.sampled_from(["0", "1001", "-1", "", "1.0", "x", "%D9%A1", "99999999999999999999", "+5", "0x5"]),
    "status": st.sampled_from(["", "Sent", "gone", "%00"]),
    "since": st.sampled_from(_BAD_TIMES),
    "until": st.sampled_from(_BAD_TIMES),
    "updated_after": st.sampled_from(_BAD_TIMES),
    "phone": st.sampled_from(["", "x", "0241234567", quote(f"{CANARY_PHONES[0]}9")]),
    "cursor": st.sampled_from(["", "%00", "x", "%ff", "a" * 3000, "bm90aGluZw", "-1"]),
    "colour": st.text(max_size=5).map(lambda it: quote(it, safe="")),
}


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, bool]:
    """A list's query, and whether it is a good one."""
    names = draw(st.lists(st.sampled_from(sorted(_GOOD)), unique=True, max_size=3))
    pairs = [(name, draw(_GOOD[name])) for name in names]
    is_good = draw(st.booleans())
    if not is_good:
        name = draw(st.sampled_from(sorted(_BAD)))
        pairs = [pair for pair in pairs if pair[0] != name] + [(name, draw(_BAD[name]))]
    return "&".join(f"{name}={value}" for name, value in draw(st.permutations(pairs))), is_good


def headers() -> st.SearchStrategy[list[tuple[str, str]]]:
    """Headers that mean something to events, with whatever a header's value may hold."""
    names = [
        "Prefer",
        "Idempotency-Key",
        "Content-Type",
        "ce-id",
        "ce-type",
        "ce-source",
        "ce-specversion",
        "X-Any",
    ]
    odd = ["wait=0", "wait=99999999999", "respond-async", '"k"', "%00", "%ff", "1.0", '"\\"', "application/json"]
    text = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f"), max_size=30)
    return st.lists(st.tuples(st.sampled_from(names), text | st.sampled_from(odd)), min_size=1, max_size=4)
