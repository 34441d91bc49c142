"""Every promise between two settings, or of one with the world, and every fault at once."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.promises import of_callers
from gateway.config.settings import Callback, Caller
from gateway.transport.exchange import Target
from tests.config.toml import DIGEST, SEALING, WHOLE, WHSEC, faults, settings, the_fault


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('[server]\nwait = "61s"', "server.wait is longer than 60s"),
        ("[server]\npublic_port = 8080", "server.public_port is server.port"),
        ('[server]\nhost = ""', "server.host is empty"),
        ('[server]\npublic_url = "zns.example.com"', "server.public_url is not the beginning of a URL"),
        (
            '[server]\npublic_url = "https://zns.example.com/?a=b"',
            "server.public_url is not the beginning of a URL",
        ),
        ('[server]\npublic_url = "https://me@zns.example.com"', "server.public_url is not the beginning of a URL"),
        ('[server]\nmax_batch_body = "1KiB"', "smaller than server.max_body"),
        ('[store]\nurl = "redis://localhost/0"', "this version keeps its messages in SQLite only"),
        ('[store]\nurl = "gateway.db"', "names no store"),
        ('[store]\nurl = "sqlite:///"', "names no store"),
        ('[store]\nurl = "sqlite://host/x.db"', "names no store"),
        ('[zalo]\nconnect_timeout = "0s"', "zalo.connect_timeout is nothing"),
        ('[zalo]\nread_timeout = "0ms"', "zalo.read_timeout is nothing"),
        ('[zalo]\napi_url = "business.openapi.zalo.me"', "zalo.api_url is no URL"),
        ('[zalo]\noauth_url = "ftp://zalo"', "zalo.oauth_url is no URL"),
        ('[zalo]\noauth_url = "http://127.0.0.1:9100"', "not both Zalo or both a simulator"),
        ('[delivery]\nretry_first = "6m"', "longer than delivery.retry_cap"),
        ('[delivery]\nprobe_every = "0s"', "delivery.probe_every is nothing"),
        ('[accounts.b]\napp_secret = "s"\napp_id = " "', "accounts.b.app_id is empty"),
        ('[accounts.b]\napp_id = "1"\napp_secret = ""', "accounts.b.app_secret is empty"),
        ('[accounts.b]\napp_id = "1"\napp_secret = "s"\nwebhook_secrets = ["x", ""]', "anybody could sign with"),
        (f'[accounts.b]\napp_id = "1"\napp_secret = "s"\ncode_verifier = "{"v" * 42}"', "none that PKCE allows"),
        (f'[accounts.b]\napp_id = "1"\napp_secret = "s"\ncode_verifier = "{"v" * 42}+"', "none that PKCE allows"),
        ('[accounts.b]\napp_id = "1"\napp_secret = "s"\nquiet_hours = "22-06"', "no stretch of a day"),
        ('[accounts.b]\napp_id = "1"\napp_secret = "s"\nquiet_hours = "06:00-06:00"', "no stretch of a day"),
        (
            f'[callers.a]\nkey_sha256 = ["{DIGEST}"]\n[callers.b]\nkey_sha256 = ["{DIGEST}"]',
            "callers a and b share a key",
        ),
    ],
)
def test_each_promise_is_checked_before_anything_is_served(tmp_path: Path, more: str, what: str) -> None:
    assert what in the_fault(tmp_path, more)


@pytest.mark.parametrize("keys", ["[]", '["short"]', f'["{SEALING}", "no base64!"]', f'["{SEALING[:-4]}"]'])
def test_a_sealing_key_is_base64_of_32_bytes_and_is_not_told(tmp_path: Path, keys: str) -> None:
    (told,) = faults(tmp_path, f"[secrets]\nkeys = {keys}\n[accounts.main]\napp_id = '1'\napp_secret = 's'")
    assert told.startswith("2: secrets.keys")
    assert "urandom" in told
    assert SEALING[:-4] not in told


def callback(url: str, *secrets: str) -> str:
    return (
        f"[callers.c]\nkey_sha256 = []\ncallback = {{ url = {json.dumps(url)}, secrets = {json.dumps(secrets)} }}"
    )


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "callers.c.callback.url is no URL"),
        ("x", "is no URL"),
        ("ftp://x/", "is no URL"),
        ("http://", "is no URL"),
        ("https:///path", "is no URL"),
        ("http://x:0/", "is no URL"),
        ("http://x:port/", "is no URL"),
        ("http://a b/", "is no URL"),
        ("http://a..b/", "is no URL"),
        ("http://300.1.1.1/", "is no URL"),
        ("http://[::g]/", "is no URL"),
        ("http://x/\n", "is no URL"),
        ("http://me@x/", "a user name or a password"),
        ("http://me:sesame@x/", "a user name or a password"),
        ("http://@x/", "a user name or a password"),
        ("http://x/#there", "a fragment"),
        ("http://x#", "a fragment"),
    ],
)
def test_a_callback_goes_to_one_plain_url_which_is_not_told(tmp_path: Path, url: str, what: str) -> None:
    told = the_fault(tmp_path, callback(url, WHSEC))
    assert what in told
    assert "sesame" not in told


@pytest.mark.parametrize(
    "url",
    [
        "http://checkout.internal/zns",
        "HTTPS://x:8443/a?b=c@d",
        "http://[::1]:80/",
        "http://10.0.0.1",
        "http://a_b.",
    ],
)
def test_any_other_url_is_taken_and_can_be_called(tmp_path: Path, url: str) -> None:
    told = settings(tmp_path, callback(url, WHSEC)).callers["c"].callback
    assert told is not None
    assert told.url == url
    Target.at(url)


@given(st.from_regex(r"https?://[^/\\]{0,12}(/[ -~]{0,8})?", fullmatch=True))
def test_what_the_check_takes_for_a_url_the_client_takes_too(url: str) -> None:
    given_one = {"c": Caller([], callback=Callback(url, [WHSEC]))}
    if not list(of_callers(given_one)):
        Target.at(url)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        WHSEC.removeprefix("whsec_"),
        WHSEC.upper(),
        WHSEC[:-4],  # 21 bytes
        WHSEC[:-1],
        WHSEC + "=",
        WHSEC + " ",
        WHSEC[:-1] + "-",
        WHSEC[:-1] + "é",
        "whsec_" + base64.b64encode(b"s" * 23).decode(),
        "whsec_" + base64.b64encode(b"s" * 65).decode(),
    ],
)
def test_a_callback_secret_is_whsec_and_base64_of_24_to_64_bytes_and_is_not_told(
    tmp_path: Path, secret: str
) -> None:
    told = the_fault(tmp_path, callback("http://x", WHSEC, secret))
    assert told.startswith("callers.c.callback.secrets holds what is not whsec_ and base64 of 24 to 64 bytes, ")
    assert told.endswith('make one: echo "whsec_$(openssl rand -base64 32)"')
    assert WHSEC[6:14] not in told
    assert not secret or secret == "whsec_" or secret not in told


def test_everything_that_is_wrong_with_a_callback_is_told_at_once(tmp_path: Path) -> None:
    told = faults(tmp_path, WHOLE + callback("http://me@x/#there", "sesame", "whsec_sesame"))
    assert [part for line in told for part in ("secrets", "user name", "fragment") if part in line] == [
        "secrets",
        "secrets",
        "fragment",
        "user name",
    ]


def test_a_callback_without_a_secret_would_prove_nothing(tmp_path: Path) -> None:
    assert "callers.c.callback.secrets is empty, make one: " in the_fault(tmp_path, callback("http://x"))


def test_a_callback_secret_may_have_64_bytes_and_there_may_be_several(tmp_path: Path) -> None:
    longest = "whsec_" + base64.b64encode(b"s" * 64).decode()
    told = settings(tmp_path, callback("http://x", WHSEC, longest)).callers["c"].callback
    assert told is not None
    assert told.secrets == [WHSEC, longest]


def test_a_code_verifier_that_is_none_is_not_told(tmp_path: Path) -> None:
    verifier = "secret-but-too-short"
    assert verifier not in the_fault(tmp_path, f'code_verifier = "{verifier}"')


@pytest.mark.parametrize(
    ("url", "callback"),
    [
        ("", ""),
        ("https://zns.example.com", "https://zns.example.com/oauth/zalo/callback"),
        ("https://example.com/zns/", "https://example.com/zns/oauth/zalo/callback"),
    ],
)
def test_the_callback_lies_below_the_public_url(tmp_path: Path, url: str, callback: str) -> None:
    assert settings(tmp_path, f'[server]\npublic_url = "{url}"').server.callback_url() == callback


def test_what_has_no_default_must_be_there(tmp_path: Path) -> None:
    assert faults(tmp_path, "") == [
        "1: `secrets.keys` is missing, it has no default: set it",
        "1: there is no account, add [accounts.main]",
    ]
    assert "`accounts.b.app_secret` is missing" in faults(tmp_path, WHOLE + '[accounts.b]\napp_id = "1"')[0]
    assert "`callers.c.key_sha256` is missing" in faults(tmp_path, WHOLE + "[callers.c]")[0]


def test_all_faults_of_all_tables_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        """\
[server]
wait = "90s"
port = "x"
[zalo]
api_url = "x"
read_timeot = "1s"
[delivery]
retry_first = "1h"
[secrets]
keys = ["${KEY}"]
[accounts.main]
app_id = 1
[accounts.other]
app_id = "1"
app_secret = "s"
quiet_hours = "x"
[callers."a b"]
key_sha256 = ["x"]
""",
    )
    assert [int(line.partition(":")[0]) for line in told] == [2, 3, 5, 6, 8, 10, 11, 12, 16, 17, 18], told
