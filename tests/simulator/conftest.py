from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from zalo_sdk import zns
from zalosdk import AccessToken

from gateway.simulator import Simulator
from tests.system.stage import Process

from .hosts import Hosts
from .sdks import other_of
from .stage import Live, Receiver, Scene, served


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    """A served simulator without a webhook address."""
    async with served(Simulator(seed=1)) as live:
        yield live


@pytest.fixture
async def receiver(live: Live) -> AsyncIterator[Receiver]:
    """Where the live simulator's webhooks go, at once rather than after half a second."""
    async with Receiver().open() as receiver:
        live.simulator.webhook_to(receiver.url)
        await live.client.post("/__sim/clock", json={"scale": 100})
        yield receiver


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    log = tmp_path_factory.mktemp("sdks") / "simulator.log"
    process = Process(["simulator", "--port", "0"], log)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def hosts(simulator: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with Hosts(simulator.url, tmp_path_factory.mktemp("hosts")).open() as hosts:
        yield hosts


@pytest.fixture
def company(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a company with a proxy: all that the SDKs are told."""
    for name in ("https_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", hosts.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hosts.certificate))
    hosts.seen.clear()


@pytest.fixture
def zalo(simulator: Process) -> Any:
    """What the console shows of the app, with a grant of its own."""
    return simulator.ask("GET", "/__sim/credentials").body


@pytest.fixture
def client(zalo: Any, company: None) -> Any:
    """zalo-sdk, with a grant."""
    grant = zalo["grant"]
    return zns.Client(zalo["app_id"], zalo["app_secret"], grant["access_token"], grant["refresh_token"])


@pytest.fixture
def other(zalo: Any, hosts: Hosts, company: None) -> Any:
    """zalopysdk, with a grant."""
    return other_of(zalo, hosts, AccessToken(**zalo["grant"]))
