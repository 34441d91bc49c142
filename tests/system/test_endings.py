"""Whatever is wrong, a command says in a word what, where and how to mend it, and never how it is built."""

from pathlib import Path

import pytest

from tests.system.commands import run, said, shell
from tests.system.stage import Stage

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "config", "check"], ["config cannot be read", "--config config/gateway.toml"]),
        (["--config", "nowhere.toml", "messages", "list"], ["nowhere.toml", "--config"]),
        (["--config", "Makefile/x.toml", "check"], ["Makefile/x.toml", "Not a directory"]),
        (["--confg", "x", "check"], ["--config"]),
        (["preview", "nowhere.json"], ["nowhere.json", "No such file", "name a file"]),
        (["preview", "config"], ["config", "Is a directory", "name a file"]),
        (["preview", "{batch}"], ["batch of 2", "a file alone"]),
        (["preview", "{latin}"], ["latin.json", "UTF-8", "mend the file"]),
        (["preview", "{cut}"], ["cut.json", "line 1", "mend the file"]),
        (["preview", "{empty}"], ["empty.json is empty", "write one event"]),
        (["preview", "config/samples/auth.otp/plain.json", "--caller", "chekout"], ["did you mean `checkout`?"]),
        (["key", "new", "a b"], ["a b", "use letters"]),
        (["openapi", "--output", "nowhere/x.yaml"], ["nowhere/x.yaml", "make its folder"]),
        (["openapi", "--output", "config"], ["config", "directory"]),
        (["completion", "tcsh"], ["bash"]),
        (["messages", "shw"], ["show"]),
        (["messages", "list", "--since", "yesterday"], ["--since", "such as 2026-11-23T08:00:00Z"]),
        (["messages", "list", "--until", "2026-11-24T02:00:00"], ["--until", "zone", "messages list --help"]),
        (["messages", "list", "--phone", "12"], ["--phone"]),
        (["token", "import"], ["ACCOUNT"]),
    ],
)
def test_what_cannot_be_done_is_told_in_a_word_with_its_cure(
    arguments: list[str], words: list[str], tmp_path: Path
) -> None:
    files = {name: tmp_path / f"{name}.json" for name in ("batch", "latin", "cut", "empty")}
    files["batch"].write_text('[{"id": "1"}, {"id": "2"}]')
    files["latin"].write_bytes(b'{"id": "\xff"}')
    files["cut"].write_text('{"id": ')
    files["empty"].write_text(" ")
    given = [argument.format(**files) for argument in arguments]
    told = said(run(*given, given=b""), 2, *words)
    assert "fault of zns-gateway" not in told


def test_a_latin_configuration_is_a_finding(config: Path) -> None:
    config.write_bytes(config.read_bytes().replace(b"[server]", b"# caf\xe9\n[server]", 1))
    told = said(run("--config", str(config), "check"), 1, "gateway.toml:", "is not UTF-8, save the file as UTF-8")
    assert told.count("gateway.toml") == 1


def test_a_store_that_is_none_is_named_with_its_cure(stage: Stage) -> None:
    store = stage.folder / "gateway.db"
    store.write_text("not a database, and long enough to be taken for one " * 40)
    for arguments in (["messages", "list"], ["token", "status"]):
        said(stage.command(*arguments), 2, str(store), "not a database", "name another store.url")
    store.unlink()
    store.mkdir()
    said(stage.command("messages", "list"), 2, str(store), "store.url names a file")


def test_import_says_what_it_needs_and_which_accounts_there_are(stage: Stage) -> None:
    said(stage.command("token", "import", "mian", given=b"{}"), 2, "mian", "did you mean `main`?")
    for given in (b"", b"[]", b"{}", b"\xff", b'{"access_token": "a", "refresh_token": "", "expires_in": 90}'):
        told = said(stage.command("token", "import", "main", given=given), 2, "access_token", "expires_in")
        assert "fault of zns-gateway" not in told


@pytest.mark.parametrize("command", ["--help", "openapi", "check", "preview config/samples/order.paid/plain.json"])
def test_whoever_stops_reading_is_left_alone(command: str, tmp_path: Path) -> None:
    # It begins once its reader has gone, which is known from the end of the named pipe that the reader held open.
    gone = tmp_path / "gone"
    line = f"""
        mkfifo {gone}
        {{ read -r _ < {gone}; zns-gateway {command}; echo "ended $?" >&2; }} | {{ exec 0<&-; : > {gone}; }}
    """
    assert shell(line, tmp_path).stderr.decode() == "ended 141\n"


def test_an_output_that_takes_nothing_is_told(tmp_path: Path) -> None:
    closed = shell("zns-gateway openapi >&-", tmp_path)
    assert closed.returncode == 2
    assert b"standard output is closed" in closed.stderr
    if Path("/dev/full").exists():
        for command in ("openapi", "check", "key new x"):
            full = shell(f"zns-gateway {command} > /dev/full", tmp_path)
            assert full.returncode == 2
            assert (
                full.stderr.decode()
                == "standard output cannot be used: No space left on device; make room there\n"
            )
