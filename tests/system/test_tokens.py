"""Grants with real processes: one refresh for everybody, imports noticed, and a lost answer that stops everything."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.system.commands import edited
from tests.system.stage import KEYS, Process, Stage, eventually, order
from tests.transport.fault_server import closed_port

pytestmark = pytest.mark.system


def refreshes(stage: Stage, before: int = 0) -> list[Any]:
    """The refresh tokens that Zalo has seen since, in order."""
    return [it for it in stage.ledger()["refreshes"] if it["grant_type"] == "refresh_token"][before:]


def expire(stage: Stage) -> int:
    """Every access token has expired at Zalo; how many refreshes there had been."""
    stage.simulator.ask("POST", "/__sim/expire", {"what": "access"})
    return len(refreshes(stage))


def check_of(gateway: Process) -> Any:
    checks = gateway.ask("GET", "/readyz?verbose").body["checks"]
    return next(check for check in checks if check["check"] == "account main")


def grant(stage: Stage) -> bytes:
    return json.dumps(stage.simulator.ask("GET", "/__sim/credentials").body["grant"]).encode()


def test_fifty_sends_with_a_dead_access_token_are_one_refresh_and_all_are_sent(
    scene: Stage, gateway: Process
) -> None:
    before = expire(scene)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda number: gateway.post(order(f"t-{number}")), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert [it["outcome"] for it in refreshes(scene, before)] == ["rotated"]
    ids = {answer.body["tracking_id"] for answer in answers}
    taken = [it["tracking_id"] for it in scene.ledger()["messages"] if it["tracking_id"] in ids]
    assert sorted(taken) == sorted(ids), "each was taken exactly once"


def test_one_grant_after_another_is_refreshed_and_none_is_presented_twice(scene: Stage, gateway: Process) -> None:
    before = expire(scene)
    for number in range(3):
        answer = gateway.post(order(f"t-again-{number}"))
        assert (answer.status, answer.body["attempts"]) == (200, 2)
        expire(scene)
    seen = refreshes(scene, before)
    assert [it["outcome"] for it in seen] == ["rotated"] * 3
    assert len({it["presented"] for it in seen}) == 3


def test_a_working_grant_is_replaced_only_on_purpose(scene: Stage, gateway: Process) -> None:
    refused = scene.command("token", "import", "main", given=grant(scene))
    assert refused.returncode == 2
    assert b"--replace" in refused.stderr
    replaced = scene.command("token", "import", "main", "--replace", given=grant(scene))
    assert (replaced.returncode, replaced.stderr) == (0, b"")
    assert b"imported" in replaced.stdout


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"", "not one JSON object"),
        (b"{", "not one JSON object"),
        (b"[]", "not one JSON object"),
        (b'{"access_token":"a","access_token":"b"}', "member twice"),
        (b'{"access_token":"a","expires_in":90000}', "`refresh_token` is missing"),
        (b'{"access_token":"","refresh_token":"r","expires_in":90000}', "`access_token` is missing"),
        (b'{"access_token":"a","refresh_token":"undefined","expires_in":90000}', "`refresh_token` is missing"),
        (b'{"access_token":"a b","refresh_token":"r","expires_in":90000}', "without spaces"),
        (b'{"access_token":["a"],"refresh_token":"r","expires_in":90000}', "must be text"),
        (b'{"access_token":"a","refresh_token":"a","expires_in":90000}', "are the same"),
        (b'{"access_token":"a","refresh_token":"r","expires_in":0}', "`expires_in`"),
        (b'{"access_token":"a","refresh_token":"r"}', "`expires_in`"),
        (b'{"error":-14014,"error_name":"Invalid refresh token"}', "`access_token` is missing"),
    ],
)
def test_what_is_no_grant_is_not_imported(scene: Stage, given: bytes, told: str) -> None:
    done = scene.command_here("token", "import", "main", "--replace", given=given)
    assert done.returncode == 2
    assert "must be JSON" in (words := " ".join(done.stderr.decode().split()))
    assert told in words


def test_one_pair_is_not_given_to_two_accounts_and_a_byte_order_mark_does_not_matter(stage: Stage) -> None:
    with stage.config.open("a") as config:
        config.write('[accounts.second]\napp_id = "2"\napp_secret = "s"\n')
    pair = grant(stage)
    stage.command_here("token", "import", "main", given=b"\xef\xbb\xbf" + pair)
    refused = stage.command_here("token", "import", "second", "--replace", given=pair)
    assert (refused.returncode, b"account main" in refused.stderr) == (2, True)
    assert stage.command_here("token", "import", "second", given=grant(stage)).returncode == 0


def test_an_import_is_noticed_by_a_running_gateway_within_two_seconds(stage: Stage) -> None:
    with stage.serving(has_grant=False) as gateway:
        answer = gateway.post(order("t-early"))
        assert (answer.status, answer.body["status"], answer.body["reason"]) == (202, "queued", "credentials")
        assert answer.body["attempts"] == 0
        stage.import_grant()
        eventually(lambda: gateway.message(answer.body["tracking_id"])["status"] == "sent", patience_s=2)
        assert check_of(gateway)["status"] == "ok"


def test_a_lost_refresh_is_asked_once_more_and_then_stops_the_account_until_a_person_brings_a_new_grant(
    stage: Stage,
) -> None:
    with stage.serving() as gateway:
        before = expire(stage)
        stage.fault(at="refresh", do="cut", count=1)
        first = gateway.post(order("t-lost-1"))
        assert (first.status, first.body["status"], first.body["reason"]) == (202, "queued", "credentials")
        attempts = first.body["attempts"]
        second = gateway.post(order("t-lost-2"))
        assert (second.status, second.body["reason"], second.body["attempts"]) == (202, "credentials", 0)
        check = check_of(gateway)
        assert check["status"] == "warning"
        assert "refresh" in check["detail"]
        assert check["cure"].startswith("zns-gateway token import main")
        told = stage.command("token", "status", "--json")
        assert told.returncode == 1
        assert json.loads(told.stdout)[0]["health"] == "lost"
        # Its access token was dead, so nothing was left to lose.
        assert [it["outcome"] for it in refreshes(stage, before)] == ["rotated", "spent"]
        stage.import_grant()  # a lost grant does not count as working, so nothing has to be forced
        for answer in (first, second):
            eventually(lambda answer=answer: gateway.message(answer.body["tracking_id"])["status"] == "delivered")  # type: ignore[misc]
        assert gateway.message(first.body["tracking_id"])["attempts"] == attempts + 1
        assert len(refreshes(stage, before)) == 2, "the lost one was never presented again"
        assert check_of(gateway)["status"] == "ok"


def test_what_was_lost_for_good_is_not_tried_again_after_a_restart(stage: Stage) -> None:
    with stage.serving() as gateway:
        before = expire(stage)
        stage.fault(at="refresh", do="cut", count=1)
        gateway.post(order("t-restart"))
    with stage.serving(has_grant=False) as gateway:
        assert check_of(gateway)["status"] == "warning", "also while its access token may still work"
        assert gateway.post(order("t-restart")).body["reason"] == "credentials"
        assert [it["outcome"] for it in refreshes(stage, before)] == ["rotated", "spent"]


def test_a_lost_refresh_of_a_token_that_still_works_disturbs_no_send_and_is_asked_again_at_its_end(
    stage: Stage,
) -> None:
    stage.import_grant("--replace", expires_in=30)
    stage.fault(at="refresh", do="cut", count=1)
    with stage.serving(has_grant=False) as gateway:
        before = len(refreshes(stage))
        eventually(lambda: len(refreshes(stage, before)) == 1, 30)  # two thirds of its life, without traffic
        warned = eventually(lambda: (it := check_of(gateway))["status"] == "warning" and it)
        assert "lost" in warned["detail"]
        assert gateway.post(order("t-lost-and-works")).body["status"] == "sent"
        eventually(lambda: len(refreshes(stage, before)) == 2, 30)
        assert check_of(gateway)["cure"].startswith("zns-gateway token")


def test_a_grant_is_renewed_ahead_of_time_without_traffic(stage: Stage) -> None:
    stage.import_grant("--replace", expires_in=6)
    with stage.serving(has_grant=False) as gateway:
        before = len(refreshes(stage))
        eventually(lambda: [it["outcome"] for it in refreshes(stage, before)] == ["rotated"])
        assert gateway.post(order("t-ahead")).body["status"] == "sent"
        (row,) = json.loads(stage.command("token", "status", "--json").stdout)
        assert (row["generation"], row["health"]) == (2, "working")


def test_status_tells_how_a_grant_is_and_shows_no_token(stage: Stage) -> None:
    missing = stage.command("token", "status")
    assert missing.returncode == 1
    assert b"missing" in missing.stdout
    assert b"token import main" in missing.stdout
    assert not (stage.folder / "gateway.db").exists(), "looking makes no store"
    given = grant(stage)
    stage.command("token", "import", "main", given=given)
    done = stage.command("token", "status")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"working" in done.stdout
    (row,) = json.loads(stage.command("token", "status", "--json").stdout)
    assert (row["account"], row["health"], row["generation"], row["cure"]) == ("main", "working", 1, None)
    secrets = [token.encode() for name, token in json.loads(given).items() if "token" in name]
    assert not any(secret in done.stdout for secret in secrets)


def row_of(stage: Stage, code: int) -> Any:
    done = stage.command("token", "status", "--json")
    assert done.returncode == code, done.stdout
    (row,) = json.loads(done.stdout)
    return row


def test_status_says_that_nobody_renews_where_no_gateway_runs_and_in_a_pipe_how_long_each_token_lives(
    stage: Stage,
) -> None:
    stage.import_grant()
    row = row_of(stage, 0)
    assert (row["health"], "nobody renews it" in row["detail"]) == ("working", True)
    assert "(in 2" in stage.command("token", "status").stdout.decode(), "hours and days"
    stage.import_grant("--replace", expires_in=1)
    row = eventually(lambda: (it := row_of_any(stage))["health"] == "expired" and it)
    assert ("nobody renews it" in row["detail"], row["cure"]) == (True, "zns-gateway serve")
    assert row_of(stage, 1)["health"] == "expired"


def row_of_any(stage: Stage) -> Any:
    return json.loads(stage.command("token", "status", "--json").stdout)[0]


def test_status_says_so_where_zalo_takes_the_token_no_more_and_gives_no_other(stage: Stage) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}"
    edited(stage.config, (f'oauth_url = "{stage.simulator.url}"', f'oauth_url = "{nowhere}"'))
    with stage.serving() as gateway:
        expire(stage)
        assert gateway.post(order("t-rejected")).body["reason"] == "credentials"
        row = row_of(stage, 1)
        assert (row["health"], row["since"] is not None) == ("rejected", True)
        (account,) = gateway.ask("GET", "/v1/accounts", key=KEYS["platform"]).body["items"]
        assert account["token"]["health"] == "unsent"
        assert account["paused"]["reason"] == "credentials"
        gauge = 'zns_gateway_grant_trouble{account="main",kind="unsent"} 1.0'
        eventually(lambda: gauge in str(gateway.ask("GET", "/metrics").body))


def test_status_says_so_where_zalo_takes_the_app_s_secret_no_more(stage: Stage) -> None:
    stage.fault(at="send", do="error", value=-104)
    with stage.serving() as gateway:
        assert gateway.post(order("t-secret")).body["reason"] == "credentials"
        row = row_of(stage, 1)
    assert row["health"] == "app-secret-invalid"
    assert "app_secret" in row["cure"]


def test_status_says_so_where_a_gateway_runs_and_cannot_reach_zalo(stage: Stage) -> None:
    stage.import_grant()
    with stage.serving(has_grant=False):
        row = row_of(stage, 0)
        assert (row["health"], row["detail"], row["cure"]) == ("working", None, None)
    nowhere = f"http://127.0.0.1:{closed_port()}"
    edited(stage.config, (f'oauth_url = "{stage.simulator.url}"', f'oauth_url = "{nowhere}"'))
    stage.import_grant("--replace", expires_in=1)
    with stage.serving(has_grant=False):
        row = eventually(lambda: (it := row_of_any(stage))["health"] == "expired" and it)
        assert "not been able to renew it" in row["detail"]
        assert "readyz?verbose" in row["cure"]
        assert row_of(stage, 1)["health"] == "expired"


def test_a_kill_during_a_refresh_leaves_what_waits_for_it_queued_and_it_goes_out_after_an_import(
    stage: Stage,
) -> None:
    stage.write_config(zalo='connect_timeout = "1s"\nread_timeout = "6s"')
    stage.import_grant("--replace")
    gateway = stage.serve()
    expire(stage)
    stage.fault(at="refresh", do="delay", value=5)
    first = gateway.post(order("kill-0"), Prefer="respond-async").message["tracking_id"]
    eventually(lambda: gateway.message(first)["reason"] == "credentials")
    told = [gateway.post(order(f"kill-{n}"), Prefer="respond-async").message for n in range(20)]
    gateway.kill()
    gateway = stage.serve()
    try:
        # One of them may try whether Zalo takes the old token again, which is free of charge, and waits on.
        eventually(lambda: set(gateway.statuses().values()) == {"queued"})
        stage.simulator.ask("DELETE", "/__sim/faults")
        stage.import_grant("--replace")
        eventually(lambda: set(gateway.statuses().values()) <= {"sent", "delivered"})
        assert all(len(stage.sent(message["tracking_id"])) == 1 for message in told)
    finally:
        gateway.stop()
