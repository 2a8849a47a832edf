"""What is known of the ports of one address before the first question is asked there."""

from __future__ import annotations

import struct
from contextlib import suppress
from socket import MSG_PEEK, SO_LINGER, SOL_SOCKET, socket
from typing import Final

import msgspec

_PEEKED: Final = 1024
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # of SO_LINGER: on, 0 s


class Doors(msgspec.Struct):
    """A port in neither set was not asked, or did not answer. `sockets` are of some of the open ones: connected,
    non-blocking, nothing was sent or received on them. Who holds a `Doors` closes what it does not take.
    """

    open: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()
    sockets: dict[int, socket] = {}

    def take(self, port: int) -> socket | None:
        """The connected socket of that port, which is the caller's from now on; `None` where there is none."""
        return self.sockets.pop(port, None)

    def unasked(self) -> bytes:
        """What the host said by itself, b"" where it waits for a question. It can still be read."""
        for sock in self.sockets.values():
            with suppress(OSError):  # nothing came, or the host has hung up
                if said := sock.recv(_PEEKED, MSG_PEEK):
                    return said
        return b""

    def close(self) -> None:
        """Let go of the sockets that nobody took."""
        while self.sockets:
            hang_up(self.sockets.popitem()[1])


def hang_up(sock: socket) -> None:
    """Close a connection on which nothing was said, by a reset: no port of this host waits for a minute afterwards."""
    sock.setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
    sock.close()
