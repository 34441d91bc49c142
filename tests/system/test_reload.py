"""Mappings are loaded anew while events come in: all of them or none, and never two sets in one request."""

import json
import os
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.core.mapping import MappingFaults, compile_mappings
from tests.system.stage import KEYS, ROOT, Process, Stage, eventually, order

MAPPING = "order.paid.toml"
BROKEN = 'summary = "x"\n[[template]]\n'


@pytest.fixture
def stage(stage: Stage) -> Stage:
    """With a copy of the shipped mappings that a test may change."""
    for name in ("mappings", "templates"):
        (stage.folder / name).unlink()
        shutil.copytree(ROOT / "config" / name, stage.folder / name)
    return stage


@pytest.fixture
def gateway(stage: Stage) -> Iterator[Process]:
    with stage.serving() as process:
        yield process


def in_force(gateway: Process) -> Any:
    return gateway.ask("GET", "/v1/mappings", key=KEYS["platform"]).body


def version(gateway: Process) -> str:
    found: str = in_force(gateway)["version"]
    return found


def number(gateway: Process, name: str) -> float:
    """The metric of this name and labels, as it is written."""
    found = re.search(rf"^zns_gateway_{re.escape(name)} (\S+)$", gateway.ask("GET", "/metrics").body, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


def check(gateway: Process, name: str) -> Any:
    checks = gateway.ask("GET", "/readyz?verbose").body["checks"]
    return next(it for it in checks if it["check"] == name)


def shows(gateway: Process, customer: str) -> str:
    """What the mapping in force makes of the customer's name."""
    event = order("preview")
    event["data"]["customer"]["name"] = customer
    body = gateway.ask("POST", "/v1/events/preview", event, KEYS["checkout"]).body
    name: str = body["template_data"]["customer_name"]
    return name


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_is_in_force_is_shown_to_each_as_far_as_it_may_send_it(gateway: Process) -> None:
    everything = in_force(gateway)
    types = [it["type"] for it in everything["items"]]
    assert types == sorted(path.stem for path in (ROOT / "config" / "mappings").glob("*.toml"))
    paid = everything["items"][types.index("order.paid")]
    assert paid["version"].startswith("sha256:")
    assert (paid["owner"], paid["account"], paid["priority"]) == ("team-checkout", "main", "normal")
    assert gateway.post(order("v-1")).message["mapping_version"] == paid["version"]
    own = gateway.ask("GET", "/v1/mappings", key=KEYS["other"]).body
    assert [it["type"] for it in own["items"]] == ["bill.issued"]
    assert gateway.ask("GET", "/v1/mappings").status == 401


@pytest.mark.parametrize(("is_signalled", "promised_s"), [(True, 5.0), (False, 15.0)])
def test_a_changed_file_comes_into_force(
    gateway: Process, stage: Stage, is_signalled: bool, promised_s: float
) -> None:
    before = version(gateway)
    rewrite(stage.folder / "mappings" / MAPPING, "| shorten(30)", "| shorten(5)")
    begun = time.monotonic()
    if is_signalled:
        gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: version(gateway) != before)
    assert time.monotonic() - begun < promised_s
    assert shows(gateway, "Nguyễn Văn An") == "Nguy…"
    assert number(gateway, 'mapping_reloads_total{outcome="loaded"}') == 2
    assert number(gateway, "mappings_age_seconds") < promised_s


def test_a_swapped_config_map_comes_into_force_as_one_set(gateway: Process, stage: Stage) -> None:
    folder = stage.folder / "mappings"
    before = version(gateway)
    first, second = stage.folder / "..2026_1", stage.folder / "..2026_2"
    folder.rename(first)
    shutil.copytree(first, second)
    for path in second.glob("order.*.toml"):
        path.write_text("# changed\n" + path.read_text())
    swap(stage.folder / "..data", first)
    folder.symlink_to("..data")
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: number(gateway, 'mapping_reloads_total{outcome="loaded"}') == 2)
    assert version(gateway) == before
    swap(stage.folder / "..data", second)
    eventually(lambda: version(gateway) != before)
    assert check(gateway, "mappings")["status"] == "ok"


def swap(link: Path, target: Path) -> None:
    """The link points there from one moment to the next, as Kubernetes does it."""
    fresh = link.with_name("..tmp")
    fresh.symlink_to(target.name)
    fresh.rename(link)


def test_a_broken_set_leaves_the_old_one_in_force_and_everybody_can_see_why(
    gateway: Process, stage: Stage
) -> None:
    before = version(gateway)
    path = stage.folder / "mappings" / MAPPING
    whole = path.read_text()
    rewrite(stage.folder / "mappings" / "shipping.status.toml", "[[template]]", "# changed\n[[template]]")
    path.write_text(BROKEN)
    gateway.process.send_signal(signal.SIGHUP)
    warned = eventually(lambda: (it := check(gateway, "mappings"))["status"] == "warning" and it)
    assert f"{MAPPING}:2" in warned["detail"]
    assert warned["cure"] == "zns-gateway check"
    assert gateway.ask("GET", "/readyz").status == 200  # events are still accepted, by the old set
    assert number(gateway, "mappings_broken") == 1
    assert number(gateway, 'mapping_reloads_total{outcome="failed"}') == 1
    assert version(gateway) == before
    assert gateway.post(order("o-1")).status == 200
    told = in_force(gateway)["broken"]
    assert any(MAPPING in fault for fault in told["faults"])
    assert gateway.ask("GET", "/v1/mappings", key=KEYS["checkout"]).body["broken"] is None
    lines = [json.loads(line) for line in (stage.folder / "gateway.log").read_text().splitlines()]
    (logged,) = [line for line in lines if line["event"] == "mapping-reload-failed"]
    assert f"{MAPPING}:2" in logged["cause"]

    path.write_text(whole)
    eventually(lambda: check(gateway, "mappings")["status"] == "ok")
    assert number(gateway, "mappings_broken") == 0
    assert version(gateway) != before


