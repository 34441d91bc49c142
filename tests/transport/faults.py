"""What a peer may do once something was sent to it, short of a whole answer, and what that is called."""

import asyncio
import gzip
from collections.abc import Mapping
from typing import Final

from .fault_server import DRIP_S, Peer, Script, answer

WHOLE: Final = answer(b'{"error": 0, "message": "Success"}')


async def reset_after_head(peer: Peer) -> None:
    await peer.head()
    peer.reset()


async def close_after_request(peer: Peer) -> None:
    await peer.request()
    peer.close()


async def reset_after_request(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def stay_silent(peer: Peer) -> None:
    await peer.request()
    await peer.silence()


async def half_a_status_line(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 2")


async def short_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(WHOLE[:-10])


async def short_chunks(peer: Peer) -> None:
    await peer.request()
    await peer.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"err\r\n')


async def random_bytes(peer: Peer) -> None:
    await peer.request()
    await peer.send(bytes(range(256)) * 4)
    await peer.silence()


async def drip_head(peer: Peer) -> None:
    await peer.request()
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000:
        await peer.send(bytes([byte]))
        await asyncio.sleep(DRIP_S)


async def drip_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    while True:
        await peer.send(b" ")
        await asyncio.sleep(DRIP_S)


async def endless_103(peer: Peer) -> None:
    await peer.request()
    while True:
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")


async def endless_body(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await peer.send(b"{" * 4096)


async def endless_head(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await peer.send(b"X-More: " + b"a" * 1000 + b"\r\n")


async def gzip_bomb(peer: Peer) -> None:
    await peer.request()
    await peer.send(answer(gzip.compress(bytes(40_000_000))[:60_000], b"Content-Encoding: gzip"))
    await peer.silence()


async def encoded_transfer(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
    await peer.silence()


async def two_lengths(peer: Peer) -> None:
    await peer.request()
    await peer.send(WHOLE.replace(b"Content-Length", b"Content-Length: 3\r\nContent-Length"))
    await peer.silence()


async def switch_protocols(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
    await peer.silence()


AFTER_THE_FIRST_BYTE: Final[Mapping[Script, str]] = {
    reset_after_head: "connection-lost",
    close_after_request: "connection-lost",
    reset_after_request: "connection-lost",
    stay_silent: "timed-out",
    half_a_status_line: "connection-lost",
    short_body: "connection-lost",
    short_chunks: "connection-lost",
    random_bytes: "unreadable-answer",
    drip_head: "timed-out",
    drip_body: "timed-out",
    endless_103: "answer-too-large",
    endless_body: "answer-too-large",
    endless_head: "answer-too-large",
    gzip_bomb: "unreadable-answer",
    encoded_transfer: "unreadable-answer",
    two_lengths: "unreadable-answer",
    switch_protocols: "unreadable-answer",
}
