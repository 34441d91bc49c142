"""Clients that speak HTTP byte by byte, as slowly and as wrongly as a test wants."""

import http.client
import json
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.system.stage import KEYS, Answer, Process

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, or needs epoll or prlimit")

CLOSED_S = 10.0  # what is promised of every connection, whatever the client does
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
POST = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS['checkout']}\r\n".encode()
JSON = b"Content-Type: application/json\r\n"
CHUNKED = POST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"


def connected(gateway: Process, *, window: int = 0) -> socket.socket:
    """A connection to the gateway; with a window, one whose client can take that much at a time."""
    address = urlsplit(gateway.url)
    connection = socket.socket()
    if window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.settimeout(CLOSED_S + 10)
    connection.connect((address.hostname, address.port))
    return connection


def answers(connection: socket.socket, count: int = 1) -> list[Answer]:
    """The next answers on the connection."""
    found = []
    for _ in range(count):
        # With its own buffer it would take more than its answer from the socket.
        response = http.client.HTTPResponse(connection)
        response.fp.close()
        response.fp = connection.makefile("rb", buffering=0)  # type: ignore[assignment]
        response.begin()
        with response.fp:
            raw = response.read(int(response.headers["content-length"]))
        found.append(Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, json.loads(raw)))
    return found


def rest(connection: socket.socket) -> bytes:
    """What still comes until the gateway closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def whole(event: Any, head: bytes = POST + JSON) -> bytes:
    body = json.dumps(event).encode()
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
