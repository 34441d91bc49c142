"""Filling a mapping: what comes out, what is refused, and where in the event the fault is."""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError, InvalidPhone, MappingFailed, TemplateConstraint
from gateway.core.event import Event
from gateway.core.mapping import Filled, Mapping, MappingSet, Priority, Skipped, compile_mappings, draft, fill

HEAD = """
[[template]]
id = "1"
phone = '{{ data.phone }}'
"""
SNAPSHOT = b"""{"templateId": 1, "listParams": [
 {"name": "name", "require": true, "maxLength": 5},
 {"name": "note", "require": false, "maxLength": 10}]}"""


def compiled(text: str, **templates: bytes) -> MappingSet:
    files = {"config/mappings/order.paid.toml": text.encode()}
    return compile_mappings(
        files, templates={f"{key[1:]}.json": raw for key, raw in templates.items()}, accounts=["main"]
    )


def mapping_of(text: str, **templates: bytes) -> Mapping:
    return compiled(text, **templates).mappings["order.paid"]


def event(**data: Any) -> Event:
    return Event("evt-1", "/test", "order.paid", {"phone": "0912345678", **data}, time="2026-11-23T03:15:00Z")


def filled(text: str, given: Event, **templates: bytes) -> Filled:
    made = fill(mapping_of(text, **templates), given)
    assert isinstance(made, Filled)
    return made


def refused(text: str, given: Event, **templates: bytes) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        fill(mapping_of(text, **templates), given)
    return error.value


CONTRACT = """
summary = "Order paid"
owner = "team-checkout"
account = "main"
priority = "normal"
expires_after = "24h"
on_unknown = "hold"
quiet_hours = "defer"
not_before = '{{ data.delivered_at | plus(days=3) }}'    # optional

[labels.payment_method]      # code -> text
cod = "Thanh toán khi nhận hàng"
card = "Thẻ"

[[template]]
when = 'data.total >= 1000000'            # optional
id = "7895417a7d3f9461cd2e"
phone = '{{ data.customer.phone }}'
secret = ["otp"]
[template.data]
customer_name = '{{ data.customer.name | shorten(30) }}'
order_id = '{{ data.order_id }}'
total = '{{ data.total | vnd }}'
paid_at = '{{ time | local("%H:%M %d/%m/%Y") }}'
method = '{{ data.method | label("payment_method") }}'
otp = '{{ data.otp }}'
"""


def order(**changes: Any) -> Event:
    customer = {"name": "Nguyễn Văn An", "phone": "0912 345 678"}
    data = {"customer": customer, "order_id": 7, "total": 1250000, "method": "cod", "otp": "1234"}
    return event(**(data | {"delivered_at": "2026-11-20T00:00:00+07:00"} | changes))


def test_the_contracts_example_is_filled() -> None:
    assert filled(CONTRACT, order()) == Filled(
        "7895417a7d3f9461cd2e",
        "84912345678",  # type: ignore[arg-type]  # a Phone, written out
        {
            "customer_name": "Nguyễn Văn An",
            "order_id": "7",
            "total": "1.250.000đ",
            "paid_at": "10:15 23/11/2026",
            "method": "Thanh toán khi nhận hàng",
            "otp": "1234",
        },
        frozenset({"otp"}),
        datetime(2026, 11, 22, 17, tzinfo=UTC),
    )


def test_the_head_of_a_mapping_is_read_and_has_the_contracts_defaults() -> None:
    mapping = mapping_of(CONTRACT)
    assert (mapping.summary, mapping.owner, mapping.account) == ("Order paid", "team-checkout", "main")
    plain = mapping_of(HEAD + "data = { a = 'x' }\n")
    assert (plain.event_type, plain.account, plain.priority) == ("order.paid", "main", Priority.NORMAL)
    assert (plain.expires_after, plain.on_unknown, plain.quiet_hours) == (timedelta(hours=24), "hold", "defer")
    assert plain.not_before is None


def test_no_template_whose_when_holds_is_a_skip() -> None:
    assert fill(mapping_of(CONTRACT), order(total=999_999)) == Skipped()


def test_the_first_template_whose_when_holds_is_used() -> None:
    choices = "".join(
        f'[[template]]\nid = "{number}"\nphone = "{{{{ data.phone }}}}"\n{when}data = {{ a = "x" }}\n'
        for number, when in ((1, "when = 'data.n > 9'\n"), (2, "when = 'data.n > 5'\n"), (3, ""))
    )
    assert [filled(choices, event(n=n)).template_id for n in (10, 6, 1)] == ["1", "2", "3"]


