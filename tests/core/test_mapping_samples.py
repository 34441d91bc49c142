"""Samples are rendered and compared, and what they show to be misspelt in a mapping is found."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.mapping import check_samples, compile_mappings

CONFIG = Path(__file__).parents[2] / "config"
SNAPSHOT = (
    b'{"status": "ENABLE", "listParams": [{"name": "name", "maxLength": 9}, {"name": "otp"}, {"name": "note"}]}'
)
MAPPING = """\
account = "main"
[[template]]
when = 'data.kind != "quiet"'
id = "1"
phone = '{{ data.customer.phone }}'
secret = ["otp"]
[template.data]
name = '{{ data.customer.name }}'
otp = '{{ data.otp }}'
note = '{{ data.note | default("") }}'
"""
DATA: dict[str, Any] = {"kind": "loud", "customer": {"name": "An", "phone": "0912345678"}, "otp": "4711"}
VALUES = {"name": "An", "otp": "4711", "note": ""}
EXPECT = {"template_id": "1", "phone": "84912345678", "template_data": VALUES}


def found(*samples: tuple[Any, Any], text: str = MAPPING, snapshot: bytes = SNAPSHOT) -> list[str]:
    documents = [{"event": {"data": data}, "expect": expect} for data, expect in samples]
    return found_raw(*(json.dumps(each, indent=1).encode() for each in documents), text=text, snapshot=snapshot)


def found_raw(*samples: bytes, text: str = MAPPING, snapshot: bytes = SNAPSHOT) -> list[str]:
    known = compile_mappings({"m/t.toml": text.encode()}, templates={"1.json": snapshot}, accounts=["main"])
    return [str(fault) for fault in check_samples(known, {f"s/t/{n}.json": raw for n, raw in enumerate(samples)})]


def test_a_sample_that_agrees_has_no_fault() -> None:
    assert found((DATA, EXPECT)) == []
    assert found((DATA, EXPECT | {"not_before": None})) == []
    assert (
        found((DATA, EXPECT), ({"kind": "quiet"}, {"skipped": True}), ({"kind": 1}, {"error": "mapping-failed"}))
        == []
    )


def test_a_mapping_without_a_sample_and_a_sample_without_a_mapping_are_faults() -> None:
    known = compile_mappings({"m/t.toml": MAPPING.encode()}, templates={}, accounts=["main"])
    assert [str(fault) for fault in check_samples(known, {"s/tt/a.json": b"{}"})] == [
        "s/tt/a.json:1: no mapping is named `tt`, did you mean `t`? Else delete the folder",
    ], "one slip, one fault: these are the samples that t seems to lack"
    assert [
        str(fault) for fault in check_samples(known, {"s/unlike/a.json": b"{}", "s/unlike/b.json": b"{}"})
    ] == [
        "m/t.toml:1: has no sample, add samples/t/plain.json",
        "s/unlike/a.json:1: no mapping is named `unlike`, as 2 samples here want, there are `t`. Else delete the folder",
    ]


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (EXPECT | {"template_id": "2"}, ":13: expects template 2 and gets 1"),
        (EXPECT | {"phone": "84912345679"}, r":14: expects another phone than 84*****5678"),
        (
            EXPECT | {"template_data": {"name": "Anh", "otp": "4711", "note": ""}},
            ':16: expects for `name` "Anh" and gets "An"',
        ),
        (EXPECT | {"template_data": {"name": "An", "otp": "4711"}}, ' expects for `note` nothing and gets ""'),
        (
            EXPECT | {"template_data": {**VALUES, "x": "y"}},
            'expects for `x` "y" and gets nothing',
        ),
        (EXPECT | {"not_before": "2026-01-01T00:00:00Z"}, "expects not_before 2026-01-01T00:00:00Z and gets None"),
        ({"skipped": True}, "expects a skip, and template 1 is filled"),
        ({"skipped": False}, "`skipped` can only be true"),
        ({"error": "mapping-failed"}, "expects mapping-failed, and it can be filled"),
        ({"error": "mapping_failed"}, "expects an error that filling cannot end in"),
        ({}, "does not say which `template_id` and `phone` and `template_data` it expects"),
        (
            EXPECT | {"templte_data": {}},
            "`templte_data` is not a key of a sample here, did you mean `template_data`",
        ),
        (EXPECT | {"template_data": []}, "`template_data` is not an object"),
    ],
)
def test_every_difference_is_a_fault_on_its_line(expect: Any, message: str) -> None:
    assert any(message in fault for fault in found((DATA, expect))), found((DATA, expect))


def test_a_difference_of_a_secret_is_told_without_showing_it() -> None:
    faults = found((DATA, EXPECT | {"template_data": {"name": "An", "otp": "0815", "note": ""}}))
    assert len(faults) == 1
    assert "secret" in faults[0]
    assert "4711" not in faults[0]
    assert "0815" not in faults[0]


def test_an_unexpected_error_is_told_at_the_rule_in_the_mapping() -> None:
    faults = found((DATA | {"otp": None}, EXPECT))
    assert faults == [
        (
            "m/t.toml:9: mapping-failed for s/t/0.json: /data/otp is null where text is needed; say what to write instead "
            "with default(…) (needed for `otp`), mend the expression or the sample"
        )
    ]
    assert (
        "expects template-constraint and ends in mapping-failed"
        in found((DATA | {"otp": None}, {"error": "template-constraint"}))[0]
    )
    assert (
        "template-constraint for"
        in found((DATA | {"customer": {"name": "A" * 10, "phone": "912345678"}}, EXPECT))[0]
    )
    assert "is skipped" in found((DATA | {"kind": "quiet"}, EXPECT))[0]


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [("data.customer.name", "data.custmer.name", 8), ("data.kind", "data.kidn", 3), ("data.otp", "otp", 9)],
)
def test_a_misspelt_name_is_found_with_the_one_that_was_meant(right: str, wrong: str, line: int) -> None:
    (fault,) = found((DATA, EXPECT), text=MAPPING.replace(right, wrong))
    assert fault.startswith(f"m/t.toml:{line}: mapping-failed")
    assert fault.endswith(f"did you mean `{right}`?")


def test_a_misspelt_name_is_found_behind_a_default_too() -> None:
    (fault,) = found((DATA | {"notes": "x"}, EXPECT))
    assert fault.startswith("m/t.toml:10: no sample has `data.note`, named in `note`, did you mean `data.notes`?")


def test_a_name_like_another_one_of_the_mapping_is_no_slip() -> None:
    text = MAPPING.replace("data.customer.phone }}", "data.customer.phone2 | or_else(data.customer.phone) }}")
    assert found((DATA, EXPECT), text=text) == []


def test_a_template_that_zalo_has_withdrawn_is_a_fault() -> None:
    assert (
        "m/t.toml:2: template 1 is REJECT at Zalo"
        in found((DATA, EXPECT), snapshot=SNAPSHOT.replace(b"ENABLE", b"REJECT"))[0]
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"event": {}}',
        b'{"event": [], "expect": {}}',
        b"[" * 99_999,
        b'{"event": ' + b"9" * 9999,
    ],
)
def test_a_file_that_is_no_sample_is_a_fault(raw: bytes) -> None:
    assert found_raw(raw)[0].startswith("s/t/0.json:1:")


def test_an_event_that_is_no_event_is_a_fault_unless_it_is_expected() -> None:
    assert "is required" in found_raw(b'{"event": {}, "expect": {"error": "mapping-failed"}}')[0]
    assert found_raw(b'{"event": {}, "expect": {"error": "malformed-event"}}') == []
    assert "another type" in found_raw(b'{"event": {"type": "x", "data": {}}, "expect": {"skipped": true}}')[0]


def test_the_shipped_mappings_keep_to_their_samples_and_have_an_error_among_them() -> None:
    def read(pattern: str) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(CONFIG.glob(pattern))}

    known = compile_mappings(read("mappings/*.toml"), templates=read("templates/*.json"), accounts=["main"])
    samples = read("samples/*/*.json")
    assert check_samples(known, samples) == []
    for event_type, mapping in known.mappings.items():
        own = [json.loads(raw) for path, raw in samples.items() if Path(path).parent.name == event_type]
        assert len(own) >= 3
        assert any("error" in sample["expect"] for sample in own)
        assert all(choice.template is not None for choice in mapping.choices)
