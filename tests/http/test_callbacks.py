"""A caller replays its own callbacks, an operator anybody's; what is not clearly one of the two forms is refused."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from gateway.core.caller import Caller
from gateway.http.app import make_app
from gateway.http.doors import Doors
from gateway.ports import Replay

EIGHT, NINE = "2026-11-23T08:00:00Z", "2026-11-23T16:00:00+07:00"
EIGHT_UTC, NINE_UTC = datetime(2026, 11, 23, 8, tzinfo=UTC), datetime(2026, 11, 23, 9, tzinfo=UTC)


class Replays:
    """Takes the place of the flow: remembers what is replayed."""

    def __init__(self) -> None:
        self.asked: list[Replay] = []

    async def replay(self, replay: Replay) -> int:
        self.asked.append(replay)
        return 7


class Scene:
    """Our door, with one sender and one operator."""

    def __init__(self) -> None:
        self.replays = Replays()
        callers = [Caller("checkout"), Caller("platform", is_operator=True)]
        nobody: Any = dict.fromkeys(Doors.__struct_fields__)
        told = {
            "accounts": frozenset(),
            "callbacks": self.replays,
            "callers": {hashlib.sha256(it.name.encode()).hexdigest(): it for it in callers},
        }
        self.client = TestClient(make_app(Doors(**{**nobody, **told}), has_public_door=False))

    def post(self, body: Any, key: str = "checkout") -> tuple[int, Any]:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        heard = self.client.post(
            "/v1/callbacks/replay", content=content, headers={"authorization": f"Bearer {key}"}
        )
        return heard.status_code, heard.json()


@pytest.fixture(scope="module")
def doors() -> Iterator[Scene]:
    scene = Scene()
    with scene.client:
        yield scene


@pytest.fixture
def scene(doors: Scene) -> Scene:
    doors.replays.asked.clear()
    return doors


@pytest.mark.parametrize(
    ("key", "asked", "meant"),
    [
        ("checkout", {"ids": ["b", "a", "b"]}, Replay(caller="checkout", ids=("b", "a"))),
        ("checkout", {"ids": ["a"], "caller": "checkout"}, Replay(caller="checkout", ids=("a",))),
        ("checkout", {"since": EIGHT, "until": NINE}, Replay(caller="checkout", since=EIGHT_UTC, until=NINE_UTC)),
        ("platform", {"ids": ["a"]}, Replay(caller=None, ids=("a",))),
        ("platform", {"ids": ["a"], "caller": "checkout"}, Replay(caller="checkout", ids=("a",))),
        ("platform", {"since": EIGHT, "until": NINE}, Replay(caller=None, since=EIGHT_UTC, until=NINE_UTC)),
        ("checkout", {"ids": [f"id-{n}" for n in range(1000)]}, None),
    ],
)
def test_what_is_asked_for_is_replayed_and_counted(
    scene: Scene, key: str, asked: Any, meant: Replay | None
) -> None:
    assert scene.post(asked, key) == (202, {"count": 7})
    assert len(scene.replays.asked) == 1
    assert meant is None or scene.replays.asked == [meant]


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 60_000,
        b'{"ids":["a"],"ids":["b"]}',
        [],
        {},
        {"ids": None},
        {"ids": []},
        {"ids": "a"},
        {"ids": [1]},
        {"ids": [""]},
        {"ids": ["x" * 501]},
        {"ids": [f"id-{n}" for n in range(1001)]},
        {"ids": ["a"], "since": EIGHT},
        {"ids": ["a"], "since": EIGHT, "until": NINE},
        {"since": EIGHT},
        {"until": NINE},
        {"since": NINE, "until": EIGHT},
        {"since": EIGHT, "until": EIGHT},
        {"since": "2026-11-23T08:00:00", "until": NINE},
        {"since": "2026-11-23 08:00:00Z", "until": NINE},
        {"since": "2026-11-23T08:00:00+0000", "until": NINE},
        {"since": "yesterday", "until": NINE},
        {"since": 1, "until": NINE},
        {"since": "0001-01-01T00:00:00+07:00", "until": NINE},
        {"ids": ["a"], "dry_run": True},
    ],
    ids=lambda it: str(it)[:40],
)
def test_what_is_not_clearly_one_of_the_two_forms_is_refused(scene: Scene, asked: Any) -> None:
    status, problem = scene.post(asked, "platform")
    assert (status, problem["code"]) == (400, "invalid-request")
    assert scene.replays.asked == []


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_time_that_cannot_be_read_is_told_where_it_stands_and_with_an_example(scene: Scene, name: str) -> None:
    _, problem = scene.post({"since": EIGHT, "until": NINE, name: "2026-11-23 08:30:00Z"})
    assert [fault["pointer"] for fault in problem["errors"]] == [f"/{name}"]
    assert f"`{name}` must be a time with its zone, such as 2026-11-23T08:00:00Z" in problem["detail"]


def test_a_sender_does_not_replay_what_is_another_s(scene: Scene) -> None:
    status, problem = scene.post({"ids": ["a"], "caller": "platform"})
    assert (status, problem["code"]) == (403, "forbidden")
    assert scene.post({"ids": ["a"]}, "nobody")[0] == 401
    assert scene.post(b" " * 70_000)[0] == 413
    assert scene.replays.asked == []
