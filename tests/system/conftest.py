"""A simulator for each module, and a stage of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stage import Process, Stage


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(["simulator", "--port", "0"], tmp_path_factory.mktemp("simulator") / "simulator.log")
    yield process
    process.stop()


@pytest.fixture
def stage(tmp_path: Path, simulator: Process) -> Iterator[Stage]:
    yield Stage(tmp_path, simulator)
    simulator.ask("DELETE", "/__sim/faults")
