"""What holds for every test."""

import os

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine is slow, not wrong: no test of ours is about time.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several run at once, what takes long begins first: else one of them has it alone in the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("system") is None)
