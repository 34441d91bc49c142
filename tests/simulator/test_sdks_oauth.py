"""OAuth as two SDKs of other people's speak it, unchanged: consent with PKCE, refresh, and what is refused."""

import re
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pkce import generate_pkce_pair
from zalo_sdk import ZaloOAException, zns
from zalosdk import ZNSMessage

from tests.system.stage import Process

from .hosts import API, OAUTH, Hosts
from .sdks import OTP, PHONE, other_of, refused

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("company")]

CALLBACK = "https://gateway.example.com/oauth/zalo/callback"


def consented(simulator: Process, link: str) -> dict[str, str]:
    """What the callback gets once an administrator has opened the link and pressed the button."""
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", OAUTH, "/v4/oa/permission")
    with httpx.Client(base_url=simulator.url, trust_env=False) as browser:
        page = browser.get(f"{parts.path}?{parts.query}").text
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        landing = browser.post("/v4/oa/permission", data=fields)
    assert landing.status_code == 302
    there = landing.headers["location"]
    assert there.startswith(f"{CALLBACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}


def test_the_consent_flow_with_pkce(simulator: Process, zalo: Any, hosts: Hosts) -> None:
    client = zns.Client(zalo["app_id"], zalo["app_secret"])
    verifier, challenge = generate_pkce_pair()
    got = consented(simulator, client.request_authoriation_code_url(CALLBACK, challenge, "st-1"))
    assert set(got) == {"code", "oa_id", "state"}
    assert (got["oa_id"], got["state"]) == (zalo["oa_id"], "st-1")
    with refused(-14010, ZaloOAException):
        client.get_access_token_from_authorization_code(got["code"], "x" * 43)
    access, refresh, expires_at = client.get_access_token_from_authorization_code(got["code"], verifier)
    assert access
    assert refresh
    assert isinstance(expires_at, int)
    assert not client.isAccessTokenExpired()
    assert client.send_zns_message(PHONE, "310001", OTP)["error"] == 0
    with refused(-14010, ZaloOAException):
        client.get_access_token_from_authorization_code(got["code"], verifier)
    assert hosts.seen == [OAUTH, OAUTH, API, OAUTH]


def test_the_consent_flow_with_the_other_sdks_own_challenge(simulator: Process, zalo: Any, hosts: Hosts) -> None:
    verifier, _ = generate_pkce_pair()
    other = other_of(zalo, hosts, None, verifier)
    link = zns.Client(zalo["app_id"], "").request_authoriation_code_url(CALLBACK, other.code_challenge)
    grant = other.get_access_token(consented(simulator, link)["code"])
    assert grant.access_token
    assert grant.refresh_token
    assert grant.expires_in == 90_000
    other.access_token = grant
    assert other.send_message(asdict(ZNSMessage(PHONE, "310001", OTP)))["error"] == 0


def test_a_refresh_rotates_the_pair(client: Any, zalo: Any) -> None:
    access, refresh, _ = client.refresh_acccess_token()
    assert access != zalo["grant"]["access_token"]
    assert refresh != zalo["grant"]["refresh_token"]
    assert client.send_zns_message(PHONE, "310001", OTP)["error"] == 0
    assert client.refresh_acccess_token()[1] != refresh


def test_a_refresh_with_the_other_sdk(other: Any, zalo: Any) -> None:
    grant = other.refresh_access_token(zalo["grant"]["refresh_token"])
    assert len({grant.access_token, zalo["grant"]["access_token"]}) == 2
    assert grant.expires_in == 90_000
    assert other.refresh_access_token(grant.refresh_token).access_token


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"_secret_key": "wrong"}, -14004),
        ({"_secret_key": None}, -14004),
        ({"_app_id": "1"}, -14002),
        ({"_refresh_token": "never-issued"}, -14014),
    ],
)
def test_what_oauth_refuses_is_the_sdks_own_error_and_spends_nothing(
    client: Any, changes: dict[str, str | None], error: int
) -> None:
    before = dict(vars(client))
    vars(client).update(changes)
    with refused(error, ZaloOAException):
        client.refresh_acccess_token()
    vars(client).update(before)
    assert client.refresh_acccess_token()[0]


@pytest.mark.parametrize("secret", ["wrong", ""])
def test_a_refusal_has_empty_tokens_where_the_other_sdk_looks_for_them(other: Any, zalo: Any, secret: str) -> None:
    other.app_secret = secret
    nothing = other.refresh_access_token(zalo["grant"]["refresh_token"])
    assert (nothing.access_token, nothing.refresh_token, nothing.expires_in) == ("", "", 0)
    nothing = other.get_access_token("no-code")
    assert (nothing.access_token, nothing.refresh_token, nothing.expires_in) == ("", "", 0)


def test_a_spent_refresh_token_is_an_error_where_the_rule_says_so(
    simulator: Process, client: Any, zalo: Any
) -> None:
    client.refresh_acccess_token()
    client.refresh_token = zalo["grant"]["refresh_token"]
    with pytest.raises(ValueError, match="Expecting value"):  # neither SDK knows of the empty answer
        client.refresh_acccess_token()
    simulator.ask("POST", "/__sim/rules", {"spent_refresh": "-14014"})
    with refused(-14014, ZaloOAException):
        client.refresh_acccess_token()
    simulator.ask("POST", "/__sim/rules", {"spent_refresh": "empty"})
