import re
from itertools import permutations
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest

from gateway.simulator import oauth
from gateway.simulator.exchange import Asked, Told
from gateway.simulator.issuer import challenge_of
from gateway.simulator.zalo import APP_ID, APP_SECRET, OA_ID

from .stage import Scene, json_of

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
REDIRECT = "https://gateway.example.com/oauth/zalo/callback"
INVALID_REFRESH = {
    "error": -14014,
    "error_name": "Invalid refresh token.",
    "message": "",
    "access_token": "",
    "refresh_token": "",
}


def ask(scene: Scene, secret: str | None = APP_SECRET, **form: str) -> Told:
    headers = [] if secret is None else [(b"secret_key", secret.encode())]
    body = urlencode({"app_id": APP_ID, **form}).encode()
    return oauth.token(scene.zalo, Asked("POST", "/v4/oa/access_token", headers, b"", body))


def refresh(scene: Scene, token: str, **more: Any) -> Told:
    return ask(scene, grant_type="refresh_token", refresh_token=token, **more)


def consent(scene: Scene, method: str = "POST", **query: str) -> Told:
    given = urlencode({"app_id": APP_ID, "redirect_uri": REDIRECT, **query}).encode()
    return oauth.permission(scene.zalo, Asked(method, "/v4/oa/permission", [], given, b""))


def code_of(told: Told) -> str:
    return parse_qs(urlsplit(told.location or "").query)["code"][0]


def rules(scene: Scene, **changes: Any) -> None:
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, **changes))


def outcomes(scene: Scene) -> list[str]:
    return [each.outcome for each in scene.zalo.ledger.exchanges]


def test_a_refresh_gives_the_next_grant_in_zalos_types(scene: Scene) -> None:
    grant = json_of(refresh(scene, scene.credentials["grant"]["refresh_token"]))
    assert list(grant) == ["access_token", "refresh_token", "expires_in"]
    assert grant["expires_in"] == "90000"
    assert scene.send(headers={"access_token": grant["access_token"]})["error"] == 0
    assert scene.send()["error"] == 0
    assert refresh(scene, grant["refresh_token"]).error is None


def test_a_spent_refresh_token_gets_an_empty_answer_or_an_error_if_the_rules_say_so(scene: Scene) -> None:
    token = scene.credentials["grant"]["refresh_token"]
    refresh(scene, token)
    again = refresh(scene, token)
    assert (again.status, again.body) == (200, b"")
    rules(scene, spent_refresh="-14014", oauth_error_status=400)
    third = refresh(scene, token)
    assert json_of(third) == INVALID_REFRESH
    assert third.status == 400
    assert outcomes(scene) == ["rotated", "spent", "spent"]


def test_an_unknown_or_expired_refresh_token_is_14014(scene: Scene) -> None:
    assert json_of(refresh(scene, "never-issued")) == INVALID_REFRESH
    assert json_of(ask(scene, grant_type="refresh_token")) == INVALID_REFRESH
    scene.zalo.issuer.expire("refresh")
    assert json_of(refresh(scene, scene.credentials["grant"]["refresh_token"])) == INVALID_REFRESH
    assert outcomes(scene) == ["unknown", "unknown", "expired"]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"secret": None}, -14004),
        ({"secret": "wrong"}, -14004),
        ({"secret": "wróng"}, -14004),
        ({"app_id": "1"}, -14002),
        ({"grant_type": "password"}, -14001),
        ({"grant_type": ""}, -14001),
    ],
)
def test_a_client_that_is_not_right_is_refused_and_spends_nothing(
    scene: Scene, form: dict[str, Any], error: int
) -> None:
    token = scene.credentials["grant"]["refresh_token"]
    told = ask(scene, **{"grant_type": "refresh_token", "refresh_token": token, **form})
    assert (told.status, json_of(told)["error"]) == (200, error)
    assert set(json_of(told)) == set(INVALID_REFRESH)
    assert refresh(scene, token).error is None


