"""A name becomes addresses, the first that answers wins, and a dead resolver holds up nobody else.

`getaddrinfo` blocks, for half a minute when the resolver is silent. On asyncio's own executor a few such
look-ups take every thread; here each name has at most one look-up in flight, on a daemon thread of its own, so
that it delays neither other work nor the end of the process.
"""

import asyncio
import contextlib
import functools
import itertools
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec

FRESH_S: Final = 30.0
STALE_S: Final = 300.0
STAGGER_S: Final = 0.25  # RFC 8305: the next address is tried beside one that is still silent after this

T = TypeVar("T")
Resolve = Callable[[str], Sequence[str]]


class _Known(msgspec.Struct, frozen=True):
    addresses: Sequence[str]
    learnt_at: float


class Addresses:
    """Remembers where each name lives: fresh for 30 s, then used while a new look-up runs, for 5 minutes."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve or ask_system
        self._known: dict[str, _Known] = {}
        self._lookups: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def find(self, host: str) -> Sequence[str]:
        """The addresses of `host`, best first; empty when the name is not known.

        A cancelled caller leaves the look-up running for whoever asks next.
        """
        known = self._known.get(host)
        age = asyncio.get_running_loop().time() - known.learnt_at if known else STALE_S
        if known and age < FRESH_S:
            return known.addresses
        lookup = self._lookups.get(host) or self._begin(host)
        if known and age < STALE_S:
            return known.addresses
        return await asyncio.shield(lookup)

    def _begin(self, host: str) -> asyncio.Future[Sequence[str]]:
        loop = asyncio.get_running_loop()
        lookup = self._lookups[host] = loop.create_future()

        def look_up() -> None:
            found = self._resolve(host)
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(self._conclude, host, found, loop.time())

        try:
            threading.Thread(target=look_up, name="dns", daemon=True).start()
        except RuntimeError:  # no thread to be had: the name is not known this time
            self._conclude(host, (), loop.time())
        return lookup

    def _conclude(self, host: str, found: Sequence[str], now: float) -> None:
        if found:
            self._known[host] = _Known(found, now)
        self._lookups.pop(host).set_result(found)


def ask_system(host: str) -> Sequence[str]:
    """What the system's resolver says, IPv6 and IPv4 in turn; empty when it knows nothing."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    by_family: dict[int, list[str]] = {}
    for family, _, _, _, address in found:
        by_family.setdefault(family, []).append(str(address[0]))
    turns = itertools.zip_longest(*by_family.values())
    return [address for turn in turns for address in turn if address is not None]


async def race(
    addresses: Sequence[str], attempt: Callable[[str], Awaitable[T]], discard: Callable[[T], None]
) -> T:
    """What the first attempt to succeed gives; the others are cancelled, or discarded if they succeed too.

    Raises the last OSError when none does. There is no limit in time: the caller has one.
    """
    waiting = list(addresses)
    attempts: set[asyncio.Future[T]] = set()
    failure = OSError("no address to connect to")
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.ensure_future(attempt(waiting.pop(0))))
            patience = STAGGER_S if waiting else None
            done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                attempts.remove(one)
                error = one.exception()
                if error is None:
                    return one.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        for one in attempts:
            one.cancel()
            one.add_done_callback(functools.partial(_drop, discard))


def _drop(discard: Callable[[T], None], late: asyncio.Future[T]) -> None:
    if not late.cancelled() and late.exception() is None:
        discard(late.result())
