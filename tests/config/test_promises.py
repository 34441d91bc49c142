"""Every promise between two settings, or of one with the world, and every fault at once."""

from pathlib import Path

import pytest

from tests.config.toml import DIGEST, SEALING, WHOLE, faults, settings, the_fault


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
        (
            '[callers.c]\nkey_sha256 = []\ncallback = { url = "x", secrets = ["whsec_YQ=="] }',
            "callback.url is no URL",
        ),
        (
            '[callers.c]\nkey_sha256 = []\ncallback = { url = "http://x", secrets = ["YQ=="] }',
            "something else than whsec_",
        ),
        (
            '[callers.c]\nkey_sha256 = []\ncallback = { url = "http://x", secrets = [] }',
            "something else than whsec_",
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
