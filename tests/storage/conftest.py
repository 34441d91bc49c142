from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.storage import SqliteStore, open_store
from tests.contract.stage import KEY


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where a store may be made."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqliteStore]:
    """An empty live store."""
    store = await open_store(url, [KEY], is_simulated=False)
    yield store
    await store.aclose()
