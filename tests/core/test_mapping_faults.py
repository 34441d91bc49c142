"""Every fault of every file is found at once, on its line, with its cure."""

import re

import pytest

from gateway.core.mapping import ConfigFault, MappingFaults, compile_mappings

SNAPSHOT = b"""{"templateId": "1", "listParams": [
 {"name": "name", "require": true, "maxLength": 5},
 {"name": "note", "require": false, "maxLength": 10}]}"""
GOOD = """\
summary = "Order paid"
owner = "team"
account = "main"
priority = "normal"
expires_after = "24h"

[labels.method]
cod = "Khi nhận hàng"

[[template]]
id = "1"
phone = '{{ data.phone }}'
secret = ["name"]
[template.data]
name = '{{ data.name }}'
note = '{{ data.method | label("method") }}'
"""


def faults_of(
    text: str | bytes, *, name: str = "m/order.paid.toml", accounts: tuple[str, ...] = ("main", "other")
) -> list[ConfigFault]:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(MappingFaults) as refused:
        compile_mappings({name: raw}, templates={"t/1.json": SNAPSHOT}, accounts=accounts)
    return list(refused.value.faults)


def test_the_good_file_has_no_fault() -> None:
    files = {"m/order.paid.toml": GOOD.encode()}
    made = compile_mappings(files, templates={"t/1.json": SNAPSHOT}, accounts=["main"])
    assert (set(made.mappings), set(made.templates)) == ({"order.paid"}, {"1"})


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("summary =", "sumary =", 1, "`sumary` is not a key .*did you mean `summary`"),
        ('"Order paid"', "5", 1, "`summary` is not text"),
        ('"main"', '"mian"', 3, "account `mian` is not configured, did you mean `main`"),
        ('account = "main"', "", 1, "names no `account`.*there are `main`, `other`"),
        ('"normal"', '"hgih"', 4, '`priority` .*write "urgent" or "normal" or "bulk"'),
        ('"24h"', '"24 hours"', 5, "`expires_after`.*duration"),
        ('"24h"', '"0s"', 5, "`expires_after`.*duration"),
        ('"24h"', "24", 5, "`expires_after`.*duration"),
        ('"24h"', '"99999d"', 5, "`expires_after`.*duration"),
        ("owner", 'on_unknown = "retry"\nowner', 2, '`on_unknown`.*"hold" or "resend"'),
        ("owner", 'quiet_hours = ["x"]\nowner', 2, '`quiet_hours`.*"defer" or "ignore"'),
        ("owner", "not_before = 'tomorrow'\nowner", 2, "`not_before` is not a time"),
        ("owner", "not_before = '{{ data.x | plsu(days=1) }}'\nowner", 2, "filter `plsu`, did you mean `plus`"),
        ("[labels.method]", "[labels.methods]", 16, r"table \[labels.method\] .*did you mean `methods`"),
        ('cod = "Khi nhận hàng"', "cod = 1", 8, "label of `cod` is not text"),
        (
            'cod = "Khi nhận hàng"',
            'cod = "x"\nexpires_after = "5m"',
            9,
            r"`expires_after` is a key .*labels.method.*above",
        ),
        ('cod = "Khi nhận hàng"', "", 7, r"\[labels.method\] is not a table of texts"),
        ("[[template]]\nid", "[[template]]\nidd = 'x'\nid", 11, "`idd` is not a key .*did you mean `id`"),
        ('id = "1"\n', "", 10, "the template has no `id`"),
        ('id = "1"\n', "id = ''\n", 11, "`id` is no template id"),
        ("phone = '{{ data.phone }}'\n", "", 10, "the template has no `phone`"),
        ("'{{ data.phone }}'", "'12'", 12, "`phone`: .*digits"),
        ("'{{ data.phone }}'", "'{{ data.phone '", 12, "`phone` is no expression"),
        ('["name"]', '["nmae"]', 13, "`secret` names `nmae`.*did you mean `name`"),
        ('["name"]', '[\n  "note",\n  "nmae",\n]', 15, "`secret` names `nmae`.*did you mean `name`"),
        ('["name"]', '"name"', 13, "`secret` is not a list"),
        ("secret", "omit_empty", 15, "`name` may be left out.*requires it"),
        ("secret", "when = ''\nsecret", 13, "`when` is empty"),
        ("secret", "when = true\nsecret", 13, "`when` is not text"),
        ("secret", "when = 'data.total => 1'\nsecret", 13, "`when` is no expression"),
        ("secret", "when = '{{ data.total }}'\nsecret", 13, "`when` is an expression by itself"),
        ("name = '{{ data.name }}'", "nmae = '{{ data.name }}'", 15, "no parameter `nmae`, did you mean `name`"),
        ("name = '{{ data.name }}'", "", 14, "`name` is missing, and template 1 requires it"),
        ("'{{ data.name }}'", "'A long constant'", 15, "breaks the template's limits: name has 15 characters"),
        ("'{{ data.name }}'", "true", 15, "`name` is neither text nor a number"),
        ("'{{ data.name }}'", "1e500", 15, "`name` is neither text nor a number"),
        ("'{{ data.name }}'", "{ a = 1 }", 15, "`name` is neither text nor a number"),
        ("'{{ data.name }}'", "'{{ none }}'", 15, "the value of `name` is null"),
        ("'{{ data.name }}'", "'{{ data.name | shroten(5) }}'", 15, "filter `shroten`, did you mean `shorten`"),
        (
            "'{{ data.name }}'",
            "'{{ data.name | shorten }}'",
            15,
            r"missing a required argument.*write shorten\(n, end=",
        ),
        ("'{{ data.name }}'", "'''\n\n{{ data.name }}\n{{ data.x | nope }}'''", 18, "unknown filter `nope`"),
        ("'{{ data.name }}'", '"""\n{{ data.name }}\n\n{{ data.x is nope }}\n"""', 18, "unknown test `nope`"),
        ("'{{ data.name }}'", "'{% if data.name %}x{% endif %}'", 15, "a statement"),
        ("[template.data]", "[template.dat]", 14, "`dat` is not a key .*did you mean `data`"),
        ("[[template]]", "[template]", 10, r"there is no \[\[template\]\]"),
        ("name = '{{ data.name }}'", "name = '{{ data.name }}", 15, "is not TOML"),
    ],
)
def test_a_near_miss_is_found_on_its_line_with_its_cure(old: str, new: str, line: int, message: str) -> None:
    assert old in GOOD
    found = faults_of(GOOD.replace(old, new, 1))
    assert any(fault.line == line and re.search(message, str(fault)) for fault in found), [
        str(each) for each in found
    ]