def test_an_undefined_name_is_refused_at_the_pointer_of_the_whole_path() -> None:
    error = refused(HEAD + "data = { a = 'Hi {{ data.customer.name }}' }\n", event())
    assert isinstance(error, MappingFailed)
    assert error.errors == (Fault("/data/customer/name", "is missing: data has no `customer` (needed for `a`)"),)


def test_an_undefined_name_in_when_is_refused_too() -> None:
    error = refused(CONTRACT, event())
    assert isinstance(error, MappingFailed)
    assert [fault.pointer for fault in error.errors] == ["/data/total"]


def test_an_event_without_a_time_is_refused_where_the_time_is_named() -> None:
    timeless = Event("1", "/", "order.paid", order().data)
    assert [fault.pointer for fault in refused(CONTRACT, timeless).errors] == ["/time"]


def test_comparing_unlike_types_is_refused_at_the_events_side() -> None:
    for when in ("data.total >= 1000000", "1000000 <= data.total", "data.total == 5", "data.total in [1, 2]"):
        error = refused(HEAD + f"when = '{when}'\ndata = {{ a = 'x' }}\n", event(total="5"))
        assert isinstance(error, MappingFailed)
        assert [fault.pointer for fault in error.errors] == ["/data/total"]


def test_every_fault_is_found_at_once_and_the_gravest_is_raised() -> None:
    text = HEAD + "data = { name = '{{ data.name }}', note = '{{ data.note | vnd }}' }\n"
    error = refused(text, event(phone="12", name="too long", note="x"), _1=SNAPSHOT)
    assert isinstance(error, MappingFailed)
    assert [fault.pointer for fault in error.errors] == ["/data/phone", "/data/note", "/data/name"]
    error = refused(text, event(phone="12", name="too long", note=1), _1=SNAPSHOT)
    assert isinstance(error, InvalidPhone)
    assert [fault.pointer for fault in error.errors] == ["/data/phone", "/data/name"]
    error = refused(text, event(name="too long", note=1), _1=SNAPSHOT)
    assert isinstance(error, TemplateConstraint)
    assert error.errors == (Fault("/data/name", "name has 8 characters, the template takes at most 5"),)


def test_a_value_made_of_several_places_is_blamed_at_its_parameter() -> None:
    error = refused(HEAD + "data = { name = '{{ data.a ~ data.b }}' }\n", event(a="abc", b="def"), _1=SNAPSHOT)
    assert [fault.pointer for fault in error.errors] == ["/template_data/name"]


def test_a_fault_inside_a_list_is_pointed_at() -> None:
    text = (
        HEAD + """data = { a = '{{ data.items | join(item="{name}") }}', b = '{{ data.items | sum("n") }}' }\n"""
    )
    error = refused(text, event(items=[{"name": "x", "n": 1}, {"n": "x"}]))
    assert [fault.pointer for fault in error.errors] == ["/data/items/1/name", "/data/items/1/n"]


@pytest.mark.parametrize("phone", [None, "", "12", "02838221234"])
def test_a_wrong_phone_is_refused_without_being_shown(phone: Any) -> None:
    error = refused(HEAD + "data = { a = 'x' }\n", event(phone=phone))
    assert isinstance(error, InvalidPhone)
    assert error.errors[0].pointer == "/data/phone"
    assert "38221" not in error.detail + error.errors[0].detail


def test_a_phone_that_is_not_there_is_a_failed_mapping() -> None:
    error = refused(HEAD + "data = { a = 'x' }\n", Event("1", "/", "order.paid", {}))
    assert isinstance(error, MappingFailed)
    assert [fault.pointer for fault in error.errors] == ["/data/phone"]


def test_the_phone_filter_in_phone_is_an_invalid_phone_and_elsewhere_a_failed_mapping() -> None:
    in_phone = "[[template]]\nid = '1'\nphone = '{{ data.a | phone | or_else(data.b) }}'\ndata = { a = 'x' }\n"
    assert isinstance(refused(in_phone, event(a="12")), InvalidPhone)
    assert filled(in_phone, event(a=None, b=912345678.0)).phone == "84912345678"
    assert isinstance(refused(HEAD + "data = { a = '{{ data.a | phone }}' }\n", event(a="12")), MappingFailed)


