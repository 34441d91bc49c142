from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .stage import KEEPERS, OpenStage, Stage, Store


@pytest.fixture(params=sorted(KEEPERS))
def open_stage(request: pytest.FixtureRequest) -> OpenStage:
    """Opens a stage of each keeper in turn."""
    return KEEPERS[request.param]


@pytest.fixture
async def stage(open_stage: OpenStage, tmp_path: Path) -> AsyncIterator[Stage]:
    """An empty keeper that keeps at most three orphan receipts an account."""
    async with open_stage(tmp_path, 3) as stage:
        yield stage


@pytest.fixture
def store(stage: Stage) -> Store:
    """An empty keeper."""
    return stage.store
