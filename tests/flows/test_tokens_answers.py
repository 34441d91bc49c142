"""Whatever Zalo's token endpoint answers, the Vault holds the old pair or a complete new one, and never anything between."""

import json
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.grant import Grant
from gateway.ports import Heard, Write
from gateway.zalo.oauth import read_grant

from .stage import TOKEN_LIFE, House, Issuer, TimelessLoop, fresh

GOOD: dict[str, Any] = {"access_token": "access-2", "refresh_token": "refresh-2", "expires_in": "90000"}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        " ",
        "undefined",
        "null",
        0,
        -1,
        1,
        "0",
        "-5",
        "1e9",
        "10000001",
        10**30,
        True,
        [],
        {},
        "refresh-1",
        "x\n",
    ]
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "access_token": ODD,
        "refresh_token": ODD,
        "expires_in": ODD,
        "error": st.sampled_from([0, -14014, -14002, "0", "-14014", "x", None]),
        "error_name": st.sampled_from(["", "Invalid refresh token.", "busy"]),
    },
)
MUTANTS = st.one_of(
    st.builds(lambda changes: json.dumps(GOOD | changes).encode(), CHANGES),
    st.builds(
        lambda gone: json.dumps({k: v for k, v in GOOD.items() if k not in gone}).encode(),
        st.sets(st.sampled_from(sorted(GOOD))),
    ),
    st.builds(lambda cut: json.dumps(GOOD).encode()[:cut], st.integers(0, 90)),
    st.sampled_from(
        [
            b"",
            b"null",
            b"[]",
            b"<html>502 Bad Gateway</html>",
            b'"x"',
            b"\xff",
            b"{}" * 2,
            json.dumps([GOOD]).encode(),
        ]
    ),
    st.binary(max_size=40),
)


class Answering(Issuer):
    """Answers with these bytes, as the wire would bring them."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__()
        self._heard = Heard(status, body)

    async def refresh(
        self, *, app_id: str, app_secret: str, refresh_token: str, journal: Write | None = None
    ) -> Any:
        self.presented.append(refresh_token)
        assert journal is not None
        journal(self._heard.status, self._heard.body)
        return self.read(self._heard, refresh_token)

    def read(self, heard: Heard, refresh_token: str) -> Any:
        return read_grant(heard.status, heard.body, refresh_token)


@settings(max_examples=400, deadline=None)
@given(MUTANTS, st.sampled_from([200, 200, 200, 201, 302, 400, 401, 500, 502, 503]))
def test_no_answer_but_a_complete_new_pair_replaces_the_old_one(body: bytes, status: int) -> None:
    async def refresh() -> tuple[Grant, list[str]]:
        house = House(issuer=Answering(status, body))
        await house.open()
        house.clock.turn(TOKEN_LIFE * 2 / 3)
        await fresh(house.tokens)
        found = await house.store.grant("main")
        assert found is not None
        return found, house.issuer.presented

    loop = TimelessLoop()
    try:
        grant, presented = loop.run_until_complete(refresh())
    finally:
        loop.close()
    assert presented == ["refresh-1"]
    if grant.generation == 1:
        assert (grant.access.value, grant.refresh.value) == ("access-1", "refresh-1")
        assert grant.trouble is not None
        return
    told = json.loads(body)
    assert status < 500
    assert (grant.access.value, grant.refresh.value) == (told["access_token"], told["refresh_token"])
    assert all(isinstance(token, str) and token for token in (told["access_token"], told["refresh_token"]))
    assert told["refresh_token"] != "refresh-1"
    assert timedelta(seconds=1) <= grant.life <= timedelta(seconds=10_000_000)