def test_no_detail_shows_a_value_of_the_event() -> None:
    text = (
        HEAD.replace("id =", 'secret = ["name"]\nid =')
        + "data = { name = '{{ data.name }}', note = '{{ data.note | vnd }}' }\n"
    )
    error = refused(text, event(phone="0901112223334", name="s3cretive", note="s3cret"), _1=SNAPSHOT)
    shown = error.detail + str(error) + repr(error.errors)
    assert "s3cret" not in shown
    assert "0111222" not in shown


@pytest.mark.parametrize("empty", [None, "", "  ", [], {}])
def test_an_empty_value_is_left_out_where_the_mapping_says_so(empty: Any) -> None:
    text = HEAD + "omit_empty = ['note']\ndata = { name = 'x', note = '{{ data.note }}' }\n"
    assert filled(text, event(note=empty), _1=SNAPSHOT).template_data == {"name": "x"}
    assert filled(text, event(note=0), _1=SNAPSHOT).template_data == {"name": "x", "note": "0"}
    assert isinstance(refused(text, event(), _1=SNAPSHOT), MappingFailed)


def test_everything_goes_out_as_composed_text() -> None:
    text = HEAD + "data = { a = '{{ data.a }}', b = 5, c = 1.50, d = '', e = '{{ data.e }}' }\n"
    made = filled(text, event(a=unicodedata.normalize("NFD", "Nguyễn"), e=1250000.0))
    assert made.template_data == {"a": "Nguyễn", "b": "5", "c": "1.50", "d": "", "e": "1250000"}


def test_what_looks_like_a_template_in_an_event_stays_text() -> None:
    text = HEAD + "data = { a = '{{ data.a }} {{ data.b | upper }}' }\n"
    made = filled(text, event(a="{{ 7*7 }}", b="{% raw %}{{ data.phone }}"))
    assert made.template_data == {"a": "{{ 7*7 }} {% RAW %}{{ DATA.PHONE }}"}


def test_not_before_is_utc_and_empty_text_is_none() -> None:
    text = "not_before = '{{ data.at }}'\n" + HEAD + "data = { a = 'x' }\n"
    assert filled(text, event(at="2026-12-01")).not_before == datetime(2026, 11, 30, 17, tzinfo=UTC)
    assert filled(text, event(at=1795403700)).not_before == datetime(2026, 11, 23, 3, 15, tzinfo=UTC)
    assert filled(text, event(at="")).not_before is None
    assert [fault.pointer for fault in refused(text, event(at="soon")).errors] == ["/data/at"]


def test_a_draft_keeps_what_could_be_filled_beside_its_faults() -> None:
    made = draft(mapping_of(HEAD + "data = { a = '{{ data.a }}', b = '{{ data.b }}' }\n"), event(a="x"))
    assert (made.phone, made.template_data) == ("84912345678", {"a": "x"})
    assert [fault.pointer for fault in made.faults] == ["/data/b"]
    assert not made.is_skipped


def test_the_version_changes_with_the_file_and_with_the_snapshots_it_uses_alone() -> None:
    text = HEAD + "data = { name = 'x' }\n"
    other = b'{"listParams": []}'
    versions = [
        mapping_of(text).version,
        mapping_of(text + "# a word\n").version,
        mapping_of(text, _1=SNAPSHOT).version,
        mapping_of(text, _1=SNAPSHOT + b" ").version,
    ]
    assert len(set(versions)) == 4
    assert all(version.startswith("sha256:") for version in versions)
    assert mapping_of(text, _1=SNAPSHOT, _2=other).version == mapping_of(text, _1=SNAPSHOT).version
    assert compiled(text, _1=SNAPSHOT, _2=other).version != compiled(text, _1=SNAPSHOT).version


def test_the_nearest_types_are_named_among_the_allowed_ones() -> None:
    body = (HEAD + "data = { a = 'x' }\n").encode()
    types = ["order.paid", "order.placed", "payment.due", "x"]
    known = compile_mappings({f"{each}.toml": body for each in types}, templates={}, accounts=["main"])
    assert known.nearest("order.pald", lambda _: True) == ["order.paid", "order.placed"]
    assert known.nearest("order.pald", lambda name: name != "order.paid") == ["order.placed"]
    assert known.nearest("z" * 5000, lambda _: True) == []
    crowd = {f"order.number-{number}.happened.toml": body for number in range(300)}
    many = compile_mappings(crowd, templates={}, accounts=["main"])
    assert many.nearest("order.number-1.happned", lambda _: True)[0] == "order.number-1.happened"
