"""`templates pull` and `templates diff` beside others, and where they cannot do what they were asked for."""

import json
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.cli.snapshots import record
from tests.system.commands import edited, said
from tests.system.snapshots import (
    SHIPPING,
    USED,
    file_of,
    files,
    pull_all,
    rewritten,
    with_copies,
    zalo_that_says,
)
from tests.system.stage import KEYS, ROOT, Process, Stage, eventually
from tests.system.test_completion import completed

pytestmark = pytest.mark.system


@pytest.fixture
def bare(tmp_path: Path, simulator: Process) -> Stage:
    """With copies of the shipped files, and without a grant."""
    return with_copies(tmp_path, simulator)


@pytest.fixture
def stage(bare: Stage) -> Stage:
    """With a grant too."""
    bare.import_grant()
    return bare


@pytest.fixture
def pulled(stage: Stage) -> Stage:
    """With snapshots that are what Zalo says."""
    pull_all(stage)
    return stage


# What cannot be done


def test_without_a_grant_the_cure_is_said_and_no_store_is_made(bare: Stage) -> None:
    for command in ("pull", "diff"):
        said(bare.command("templates", command), 2, "no store", "token import")
    assert not (bare.folder / "gateway.db").exists()


def test_an_account_without_a_grant_is_told_beside_the_others(pulled: Stage) -> None:
    it = pulled.credentials
    with pulled.config.open("a") as config:
        config.write(
            f'[accounts.second]\napp_id = "2"\napp_secret = "{it["app_secret"]}"\noa_id = "2"\nwebhook_secrets = ["x"]\n'
        )
    edited(pulled.folder / "mappings" / "shipping.status.toml", ('account = "main"', 'account = "second"'))
    done = pulled.command_here("templates", "pull")
    cure = "account second has no grant: zns-gateway token import second < grant.json"
    said(done, 2, cure, quiet=False)
    assert done.stdout.count(b"unchanged") == len(USED) - 1
    said(pulled.command_here("templates", "pull", "--account", "main"), 0)
    said(pulled.command_here("templates", "pull", "--account", "second"), 2, cure)
    said(pulled.command_here("templates", "pull", "320004"), 2, "--account (main, second)")
    said(pulled.command_here("templates", "pull", "320004", "--account", "main"), 0, "320004: new")
    said(pulled.command_here("templates", "pull", "--account", "secnd"), 2, "did you mean `second`?")


def test_a_token_that_zalo_does_not_take_is_never_renewed(pulled: Stage) -> None:
    refreshes = len(pulled.ledger()["refreshes"])
    pulled.simulator.ask("POST", "/__sim/expire", {"what": "access"})
    for command in ("pull", "diff"):
        told = said(
            pulled.command_here("templates", command), 2, "account main (-124)", "zns-gateway token import main"
        )
        assert len(told.splitlines()) == 1, "once, and not for each template"
    assert len(pulled.ledger()["refreshes"]) == refreshes


def test_a_token_whose_time_is_over_is_not_sent(bare: Stage) -> None:
    grant = bare.simulator.ask("GET", "/__sim/credentials").body["grant"] | {"expires_in": "1"}
    assert bare.command_here("token", "import", "main", given=json.dumps(grant).encode()).returncode == 0
    eventually(lambda: b"expired" in bare.command_here("token", "status").stdout)
    with zalo_that_says(bare, {}) as asked:
        told = said(bare.command_here("templates", "pull"), 2, "account main expired at", "zns-gateway serve")
        assert asked == []
    assert grant["access_token"] not in told


def test_a_zalo_out_of_reach_is_told_once(pulled: Stage) -> None:
    before = files(pulled)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        edited(pulled.config, (f'api_url = "{pulled.simulator.url}"', f'api_url = "{url}"'))
        for command in ("pull", "diff"):
            told = said(pulled.command_here("templates", command), 2, "no connection to Zalo", url)
            assert len(told.splitlines()) == 1
    assert files(pulled) == before


