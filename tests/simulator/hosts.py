"""Zalo's hosts, as an SDK sees them: behind a proxy that ends TLS for them and passes every byte to the simulator.

Thus an SDK that has Zalo's addresses built in runs unchanged: it is told of a proxy and of a certificate, as in
any company that has both.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

API, OA, OAUTH = "business.openapi.zalo.me", "openapi.zalo.me", "oauth.zaloapp.com"


class Hosts:
    """A proxy on loopback through which Zalo's hosts are the simulator; `seen` are the hosts asked for."""

    def __init__(self, simulator_url: str, folder: Path) -> None:
        self.seen: list[str] = []
        self.url = ""
        self.certificate = folder / "zalo.pem"
        self._key = folder / "zalo.key"
        self._simulator_port = urlsplit(simulator_url).port
        self._tls_port = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._write_certificate()

    @contextlib.contextmanager
    def open(self) -> Iterator["Hosts"]:
        """It listens, on a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def done(work: Coroutine[Any, Any, None]) -> None:
            asyncio.run_coroutine_threadsafe(work, loop).result(10)

        try:
            done(self._listen())
            yield self
        finally:
            done(self._close())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _listen(self) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate, self._key)
        inner = await asyncio.start_server(self._end_tls, "127.0.0.1", 0, ssl=tls)
        outer = await asyncio.start_server(self._tunnel, "127.0.0.1", 0)
        self._servers = (inner, outer)
        self._tls_port = inner.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{outer.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """`CONNECT host:443`, and from then on bytes."""
        verb, target, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
        host = target.decode().removesuffix(":443")
        self.seen.append(host)
        if verb != b"CONNECT" or host not in (API, OA, OAUTH):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await self._join(reader, writer, self._tls_port)

    async def _end_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._join(reader, writer, self._simulator_port)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int | None) -> None:
        """Every byte has gone to the other side, both ways, until the client hangs up or is hung up on."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        forth = asyncio.create_task(_pump(reader, far_writer))
        back = asyncio.create_task(_pump(far_reader, writer))
        try:
            await asyncio.wait((forth, back), return_when=asyncio.FIRST_COMPLETED)
            if not forth.done():
                writer.close()  # which flushes; a client that sees it hangs up
                await asyncio.wait((forth,), timeout=1)
        finally:
            for each in (writer, far_writer):
                each.transport.abort()
            await asyncio.gather(forth, back)

    def _write_certificate(self) -> None:
        """A certificate that vouches for itself and for Zalo's hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Zalo simulator")])
        now = datetime.now(UTC)
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in (API, OA, OAUTH)])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
