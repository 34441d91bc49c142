"""A snapshot of Zalo's template is read whatever form its fields come in, and its limits are kept."""

import json
import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault
from gateway.core.template import Param, Template, UnreadableTemplate, check_params, read_template

DOCUMENTED = {
    "templateId": "12345",
    "templateName": "Tên",
    "status": "ENABLE",
    "listParams": [
        {
            "name": "link",
            "require": True,
            "type": "STRING",
            "maxLength": 30,
            "minLength": 0,
            "acceptNull": False,
        }
    ],
    "listButtons": [{"type": 1, "title": "…", "content": "https://…"}],
    "timeout": 7200000,
    "previewUrl": "https://account.zalo.cloud/znspreview/…",
    "templateQuality": "HIGH",
    "templateTag": "TRANSACTION",
    "price": "800.0",
}


def snapshot(**changes: Any) -> Template:
    return read_template(json.dumps(DOCUMENTED | changes).encode())


def test_the_documented_answer_is_read() -> None:
    template = snapshot()
    assert (template.id, template.name, template.status, template.tag) == (
        "12345",
        "Tên",
        "ENABLE",
        "TRANSACTION",
    )
    assert template.timeout == timedelta(hours=2)
    assert template.params == (Param("link", required=True, max_length=30),)
    assert template.is_sendable


def test_what_zalo_really_answers_is_read_too() -> None:
    template = snapshot(templateId=12345, timeout="15000", templateQuality=None, price=800, status="REJECT")
    assert (template.id, template.quality, template.price) == ("12345", "", "800")
    assert template.timeout == timedelta(seconds=15)
    assert not template.is_sendable


def test_missing_fields_mean_no_limit() -> None:
    assert read_template(b'{"listParams":[{"name":"a"}]}').params == (Param("a"),)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"", 1),
        (b"\xff", 1),
        (b"[]", 1),
        (b"{}", 1),
        (b'{"listParams": {}}', 1),
        (b'{"listParams": [{"maxLength": 3}]}', 1),
        (b'{"listParams": [{"name": "a"}, {"name": "a"}]}', 1),
        (b'{"listParams":\n[}', 2),
        (b"[" * 100_000, 1),
        (b'{"listParams": [], "timeout": ' + b"9" * 5000 + b"}", 1),
    ],
)
def test_a_broken_snapshot_is_refused_with_its_line(raw: bytes, line: int) -> None:
    with pytest.raises(UnreadableTemplate) as refused:
        read_template(raw)
    assert refused.value.line == line


def refusal_of(raw: bytes) -> str | None:
    try:
        read_template(raw)
    except UnreadableTemplate as refused:
        return refused.detail
    return None


@given(st.binary())
def test_any_bytes_are_a_template_or_an_unreadable_one(raw: bytes) -> None:
    assert refusal_of(raw) != ""


ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*DOCUMENTED, "name", "maxLength"]), ANY_JSON))
def test_any_fields_are_a_template_or_an_unreadable_one(fields: dict[str, Any]) -> None:
    assert refusal_of(json.dumps(fields).encode()) != ""


FORM = Template(
    "1",
    params=(
        Param("name", required=True, max_length=5, min_length=2),
        Param("note", max_length=3),
        Param("gate", required=True, accepts_null=True),
    ),
)


def test_values_within_the_limits_have_no_fault() -> None:
    assert check_params(FORM, {"name": "Ân", "note": "", "gate": ""}) == []


def test_length_is_counted_in_composed_characters() -> None:
    assert check_params(FORM, {"name": unicodedata.normalize("NFD", "Nguyễ"), "gate": "x"}) == []


def test_every_broken_limit_is_found_at_once() -> None:
    assert check_params(FORM, {"name": "Nguyễn", "note": "long", "extra/": "x"}) == [
        Fault("/template_data/name", "name has 6 characters, the template takes at most 5"),
        Fault("/template_data/note", "note has 4 characters, the template takes at most 3"),
        Fault("/template_data/gate", "is required by template 1"),
        Fault("/template_data/extra~1", "is not a parameter of template 1"),
    ]
    assert [fault.pointer for fault in check_params(FORM, {"name": "", "gate": "x"})] == ["/template_data/name"]
    assert [fault.pointer for fault in check_params(FORM, {"name": "a", "gate": "x"})] == ["/template_data/name"]
