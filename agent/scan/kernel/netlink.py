"""What the kernel says of its routes and neighbours, over a netlink socket: bytes in, messages out. Changes nothing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

IPV4: Final = int(socket.AF_INET)
_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # length with this header, type
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_TYPE_MASK: Final = 0x3FFF
_READ_BYTES: Final = 262_144
_PATIENCE_S: Final = 5.0


class Netlink:
    """One conversation at a time. Raises OSError where the kernel cannot be asked, or refuses."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_PATIENCE_S)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The body of each message of a whole table. A table that changes meanwhile may be told in part."""
        self._send(kind, _REQUEST | _DUMP, body)
        while True:
            for told, payload in self._receive():
                if told == _DONE:
                    return
                yield payload

    def ask(self, kind: int, body: bytes) -> bytes:
        """The body of the one answer."""
        self._send(kind, _REQUEST, body)
        while True:
            for _, payload in self._receive():
                return payload

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        size = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(size, kind, flags, self._sequence, 0) + body)

    def _receive(self) -> Iterator[tuple[int, bytes]]:
        """The messages of one datagram; those of a question that was given up before are left out."""
        data = self._socket.recv(_READ_BYTES)
        at = 0
        while at + _HEADER.size <= len(data):
            size, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
            payload = data[at + _HEADER.size : at + size]
            at += (size + 3) & ~3
            if sequence != self._sequence:
                continue
            if kind == _ERROR and (code := -struct.unpack_from("=i", payload)[0]):
                raise OSError(code, "netlink")
            yield kind, payload


def attributes(payload: bytes, at: int) -> dict[int, bytes]:
    """Values by type, of the attributes that begin at this offset."""
    found: dict[int, bytes] = {}
    while at + 4 <= len(payload):
        size, kind = _ATTRIBUTE.unpack_from(payload, at)
        if size < 4:
            break
        found[kind & _TYPE_MASK] = payload[at + 4 : at + size]
        at += (size + 3) & ~3
    return found
