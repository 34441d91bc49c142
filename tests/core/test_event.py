"""A CloudEvent is read whole or refused with every fault and its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import MalformedEvent
from gateway.core.event import Event, read_event

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "evt-1",
    "source": "/checkout",
    "type": "order.paid",
    "data": {"total": 1},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def read(document: Any, *, strictly: bool = True) -> Event:
    return read_event(document, default_source="caller", needs_specversion=strictly)


def faults(document: Any, *, strictly: bool = True) -> set[str]:
    with pytest.raises(MalformedEvent) as refused:
        read(document, strictly=strictly)
    return {fault.pointer for fault in refused.value.errors}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name not in names}


def test_a_whole_event_is_read_with_its_extensions() -> None:
    event = read(
        GOOD
        | {"time": "2026-11-23T00:00:00Z", "subject": "s", "datacontenttype": "application/json", "traceid": "x"}
    )
    assert event == Event(
        "evt-1", "/checkout", "order.paid", {"total": 1}, "2026-11-23T00:00:00Z", "s", {"traceid": "x"}
    )


def test_plain_json_may_leave_out_the_version_and_the_source() -> None:
    assert read(without("specversion", "source"), strictly=False).source == "caller"
    assert faults(without("specversion", "source")) == {"/specversion", "/source"}


@pytest.mark.parametrize("name", ["time", "subject", "datacontenttype", "data_base64", "traceid"])
def test_an_optional_attribute_that_is_null_is_absent(name: str) -> None:
    assert read(GOOD | {name: None}) == read(GOOD)
    assert name not in read(GOOD | {name: None}).names()


def test_an_attribute_that_is_null_has_its_default() -> None:
    assert read(GOOD | {"source": None, "specversion": None}, strictly=False).source == "caller"


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "data"])
@pytest.mark.parametrize("value", ["absent", None, "", 1, True, [], {}])
def test_what_is_needed_and_is_missing_or_of_another_kind_is_named(name: str, value: Any) -> None:
    document = without(name) if value == "absent" else GOOD | {name: value}
    if name == "data" and value == {}:
        assert read(document).data == {}
    else:
        assert faults(document) == {f"/{name}"}


@pytest.mark.parametrize("name", ["id", "source", "type"])
def test_an_attribute_has_at_most_255_characters_and_no_control_among_them(name: str) -> None:
    assert getattr(read(GOOD | {name: "ạ" * 255}), name) == "ạ" * 255
    assert faults(GOOD | {name: "a" * 256}) == {f"/{name}"}
    for control in ("\0", "\n", "\x1b", "\x7f", "\x85", "\x9f"):
        assert faults(GOOD | {name: f"a{control}b"}) == {f"/{name}"}
    assert getattr(read(GOOD | {name: "a\u200db\u00a0😀"}), name)


@pytest.mark.parametrize("version", ["0.3", "1", "1.0 ", 1.0])
def test_another_version_is_refused_also_where_none_is_needed(version: Any) -> None:
    assert faults(GOOD | {"specversion": version}, strictly=False) == {"/specversion"}


def test_binary_data_is_refused() -> None:
    assert faults(without("data") | {"data_base64": "e30="}) == {"/data_base64", "/data"}


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", "Application/Vnd.X+JSON"]
)
def test_data_may_be_any_kind_of_json(media_type: str) -> None:
    assert read(GOOD | {"datacontenttype": media_type}) == read(GOOD)


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "", "json", 1])
def test_data_may_be_nothing_else(media_type: Any) -> None:
    assert faults(GOOD | {"datacontenttype": media_type}) == {"/datacontenttype"}


def test_every_fault_is_told_at_once() -> None:
    document = {"specversion": "2", "id": "", "type": 1, "time": 5, "subject": "", "data": []}
    assert faults(document) == {"/specversion", "/id", "/source", "/type", "/time", "/subject", "/data"}


@pytest.mark.parametrize("document", [None, 1, "x", [], [GOOD]])
def test_what_is_no_object_is_no_event(document: Any) -> None:
    assert faults(document) == {""}


@given(st.dictionaries(st.sampled_from([*GOOD, "time", "subject", "datacontenttype", "data_base64", "x"]), JSON))
def test_any_object_is_an_event_or_malformed_and_its_pointers_are_its_attributes(document: dict[str, Any]) -> None:
    try:
        event = read(GOOD | document, strictly=False)
    except MalformedEvent as malformed:
        named = {fault.pointer.removeprefix("/") for fault in malformed.errors}
    else:
        named = set()
        assert None not in event.names().values()
    assert named <= {*GOOD, *document}