def test_templates_that_are_never_reached_are_found() -> None:
    second = '[[template]]\nid = "2"\nphone = "{{ data.phone }}"\ndata = { a = "x" }\n'
    assert [(fault.line, fault.what) for fault in faults_of(GOOD + second)] == [
        (17, "this [[template]] is never reached")
    ]
    guarded = GOOD.replace("id =", "when = 'data.a == 1'\nid =")
    twice = faults_of(guarded + second.replace("id =", "when = 'data.a == 1'\nid ="))
    assert [(fault.line, fault.what) for fault in twice] == [(18, "an earlier [[template]] has the same `when`")]


def test_all_faults_of_all_files_are_found_at_once() -> None:
    files = {
        "m/b.toml": GOOD.replace("summary", "sumary").replace('"24h"', '"x"').encode(),
        "m/a.toml": b"",
        "m/c d.toml": GOOD.encode(),
        "m/ok.toml": GOOD.encode(),
        "n/ok.toml": GOOD.encode(),
    }
    templates = {"t/1.json": SNAPSHOT, "t/2.json": b"{\n", "t/3.json": SNAPSHOT}
    with pytest.raises(MappingFaults) as refused:
        compile_mappings(files, templates=templates, accounts=["main"])
    assert [(fault.file, fault.line) for fault in refused.value.faults] == [
        *(("m/a.toml", 1), ("m/b.toml", 1), ("m/b.toml", 5), ("m/c d.toml", 1), ("n/ok.toml", 1)),
        *(("t/2.json", 2), ("t/3.json", 1)),
    ]


@pytest.mark.parametrize(
    ("raw", "line", "word"),
    [
        (b"", 1, "empty"),
        (b"  \n \n", 1, "empty"),
        (b"\xef\xbb\xbf", 1, "empty"),
        (b"a = 1\nb = '\xff'\n", 2, "UTF-8"),
        (b"a = 1\nb = \n", 2, "not TOML"),
        (b"a = 1\na = 2\n", 2, "not TOML"),
        (b"a = " + b"[" * 50_000, 1, "beyond all bounds"),
        (b"a = " + b"9" * 10_000, 1, "beyond all bounds"),
        (b"a" * 300_000, 1, "larger"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_with_its_line(raw: bytes, line: int, word: str) -> None:
    assert [(fault.line, word in fault.what) for fault in faults_of(raw)] == [(line, True)]


@pytest.mark.parametrize("name", ["m/order paid.toml", "m/ö.toml", "m/.toml", "m/a.json", "m/a\nb.toml"])
def test_a_file_has_the_name_of_an_event_type(name: str) -> None:
    assert "not named after an event type" in faults_of(GOOD, name=name)[0].what


def test_a_fault_is_one_line_of_file_line_what_and_cure() -> None:
    assert str(ConfigFault("m/a.toml", 3, "is wrong", "mend it")) == "m/a.toml:3: is wrong, mend it"


def test_without_accounts_the_cure_is_to_add_one() -> None:
    assert "add [accounts.NAME]" in str(faults_of(GOOD.replace('account = "main"', ""), accounts=())[0])


def test_a_file_cut_short_anywhere_is_either_refused_or_ends_between_two_of_its_parameters() -> None:
    raw = GOOD.encode()
    snapshot = SNAPSHOT.replace(b'"require": false', b'"require": true')
    for end in range(len(raw.rstrip()) - 1):
        with pytest.raises(MappingFaults):
            compile_mappings({"a.toml": raw[:end]}, templates={"1.json": snapshot}, accounts=["main"])
