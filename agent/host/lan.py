"""Under which address this host is known in its network."""

from __future__ import annotations

import socket
from typing import Final

# An address that is nobody's (RFC 5737); nothing is sent there.
_ELSEWHERE: Final = ("192.0.2.1", 9)


def lan_address() -> str | None:
    """The IPv4 address of the interface of the default route; `None` where there is no such route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return None if address == "0.0.0.0" else address