def test_a_folder_that_is_gone_leaves_the_old_set_in_force(gateway: Process, stage: Stage) -> None:
    folder = stage.folder / "mappings"
    folder.rename(stage.folder / "elsewhere")
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: check(gateway, "mappings")["status"] == "warning")
    assert gateway.post(order("g-1")).status == 200
    (stage.folder / "elsewhere").rename(folder)
    eventually(lambda: check(gateway, "mappings")["status"] == "ok")


def test_a_signal_that_comes_too_early_ends_nothing(stage: Stage) -> None:
    stage.import_grant("--replace")
    starting = threading.Event()

    def signal_it() -> None:
        while not starting.wait(0.02):
            for pid in pids(str(stage.config)):
                os.kill(pid, signal.SIGHUP)

    thread = threading.Thread(target=signal_it)
    thread.start()
    try:
        gateway = stage.serve()
    finally:
        starting.set()
        thread.join()
    assert gateway.post(order("e-1")).status == 200
    assert gateway.stop() == 0


def pids(config: str) -> list[int]:
    """Our gateways on this configuration, once they are past the interpreter's own start."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            is_ours = f"--config\0{config}\0serve".encode() in path.read_bytes()
            ignored = re.search(r"SigIgn:\s*(\w+)", path.with_name("status").read_text())
        except OSError:
            continue
        if is_ours and ignored is not None and int(ignored[1], 16) & 1 << signal.SIGHUP - 1:
            found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("name", [".#order.paid.toml", "._order.paid.toml", ".order.paid.toml.swp"])
def test_an_editor_s_hidden_file_is_no_mapping(gateway: Process, stage: Stage, name: str) -> None:
    (stage.folder / "mappings" / name).symlink_to("someone@host.123")
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: number(gateway, 'mapping_reloads_total{outcome="loaded"}') == 2)
    assert check(gateway, "mappings")["status"] == "ok"


@contextmanager
def load(gateway: Process, callers: int = 3) -> Iterator[list[Any]]:
    """Batches come in for as long as the context lasts; every answer is kept."""
    answers: list[Any] = []
    stopping = threading.Event()

    def post(caller: int) -> None:
        turn = 0
        while not stopping.is_set():
            turn += 1
            events = [order(f"load-{caller}-{turn}-{it}", specversion="1.0") for it in range(5)]
            answers.append(gateway.post(events, Content_Type="application/cloudevents-batch+json"))
            answers.append(gateway.post(order(f"load-{caller}-{turn}"), Prefer="respond-async"))

    threads = [threading.Thread(target=post, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    yield answers
    stopping.set()
    for thread in threads:
        thread.join()


def has_replaced(gateway: Process, before: str) -> bool:
    """True once another set is in force and nothing is wrong with the files."""
    now = in_force(gateway)
    return now["broken"] is None and now["version"] != before


def is_whole(folder: Path) -> bool:
    """True if the files make a set without a fault; a file that was cut short may still do that."""
    files = {
        kind: {it.name: it.read_bytes() for it in (folder / kind).iterdir()} for kind in ("mappings", "templates")
    }
    try:
        compile_mappings(files["mappings"], templates=files["templates"], accounts=["main"])
    except MappingFaults:
        return False
    return True


RELOADS = int(os.environ.get("RELOADS", "12"))  # the long form: RELOADS=1000


def test_reloads_under_load_half_of_them_broken_fail_no_request(gateway: Process, stage: Stage) -> None:
    chance = random.Random(RELOADS)
    path = stage.folder / "mappings" / MAPPING
    good = path.read_bytes()
    broken = 0
    with load(gateway) as answers:
        for turn in range(RELOADS):
            text = good + f"# {turn}\n".encode()
            if turn % 2 == 1:
                at = chance.randrange(len(good))
                text = text[:at] if chance.random() < 0.5 else text[:at] + b"\x00" + text[at + 1 :]
            before = version(gateway)
            path.write_bytes(text)
            gateway.process.send_signal(signal.SIGHUP)
            if is_whole(stage.folder):
                eventually(partial(has_replaced, gateway, before))
            else:
                eventually(lambda: in_force(gateway)["broken"])
                assert version(gateway) == before
                broken += 1
    results = [result for answer in answers for result in results_of(answer)]
    assert len(results) > RELOADS
    assert broken >= RELOADS // 4
    assert {http for http, _ in results} <= {200, 202}
    assert len({it for _, it in results}) > 2  # of these several sets were in force meanwhile
    for answer in answers:
        assert len({it for _, it in results_of(answer)}) == 1


def results_of(answer: Any) -> list[tuple[int, str]]:
    """The status and the mapping's version of each event in the request."""
    if "results" in answer.body:
        return [(it["http"], it["message"]["mapping_version"]) for it in answer.body["results"]]
    return [(answer.status, answer.message["mapping_version"])]
