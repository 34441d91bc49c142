"""What is wrong in the body of an operator's call is told with its place in it, and with what is allowed there."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from gateway.core.caller import Caller
from gateway.http.app import make_app
from gateway.http.doors import Doors


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Any]]:
    """Speaks to our door; behind it there is nothing that a refused call could reach."""
    nobody: Any = dict.fromkeys(Doors.__struct_fields__)
    callers = {hashlib.sha256(b"platform").hexdigest(): Caller("platform", is_operator=True)}
    doors = Doors(**{**nobody, "accounts": frozenset(), "callers": callers})
    with TestClient(make_app(doors, has_public_door=False)) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "pointers", "cure"),
    [
        ("x/settle", {"status": "sent"}, ["/status"], "`status` must be one of delivered, failed"),
        ("x/settle", {}, ["/status"], "it must be one of delivered, failed"),
        ("x/cancel", {"nope": 1}, ["/nope"], "there is no member `nope`; there are note"),
        ("cancel", {"staus": "sent", "expect": "1"}, ["/staus", "/expect"], "there are caller, dry_run,"),
        ("cancel", {"expect": -1}, ["/expect"], "a whole number from 0 to 9223372036854775807"),
        ("cancel", {"expect": 1 << 63}, ["/expect"], "a whole number from 0 to 9223372036854775807"),
        (
            "cancel",
            b'{"expect":99999999999999999999}',
            ["/expect"],
            "a whole number from 0 to 9223372036854775807",
        ),
        ("cancel", b'{"expect":1e999}', ["/expect"], "a whole number from 0 to 9223372036854775807"),
        ("cancel", b'{"nope":{"x":1e999}}', ["/nope/x"], "there is no member `nope`"),
        ("cancel", b'{"expect":99999999999999999999,', [""], "the body is not JSON"),
        ("cancel", {"type": "order.paid"}, ["/expect"], '"dry_run": true'),
        ("cancel", {"phone": "12", "dry_run": True}, ["/phone"], "`phone` has 2 digits"),
        ("cancel", {"since": "yesterday", "dry_run": True}, ["/since"], "such as 2026-11-23T08:00:00Z"),
    ],
)
def test_what_a_body_says_wrongly_is_told_with_its_place_and_its_cure(
    client: TestClient[Any], path: str, body: Any, pointers: list[str], cure: str
) -> None:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    heard = client.post(f"/v1/messages/{path}", content=content, headers={"authorization": "Bearer platform"})
    told = heard.json()
    assert (heard.status_code, told["code"]) == (400, "invalid-request")
    assert [fault["pointer"] for fault in told["errors"]] == pointers
    assert cure in told["detail"]
    assert told["detail"] == told["errors"][0]["detail"]
    assert "as a string" not in told["detail"]
