"""What the kernel still holds of an answer, and how it is made to let go of it."""

import socket
import struct
from asyncio import Transport
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Final

_AT_ONCE: Final = struct.pack("ii", 1, 0)


def is_untaken(transport: Transport) -> bool:
    """The kernel holds something that the other end has not taken."""
    with suppress(OSError):  # a system that does not tell
        queued = ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4))
        return any(queued)
    return False


def reset(transport: Transport) -> None:
    """The connection is gone; else the kernel would go on offering the rest, for minutes and from its own memory."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
