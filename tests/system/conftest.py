"""One simulator for all, a stage and a gateway for each module, and a stage of its own for each test that asks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stage import ROOT, Process, Stage


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(["simulator", "--port", "0"], tmp_path_factory.mktemp("simulator") / "simulator.log")
    yield process
    process.stop()


@pytest.fixture
def stage(tmp_path: Path, simulator: Process) -> Iterator[Stage]:
    yield Stage(tmp_path, simulator)
    simulator.ask("DELETE", "/__sim/faults")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Stage:
    """The stage that the tests of a module share."""
    return Stage(tmp_path_factory.mktemp("scene"), simulator)


@pytest.fixture(scope="module")
def gateway(scene: Stage) -> Iterator[Process]:
    """The gateway that the tests of a module share, with a working grant."""
    with scene.serving() as process:
        yield process


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped configuration, to be broken."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path / "config" / "gateway.toml"