def told_in_order(scene: Scene, form: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    body = urlencode(form).encode()
    headers = [(b"secret_key", APP_SECRET.encode())]
    return json_of(oauth.token(scene.zalo, Asked("POST", "/v4/oa/access_token", headers, b"", body)))


def test_the_fields_of_a_form_may_come_in_any_order(scene: Scene) -> None:
    for order in permutations(("grant_type", "app_id", "refresh_token")):
        token = scene.zalo.credentials()["grant"]["refresh_token"]
        fields = {"grant_type": "refresh_token", "app_id": APP_ID, "refresh_token": token}
        assert told_in_order(scene, tuple((name, fields[name]) for name in order))["access_token"], order
    for order in permutations(("grant_type", "app_id", "code", "code_verifier")):
        code = code_of(consent(scene, code_challenge=challenge_of(VERIFIER)))
        fields = {"grant_type": "authorization_code", "app_id": APP_ID, "code": code, "code_verifier": VERIFIER}
        assert told_in_order(scene, tuple((name, fields[name]) for name in order))["access_token"], order


def test_grants_are_independent_chains_until_a_consent_ends_them(scene: Scene) -> None:
    first, second = scene.credentials["grant"], scene.zalo.credentials()["grant"]
    assert refresh(scene, first["refresh_token"]).error is None
    assert refresh(scene, second["refresh_token"]).error is None
    third = scene.zalo.credentials()["grant"]
    code = code_of(consent(scene))
    assert json_of(refresh(scene, third["refresh_token"])) == INVALID_REFRESH
    assert scene.send(headers={"access_token": third["access_token"]})["error"] == -124
    grant = json_of(ask(scene, grant_type="authorization_code", code=code))
    assert scene.send(headers={"access_token": grant["access_token"]})["error"] == 0


def test_an_access_token_ends_with_its_time_or_with_its_refresh_if_the_rules_say_so(scene: Scene) -> None:
    rules(scene, expires_in=60, refresh_ends_old_access=True)
    grant = json_of(refresh(scene, scene.credentials["grant"]["refresh_token"]))
    assert grant["expires_in"] == "60"
    assert scene.send()["error"] == -124
    headers = {"access_token": grant["access_token"]}
    scene.hands.move(59)
    assert scene.send(headers=headers)["error"] == 0
    scene.hands.move(1)
    assert scene.send(headers=headers)["error"] == -124


def test_the_page_of_consent_shows_a_button_and_grants_nothing_by_itself(scene: Scene) -> None:
    told = consent(scene, "GET", state='"><script>', code_challenge="c")
    page = told.body.decode()
    assert (told.status, told.content_type) == (200, b"text/html; charset=utf-8")
    assert 'method="post"' in page
    assert "Approve</button>" in page
    assert "&quot;&gt;&lt;script&gt;" in page
    assert "<script>" not in page
    assert scene.send()["error"] == 0


def test_consent_redirects_with_code_oa_id_and_state_and_the_code_works_once(scene: Scene) -> None:
    told = consent(scene, state="a b&c", code_challenge=challenge_of(VERIFIER))
    assert told.status == 302
    query = parse_qs(urlsplit(told.location or "").query)
    assert (query["oa_id"], query["state"]) == ([OA_ID], ["a b&c"])
    form = {"grant_type": "authorization_code", "code": query["code"][0]}
    assert json_of(ask(scene, **form))["error"] == -14010
    assert json_of(ask(scene, **form, code_verifier="x" * 43))["error"] == -14010
    assert json_of(ask(scene, **form, code_verifier=VERIFIER))["access_token"]
    assert json_of(ask(scene, **form, code_verifier=VERIFIER))["error"] == -14010
    assert outcomes(scene) == ["wrong-verifier", "wrong-verifier", "granted", "spent"]


def test_a_code_lives_ten_minutes(scene: Scene) -> None:
    code = code_of(consent(scene))
    scene.hands.move(600)
    assert json_of(ask(scene, grant_type="authorization_code", code=code))["error"] == -14010
    assert outcomes(scene) == ["expired"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"app_id": "1"}, -14002),
        ({"redirect_uri": ""}, -14003),
        ({"redirect_uri": "javascript:alert(1)"}, -14003),
        ({"redirect_uri": "//example.com"}, -14003),
        ({"redirect_uri": "http://[::1"}, -14003),
        ({"redirect_uri": "https://example.com/\r\nx: y"}, -14003),
    ],
)
def test_a_bad_link_lands_on_a_page_with_the_error(scene: Scene, query: dict[str, str], code: int) -> None:
    for method in ("GET", "POST"):
        told = consent(scene, method, **query)
        assert (told.status, told.location) == (200, None)
        assert f"error_code={code}" in told.body.decode()
    assert scene.send()["error"] == 0


def test_the_registered_redirect_is_the_only_one(scene: Scene) -> None:
    rules(scene, redirect_uri="https://other.example.com/")
    assert "error_code=-14003" in consent(scene).body.decode()


def test_the_pkce_vector_holds() -> None:
    assert challenge_of(VERIFIER) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_ledger_knows_chains_and_generations_but_no_token(scene: Scene) -> None:
    token = scene.credentials["grant"]["refresh_token"]
    following = json_of(refresh(scene, token))["refresh_token"]
    refresh(scene, following)
    refresh(scene, token)
    told = scene.zalo.ledger.told()["refreshes"]
    assert [(each["chain"], each["generation"], each["outcome"]) for each in told] == [
        (1, 1, "rotated"),
        (1, 2, "rotated"),
        (1, 1, "spent"),
    ]
    assert told[0]["presented"] == told[2]["presented"] != told[1]["presented"]
    assert all(re.fullmatch("[0-9a-f]{16}", each["presented"]) for each in told)
    assert token not in str(scene.zalo.ledger.told())
