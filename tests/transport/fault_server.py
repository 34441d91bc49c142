"""A peer on a real loopback socket that misbehaves as told, and knows what reached it."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DRIP_S = 0.02  # the pace of a dripping peer


class Peer:
    """One accepted connection, from the server's side."""

    def __init__(self, server: "FaultServer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        """The head of the next request has been read."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        """The next request's body; the whole request has been read, and could have been acted upon."""
        head = await self.head()
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ),
            0,
        )
        body = await self._reader.readexactly(length)
        self._server.heads.append(head)
        self._server.bodies.append(body)
        self._server.news.set()
        return body

    async def send(self, *parts: bytes) -> None:
        """These bytes are on their way."""
        self._writer.write(b"".join(parts))
        await self._writer.drain()

    def close(self) -> None:
        """The connection ends in good order."""
        self._writer.close()

    def reset(self) -> None:
        """The connection ends with a RST."""
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._writer.transport.abort()

    async def silence(self) -> None:
        """The client has gone away; nothing was said to it."""
        while await self._reader.read(65536):
            pass


Script = Callable[[Peer], Awaitable[None]]


class FaultServer:
    """Runs `script` for each connection. `heads` and `bodies` are the requests that were read whole."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._peers: set[asyncio.Task[None]] = set()
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.gone = 0
        self.news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def until(self, is_so: Callable[[], bool]) -> None:
        """The condition holds; it is looked at whenever something has happened here."""
        async with asyncio.timeout(5):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.news.set()
        task = asyncio.current_task()
        assert task is not None
        self._peers.add(task)
        try:
            await self._script(Peer(self, reader, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client left in the middle of the script, or the test is over
        finally:
            self._peers.discard(task)
            self.gone += 1
            self.news.set()
            writer.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=1024)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        peers = list(self._peers)
        for peer in peers:
            peer.cancel()
        await asyncio.gather(*peers, return_exceptions=True)


# Answers


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """One HTTP answer with a Content-Length."""
    lines = [b"HTTP/1.1 " + status, *headers, b"Content-Length: " + str(len(body)).encode()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def echo(peer: Peer) -> None:
    """Every request is answered with its own body."""
    while True:
        await peer.send(answer(await peer.request()))


# Places where nobody answers


class FullListener:
    """A listening socket whose queue is full, so that the kernel drops every SYN."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._where = (host, port)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(self._where, backlog=0)
        self.port = int(self._listener.getsockname()[1])
        self._crowd = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((self._where[0], self.port))
            self._crowd.append(one)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (*self._crowd, self._listener):
            one.close()


def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def self_signed(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for 127.0.0.1, and the certificate that a client would have to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = directory / "server.pem"
    chain.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, chain
