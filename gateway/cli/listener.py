"""One HTTP server on one address: uvicorn, with connections that look after themselves."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import uvicorn

from gateway.core.errors import CannotStart

from .protocol import Connection

_GRACE_S: Final = 5  # for answers that are ready; whoever has not taken his by then is cut off
_BACKLOG: Final = 2048
# What the kernel holds of the answers of one connection. Left to itself it takes 4 MB from a client that reads nothing.
_SEND_BUFFER: Final = 128 << 10


class _Server(uvicorn.Server):
    """A uvicorn server whose signals are ours, since several run in one loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """One HTTP server on one address."""

    def __init__(self, app: Any, listening: socket.socket, *, has_lifespan: bool = False) -> None:
        self._socket = listening
        self.url = "http://{}:{}".format(*_shown(listening.getsockname()))
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=Connection,
            ws="none",
            lifespan="on" if has_lifespan else "off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = _Server(config)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answers for as long as the context lasts, then finishes what it has begun."""
        task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        try:
            while not self._server.started:
                if task.done():
                    raise CannotStart(f"the server on {self.url} could not start")
                await asyncio.sleep(0.005)
            yield
        finally:
            self._server.should_exit = True
            await task
            self._socket.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises CannotStart."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # connections inherit it
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
    listening.listen(_BACKLOG)
    return listening


def _shown(address: tuple[Any, ...]) -> tuple[str, int]:
    host, port = address[0], address[1]
    return (f"[{host}]" if ":" in host else host), port
