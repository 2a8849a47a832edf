"""What is known of the ports of one address before the first question is asked there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from socket import socket


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

    def close(self) -> None:
        """Let go of the sockets that nobody took."""
        while self.sockets:
            self.sockets.popitem()[1].close()
