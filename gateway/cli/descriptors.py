"""How many descriptors the process has, and how many of them are for its clients."""

import resource
from typing import Final

# Clients cannot have these: they are for the store, for Zalo and for callbacks.
_RESERVED: Final = 256


def raise_descriptors() -> None:
    """The process may have as many descriptors as the machine lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        return  # where "unlimited" is the limit and cannot be had, what there is must do


def room() -> int:
    """How many connections the process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - _RESERVED, soft // 2) if soft != resource.RLIM_INFINITY else 1 << 20
