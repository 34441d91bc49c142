"""`gateway.toml` read: variables, units, kinds, unknown keys, each fault with its line and its cure."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.config import BrokenConfig, load
from gateway.core.errors import CannotStart
from gateway.core.schedule import QuietHours
from tests.config.toml import DIGEST, SEALING, WHOLE, WHSEC, faults, read, settings, the_fault


def test_everything_but_secrets_has_a_default(tmp_path: Path) -> None:
    it = settings(tmp_path, "")
    assert (it.server.host, it.server.port, it.server.public_port) == ("127.0.0.1", 8080, 0)
    assert (it.server.wait, it.server.max_body, it.server.max_batch_body) == (
        timedelta(seconds=10),
        1 << 18,
        1 << 23,
    )
    assert it.store.url == "sqlite:///var/gateway.db"
    assert it.zalo.read_timeout == timedelta(seconds=15)
    assert it.accounts["main"].quiet() is None
    assert it.sealing_keys() == [b"k" * 32]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
    ],
)
def test_a_duration_has_its_unit(tmp_path: Path, text: str, value: timedelta) -> None:
    assert settings(tmp_path, f'[store]\nretention = "{text}"').store.retention == value


@pytest.mark.parametrize(
    "text", ['"10"', '"10 s"', '"s"', '"-1s"', '"1.5h"', '"1h30m"', '"99999999d"', "10", "true", '""']
)
def test_what_is_no_duration_is_told_how_to_write_one(tmp_path: Path, text: str) -> None:
    assert "`store.retention` cannot be understood, write a duration" in the_fault(
        tmp_path, f"[store]\nretention = {text}"
    )


@pytest.mark.parametrize(("text", "value"), [('"1B"', 1), ('"64KiB"', 65536), ('"8MiB"', 1 << 23), ("2048", 2048)])
def test_a_size_has_its_unit_or_is_bytes(tmp_path: Path, text: str, value: int) -> None:
    more = f'[server]\nmax_batch_body = "1GiB"\nmax_body = {text}'
    assert settings(tmp_path, more).server.max_body == value


@pytest.mark.parametrize("text", ['"64KB"', '"64k"', '"-1KiB"', '"1.5MiB"', "0", "-1", "1.5", "true"])
def test_what_is_no_size_is_told_how_to_write_one(tmp_path: Path, text: str) -> None:
    assert "`server.max_body`" in the_fault(tmp_path, f"[server]\nmax_body = {text}")


def test_variables_are_filled_in_wherever_a_text_stands(tmp_path: Path) -> None:
    secret = tmp_path / "mounted"
    secret.write_text("from a file\n")
    it = settings(
        tmp_path,
        '[server]\nhost = "${HOST:-0.0.0.0}"\nport = "${PORT}"\nwait = "${WAIT}s"\n'
        f'[accounts.two]\napp_id = "${{A}}-${{B:-b}}-${{C:-}}"\napp_secret = "${{file:{secret}}}"\n'
        '[callers.c]\nkey_sha256 = ["${DIGEST}"]\nevents = ["${KIND}.*"]',
        PORT="9000",
        WAIT="3",
        A="a",
        DIGEST=DIGEST,
        KIND="order",
    )
    assert (it.server.host, it.server.port, it.server.wait) == ("0.0.0.0", 9000, timedelta(seconds=3))
    assert (it.accounts["two"].app_id, it.accounts["two"].app_secret) == ("a-b-", "from a file")
    assert (it.callers["c"].key_sha256, it.callers["c"].events) == ([DIGEST], ["order.*"])


def test_what_a_variable_holds_is_not_read_again(tmp_path: Path) -> None:
    assert (
        settings(tmp_path, '[accounts.b]\napp_id = "${A}"\napp_secret = "s"', A="${B}").accounts["b"].app_id
        == "${B}"
    )


def test_a_number_in_quotes_is_a_slip_unless_a_variable_holds_it(tmp_path: Path) -> None:
    assert "it is a number, not text" in the_fault(tmp_path, '[server]\nport = "9000"')


@pytest.mark.parametrize("text", ["${1X}", "${}", "${A", "${A-b}", "${file:}", "a ${ b"])
def test_what_looks_like_a_variable_and_is_none_is_a_fault(tmp_path: Path, text: str) -> None:
    assert "that is no variable" in the_fault(tmp_path, f'[server]\nhost = "{text}"', A="a")


def test_a_variable_without_braces_is_a_slip_and_no_secret(tmp_path: Path) -> None:
    assert "write ${HOST}" in the_fault(tmp_path, '[server]\nhost = "$HOST"', HOST="a")
    assert settings(tmp_path, '[server]\nhost = "$1.a"').server.host == "$1.a"


def test_every_variable_that_is_not_set_is_told_at_once(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        f'[secrets]\nkeys = ["${{KEY}}", "{SEALING}"]\n[accounts.main]\napp_id = "${{ID}}"\n'
        f'app_secret = "${{file:{tmp_path}/none}}"\n[store]\nretention = "${{KEEP}}"',
        ID="",
    )
    assert [line.partition(":")[0] for line in told] == ["2", "4", "5", "7"]
    assert [line.rpartition(", ")[2] for line in told] == [
        "export KEY",
        "export ID",
        "mount it (FileNotFoundError)",
        "export KEEP",
    ]


def test_what_is_not_set_may_be_left_open_where_no_secret_is_needed(tmp_path: Path) -> None:
    text = '[secrets]\nkeys = ["${KEY}"]\n[accounts.main]\napp_id = "${ID}"\napp_secret = "${S}"\n'
    text += '[server]\nwait = "${WAIT}"\nport = "${PORT}"\n[callers.c]\nkey_sha256 = ["${D}"]'
    loaded = read(tmp_path, text, may_be_unset=True)
    assert [fault.variable for fault in loaded.unset] == ["WAIT", "PORT", "KEY", "ID", "S", "D"]
    assert (loaded.settings.server.wait, loaded.settings.callers["c"].key_sha256) == (timedelta(seconds=10), [])


@pytest.mark.parametrize(
    ("more", "cure"),
    [
        ("[server]\nmax_bach = 1", "`max_bach` is not a key of [server], did you mean `max_batch`?"),
        ("[server]\nHost = 'x'", "did you mean `host`?"),
        ("[delivery]\nretry_fist = '1s'", "did you mean `retry_first`?"),
        ("[server]\nzzz = 1", "there are `host`, `max_batch`"),
        ("[acounts.x]\napp_id = 'x'", "`acounts` is not a table here, did you mean `accounts`?"),
        (
            "[callers.c]\nkey_sha256 = []\nevent = []",
            "`event` is not a key of [callers.c], did you mean `events`?",
        ),
        (
            f'[callers.c]\nkey_sha256 = ["{DIGEST}"]\ncallback = {{ url = "http://x", secrets = ["{WHSEC}"], ulr = 1 }}',
            "did you mean `url`?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path, more: str, cure: str) -> None:
    if more.startswith("[acounts"):
        assert cure in faults(tmp_path, WHOLE + more)[0]
    else:
        assert cure in the_fault(tmp_path, more)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("[server]\nhost = 7", "it is text, not a number"),
        ("[server]\nport = 65536", "it is at most 65535"),
        ("[server]\nport = -1", "it is at least 0"),
        ("[server]\nmax_batch = 0", "it is at least 1"),
        ("[delivery]\npause_after_uncertain = -1", "it is at least 0"),
        ("[delivery]\nmax_queued = 1.5", "it is a number, not a fraction"),
        ("[accounts.b]\napp_id = '1'\napp_secret = 's'\nappsecret_proof = 'yes'", "it is true or false, not text"),
        ("[callers.c]\nkey_sha256 = 'x'", "it is a list, not text"),
        ("[callers.c]\nkey_sha256 = ['ABC']", "64 digits of lower-case hex"),
        ("[callers.c]\nkey_sha256 = []\nrole = 'admin'", "there are `sender`, `operator`"),
        ("[callers.c]\nkey_sha256 = []\nmode = 'test'", "there are `live`, `development`"),
    ],
)
def test_what_is_not_of_its_kind_is_told_in_plain_words(tmp_path: Path, more: str, what: str) -> None:
    assert what in the_fault(tmp_path, more)


def test_a_fault_in_a_list_stands_on_the_line_of_its_item(tmp_path: Path) -> None:
    text = WHOLE + f'[callers."c.d"]\nkey_sha256 = [\n  "{DIGEST}",\n  "x",\n]'
    assert faults(tmp_path, text)[0].startswith("9: ")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"[server\n", "1: is not TOML"),
        (b"[server]\nport = 1\nport = 2\n", "is not TOML"),
        (b"\xff", "1: is not UTF-8"),
        (b"accounts = 3\ncallers = []\nsecrets = 1\n", "`accounts` is not a group of tables"),
        (b"a = " + b"[" * 5000, "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, raw: bytes, what: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_bytes(raw)
    with pytest.raises(BrokenConfig) as broken:
        load(file, environment={})
    assert any(what in str(fault) for fault in broken.value.faults)


def test_a_file_that_is_not_there_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"none\.toml cannot be read: .*--config"):
        load(tmp_path / "none.toml")


def test_nothing_that_is_secret_is_in_the_repr_of_the_settings(tmp_path: Path) -> None:
    more = '[accounts.b]\napp_id = "1"\napp_secret = "sesame-1"\nwebhook_secrets = ["sesame-2"]\n'
    more += f'[callers.c]\nkey_sha256 = ["{DIGEST}"]\ncallback = {{ url = "http://x", secrets = ["{WHSEC}"] }}'
    told = repr(settings(tmp_path, more))
    assert not any(word in told for word in ("sesame", SEALING, WHSEC))


def test_quiet_hours_are_understood(tmp_path: Path) -> None:
    more = '[accounts.b]\napp_id = "1"\napp_secret = "s"\nquiet_hours = "22:00-06:00"'
    assert isinstance(settings(tmp_path, more).accounts["b"].quiet(), QuietHours)


def test_who_is_on_this_machine_is_a_simulator(tmp_path: Path) -> None:
    assert not settings(tmp_path, "").zalo.is_simulated
    more = '[zalo]\napi_url = "http://localhost:9100"\noauth_url = "http://127.0.0.1:9100"'
    assert settings(tmp_path, more).zalo.is_simulated


def test_what_lies_beside_the_file_is_found_by_path(tmp_path: Path) -> None:
    for name in (
        "mappings/a.toml",
        "templates/1.json",
        "samples/a/x.json",
        "samples/stray.json",
        "mappings/a.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"{}")
    loaded = read(tmp_path, WHOLE)
    assert [Path(it).name for found in (loaded.mappings, loaded.templates, loaded.samples) for it in found] == [
        "a.toml",
        "1.json",
        "x.json",
    ]
