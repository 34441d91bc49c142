"""A fault in a JSON text is told by where it lies."""

import pytest

from gateway.core.document import read_document
from gateway.core.errors import MalformedEvent


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1, "a": 2}', "/a"),
        ('{"a": 1, "\\u0061": 2}', "/a"),
        ('{"data": {"items": [{}, {"x": 1, "y": 2, "x": 3}]}}', "/data/items/1/x"),
        ('{"data": {"a/b~c": {"z": 1, "z": 1}}}', "/data/a~1b~0c/z"),
        ('{"data": {"n": 18446744073709551616}}', "/data/n"),
        ('{"data": [1, 1e999]}', "/data/1"),
        ('{"data": [NaN]}', "/data/0"),
        ("-Infinity", ""),
        ('{"data": {"name": "\\ud800"}}', "/data/name"),
        ('{"data": {"\\udc00": 1}}', "/data/?"),
        ('{"first": {"a": 1e999}, "second": 1e999}', "/first/a"),
        ('{"second": 1, "first": {"a": 1e999}, "second": 2}', "/second"),
        ('{"a": 1, "a": 2', ""),  # it never ends, so nobody knows what it would have been
    ],
)
def test_the_first_fault_is_pointed_at(text: str, place: str) -> None:
    with pytest.raises(MalformedEvent) as refused:
        read_document(text.encode())
    assert [fault.pointer for fault in refused.value.errors] == [place]