def test_a_token_goes_only_to_a_zalo_of_its_kind(pulled: Stage, bare: Stage) -> None:
    real, simulated = "https://zalo.invalid", pulled.simulator.url
    edited(pulled.config, *[(simulated, real)] * 2)  # api_url and oauth_url
    said(pulled.command_here("templates", "pull"), 2, "serve --simulator", "store.url")
    edited(pulled.config, ('webhook_secrets = ["', 'webhook_secrets = ["${NOT_SET}'))
    said(pulled.command_here("templates", "pull"), 2, "a token of the simulator's", "zalo.api_url")
    (bare.folder / "gateway.db").unlink()
    bare.write_config()
    edited(bare.config, *[(simulated, real)] * 2)
    bare.import_grant()
    edited(bare.config, *[(real, simulated)] * 2)
    said(bare.command_here("templates", "pull"), 2, "a real token", "zalo.api_url")


def test_a_proof_is_sent_where_the_account_wants_it(pulled: Stage) -> None:
    pulled.simulator.ask("POST", "/__sim/rules", {"appsecret_proof": "required"})
    try:
        said(pulled.command_here("templates", "pull"), 2, "(-1241)")
        pulled.write_config(account="appsecret_proof = true")
        said(pulled.command_here("templates", "pull"), 0)
    finally:
        pulled.simulator.ask("POST", "/__sim/rules", {"appsecret_proof": "optional"})


@pytest.mark.parametrize("template_id", ["../x", "", "a/b", "x" * 300])
def test_what_is_no_id_is_refused(stage: Stage, template_id: str) -> None:
    said(stage.command_here("templates", "pull", template_id), 2, "no template id")


def test_a_folder_that_takes_no_file_is_told_and_nothing_is_lost(pulled: Stage) -> None:
    shutil.rmtree(pulled.folder / "templates")
    (pulled.folder / "templates").write_text("in its place")
    told = said(pulled.command_here("templates", "pull"), 2, "cannot be written")
    assert len(told.splitlines()) == len(USED)
    assert (pulled.folder / "templates").read_text() == "in its place"


def test_a_folder_that_is_read_only_is_told_and_stays_as_it_is(pulled: Stage) -> None:
    rewritten(pulled, SHIPPING, timeout=15000)
    before, folder = files(pulled), pulled.folder / "templates"
    pull = shlex.join([sys.executable, "-m", "gateway", "--config", str(pulled.config), "templates", "pull"])
    script = f"mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}; exec "
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c"]
    try:
        subprocess.run([*alone, f"{script} true"], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"nothing can be made read-only here: {error}")
    done = subprocess.run([*alone, script + pull], capture_output=True, cwd=ROOT, check=False, timeout=60)
    told = said(done, 2, f"{SHIPPING}: {file_of(pulled, SHIPPING)} cannot be written: Read-only", quiet=False)
    assert told.count("unchanged") == len(USED) - 1
    assert files(pulled) == before


def test_nothing_to_ask_for_is_no_fault(stage: Stage) -> None:
    shutil.rmtree(stage.folder / "mappings")
    assert said(stage.command_here("templates", "pull"), 0) == "no mapping uses a template\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_commands_and_templates_are_completed(tmp_path: Path) -> None:
    assert completed("zns-gateway templates ", tmp_path) == ["diff", "pull"]
    assert completed("zns-gateway templates pull 31000", tmp_path) == sorted(USED - {"7895417a7d3f9461cd2e"})


# Beside others


def test_a_gateway_that_serves_takes_up_what_was_pulled(stage: Stage) -> None:
    with stage.serving() as gateway:

        def version() -> str:
            found: str = gateway.ask("GET", "/v1/mappings", key=KEYS["platform"]).body["version"]
            return found

        before = version()
        said(stage.command("templates", "pull"), 0, "changed")
        eventually(lambda: version() != before, patience_s=15)
        assert gateway.ask("GET", "/metrics").body.count("zns_gateway_mappings_broken 0.0") == 1


def test_who_reads_meanwhile_sees_one_or_the_other_whole(tmp_path: Path) -> None:
    file = tmp_path / "templates" / "1.json"
    bodies = [letter.encode() * 100_000 for letter in "ab"]
    record(file, bodies[0])
    seen: set[bytes] = set()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        record(file, bodies[number % 2])
    is_over.set()
    reader.join()
    assert seen <= set(bodies)
    assert [path.name for path in file.parent.iterdir()] == ["1.json"]


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "templates").mkdir()
    kept, link = tmp_path / "kept" / "1.json", tmp_path / "templates" / "1.json"
    kept.write_bytes(b"before")
    kept.chmod(0o640)
    link.symlink_to(kept)
    record(link, b"after")
    assert link.is_symlink()
    assert kept.read_bytes() == b"after"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640
