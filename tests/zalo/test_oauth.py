"""The token endpoint's answers: rotated, dead, refused or lost, and no token in what is said of them."""

import json
from datetime import timedelta
from typing import Any

import pytest

from gateway.core import grant
from gateway.zalo import oauth


def pair(**changes: Any) -> bytes:
    return json.dumps(
        {"access_token": "new-a", "refresh_token": "new-r", "expires_in": "90000"} | changes
    ).encode()


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 499])
@pytest.mark.parametrize("expires_in", ["90000", 90000, 1, 10_000_000])
def test_a_complete_new_pair_is_rotated_below_500(status: int, expires_in: Any) -> None:
    assert oauth.read_grant(status, pair(expires_in=expires_in), "old") == grant.Rotated(
        grant.AccessToken("new-a"), grant.RefreshToken("new-r"), timedelta(seconds=int(expires_in))
    )


@pytest.mark.parametrize("error", [-14014, "-14014"])
@pytest.mark.parametrize("status", [200, 400, 401])
def test_an_invalid_refresh_token_is_dead(status: int, error: Any) -> None:
    body = {"error": error, "error_name": "Invalid refresh token.", "access_token": "", "refresh_token": ""}
    assert isinstance(oauth.read_grant(status, json.dumps(body).encode(), "old"), grant.Dead)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ({"error": -14002, "error_name": "Invalid appId"}, -14002),
        ({"error": "-14003"}, -14003),
        ({"error_name": "Invalid something"}, None),
        ({"error_reason": "App is not active"}, None),
        ({"error_description": "no", "access_token": "", "refresh_token": ""}, None),
        ({"error": "invalid_request"}, None),
        ({"error": 0, "error_name": "odd"}, None),
    ],
)
def test_any_other_error_is_refused_and_the_token_kept(answer: Any, number: int | None) -> None:
    for status in (200, 400, 429):
        refused = oauth.read_grant(status, json.dumps(answer).encode(), "old")
        assert isinstance(refused, grant.Refused)
        assert refused.zalo_error == number


LOST = [
    b"",
    b"{}",
    b"[]",
    b"<html>",
    b'{"error":0,"message":"Success"}',
    b'{"error":null}',
    pair(refresh_token=""),
    pair(refresh_token=None),
    pair(refresh_token="old"),
    pair(refresh_token=7),
    pair(refresh_token="a b"),
    pair(access_token=""),
    pair(access_token="a\r\nb"),
    pair(expires_in=0),
    pair(expires_in=-1),
    pair(expires_in=10_000_001),
    pair(expires_in="soon"),
    pair(expires_in=None),
    pair(expires_in=True),
    pair()[:-1],
    pair()[:-1] + b',"refresh_token":"other"}',
]


@pytest.mark.parametrize("body", LOST)
@pytest.mark.parametrize("status", [200, 400])
def test_everything_else_is_lost(body: bytes, status: int) -> None:
    assert isinstance(oauth.read_grant(status, body, "old"), grant.Lost)


@pytest.mark.parametrize("body", [pair(), b'{"error":-14014}', b"<html>", b""])
def test_a_server_error_is_lost_whatever_it_says(body: bytes) -> None:
    assert oauth.read_grant(502, body, "old") == grant.Lost("server-error")


def test_a_redirect_without_a_pair_is_lost() -> None:
    assert oauth.read_grant(302, b'{"error":-14014}', "old") == grant.Lost("redirected")


def test_no_token_is_in_what_is_said_about_it() -> None:
    body = json.dumps({"error": -14002, "error_name": "bad token old-refresh-token"}).encode()
    refused = oauth.read_grant(200, body, "old-refresh-token")
    assert isinstance(refused, grant.Refused)
    assert "old-refresh-token" not in refused.detail
    assert "new-" not in repr(oauth.read_grant(200, pair(), "old"))
