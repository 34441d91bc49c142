"""Whatever does not fit a shape is told with its place, and with what fits."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.misfits import misfit, misfits

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=5)]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of each kind that a body of ours has."""

    status: Literal["delivered", "failed"]
    count: Annotated[int, msgspec.Meta(ge=0, le=9)] | None = None
    note: Annotated[str, msgspec.Meta(max_length=3)] | None = None
    since: Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})] | None = None
    dry_run: bool = False
    names: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=2)] | None = None


COUNT = "`count` must be a whole number from 0 to 9"
NAMES = "`names` must be a list of 1 to 2 items, each text of 1 to 5 characters"


@pytest.mark.parametrize(
    ("member", "pointer", "detail"),
    [
        ({"status": "sent"}, "/status", "`status` must be one of delivered, failed"),
        ({"status": None}, "/status", "`status` must be one of delivered, failed"),
        ({"count": -1}, "/count", COUNT),
        ({"count": 10}, "/count", COUNT),
        ({"count": "1"}, "/count", COUNT),
        ({"count": 1.5}, "/count", COUNT),
        ({"count": True}, "/count", COUNT),
        ({"count": 2**64 - 1}, "/count", COUNT),
        ({"note": "long"}, "/note", "`note` must be text of at most 3 characters"),
        ({"note": 7}, "/note", "`note` must be text of at most 3 characters"),
        ({"since": 7}, "/since", "`since` must be a time with its zone, such as 2026-11-23T08:00:00Z"),
        ({"dry_run": "yes"}, "/dry_run", "`dry_run` must be true or false"),
        ({"names": []}, "/names", NAMES),
        ({"names": "a"}, "/names", NAMES),
        ({"names": ["a", ""]}, "/names/1", NAMES),
        ({"names": ["a", 7]}, "/names/1", NAMES),
        ({"names": ["a"] * 3}, "/names", NAMES),
        (
            {"a/b~": 1},
            "/a~1b~0",
            "there is no member `a/b~`; there are count, dry_run, names, note, since, status",
        ),
    ],
)
def test_what_does_not_fit_is_told_where_it_stands_with_what_does(member: Any, pointer: str, detail: str) -> None:
    (fault,) = misfits({"status": "failed", **member}, Shape)
    assert fault.pointer == pointer
    assert fault.detail.startswith(detail)


def test_everything_is_told_at_once_and_what_is_missing_too() -> None:
    faults = misfits({"count": "1", "nope": 1}, Shape)
    assert [fault.pointer for fault in faults] == ["/count", "/nope", "/status"]
    assert faults[-1].detail == "`status` is missing: it must be one of delivered, failed"


def test_of_very_much_only_a_part_is_told() -> None:
    assert len(misfits({f"nope-{n}": n for n in range(1000)}, Shape)) == 20


@pytest.mark.parametrize("document", [None, [], "text", 7, True])
def test_what_is_no_object_is_told_so(document: Any) -> None:
    (fault,) = misfits(document, Shape)
    assert (fault.pointer, "must be an object" in fault.detail, "status" in fault.detail) == ("", True, True)


def test_a_place_that_is_known_already_can_be_told_of() -> None:
    assert misfit(Shape, "count").detail == COUNT
    assert misfit(Shape, "names", 3).pointer == "/names/3"
    assert misfit(Shape, "nope", "x").pointer == "/nope/x"


_ANY = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from(["failed", "", "abc", "abcdef"])
    | st.floats()
)


@given(st.dictionaries(st.sampled_from([*Shape.__struct_fields__, "nope"]), _ANY | st.lists(_ANY, max_size=3)))
def test_there_is_a_fault_exactly_where_the_document_is_not_of_the_shape(document: dict[str, Any]) -> None:
    try:
        msgspec.convert(document, Shape, strict=True)
    except msgspec.ValidationError:
        assert misfits(document, Shape)
    else:
        assert misfits(document, Shape) == []
