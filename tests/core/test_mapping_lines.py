"""Each key of a TOML document is found on its line, however it is written."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.toml_lines import Path, locate

DOCUMENT = """\
# a comment with [brackets] and = signs
a = 1
"b c" . d = "x # no comment"   # a comment
'e"f' = [ 1, # one
  [2, 3],
  "four",
]
g = { h = 1, i.j = [ { k = 'l' } ] }
m = '''
[not a table]
n = 1
'''
o = \"\"\"one \\\" two
three\"\"\"
"p\\u0041" = 1979-05-27 07:32:00

[t]
u = 1
[t.v]
w = 1
[[x]]
y = 1
[x.z]
y = 1
[[x]]
y = 1
[[x.q]]
y = 1
"""


def test_every_way_to_write_a_key_is_located() -> None:
    lines = {path: place.line for path, place in locate(DOCUMENT).items()}
    assert lines == {
        ("a",): 2,
        ("b c", "d"): 3,
        ('e"f',): 4,
        ('e"f', 0): 4,
        ('e"f', 1): 5,
        ('e"f', 1, 0): 5,
        ('e"f', 1, 1): 5,
        ('e"f', 2): 6,
        ("g",): 8,
        ("g", "h"): 8,
        ("g", "i", "j"): 8,
        ("g", "i", "j", 0): 8,
        ("m",): 9,
        ("o",): 13,
        ("g", "i", "j", 0, "k"): 8,
        ("pA",): 15,
        ("t",): 17,
        ("t", "u"): 18,
        ("t", "v"): 19,
        ("t", "v", "w"): 20,
        ("x", 0): 21,
        ("x", 0, "y"): 22,
        ("x", 0, "z"): 23,
        ("x", 0, "z", "y"): 24,
        ("x", 1): 25,
        ("x", 1, "y"): 26,
        ("x", 1, "q", 0): 27,
        ("x", 1, "q", 0, "y"): 28,
    }


def test_a_text_over_several_lines_begins_after_its_opening() -> None:
    places = locate("a = '''\nx'''\nb = '''x\ny'''\nc = 'x'\r\nd = 1\r\n")
    assert {path[0]: (place.line, place.value_line) for path, place in places.items()} == {
        "a": (1, 2),
        "b": (3, 3),
        "c": (5, 5),
        "d": (6, 6),
    }


KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,3}", fullmatch=True)
SCALARS = st.one_of(
    st.integers(0, 99).map(str),
    st.sampled_from(["true", "1.5", "'x]}'", '"a\\"b#"', "'''\n'x\n'''", '"""a\n"b"""', '""', "''", "1979-05-27"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ " + ",\n ".join(items) + " ]"),
        st.dictionaries(KEYS, inner.filter(lambda text: "\n" not in text), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=4,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=4).map(
    lambda pairs: "".join(f"{k} = {v} # x\n" for k, v in pairs.items())
)


@given(
    TABLES,
    st.lists(st.tuples(KEYS, TABLES), max_size=3, unique_by=lambda pair: pair[0]),
    st.lists(TABLES, max_size=3),
)
def test_all_keys_of_any_document_are_located_and_nothing_else(
    head: str, tables: list[tuple[str, str]], array: list[str]
) -> None:
    text = (
        head
        + "".join(f"[table.{name}]\n{body}" for name, body in tables)
        + "".join(f"[[array]]\n{each}" for each in array)
    )
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    places = locate(text)
    lines = text.split("\n")
    assert set(places) == {path for path in paths_of(document, ()) if path not in {("table",), ("array",)}}
    for path, place in places.items():
        step = path[-1] if isinstance(path[-1], str) else ""
        assert step in lines[place.line - 1]


def paths_of(value: Any, path: Path) -> set[Path]:
    found = {path} if path else set()
    if isinstance(value, dict):
        return found.union(*(paths_of(inner, (*path, key)) for key, inner in value.items()))
    if isinstance(value, list):
        return found.union(*(paths_of(inner, (*path, place)) for place, inner in enumerate(value)))
    return found


@given(st.text(st.sampled_from("a='\"[]{}.#,\n\\ \r"), max_size=40))
def test_locating_ends_whatever_the_text(text: str) -> None:
    assert isinstance(locate(text), dict)
