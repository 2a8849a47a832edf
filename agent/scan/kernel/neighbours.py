"""The kernel's neighbour table: what this host knows of who is on its own networks, and how much room is left in it.

One table and one threshold serve all network namespaces of a host. Where the threshold is reached, the kernel drops
what is sent to a new neighbour without an error, so that silence means nothing there.
"""

from __future__ import annotations

import errno
import struct
from enum import IntEnum
from ipaddress import IPv4Address
from types import TracebackType
from typing import Final, Self

import msgspec

from agent.scan.kernel.netlink import IPV4, Netlink, attributes

_GET_NEIGHBOURS, _GET_TABLES = 30, 66
_NEIGHBOUR: Final = struct.Struct("=BBHiHBB")  # family, -, -, interface, state, flags, type
_DESTINATION: Final = struct.Struct("=HH4s")  # an IPv4 address, which the kernel names first
_ADDRESS, _LINK_ADDRESS = 1, 2
_THRESHOLD, _CONFIG, _STATS = 4, 5, 7
_TABLE_CONFIG: Final = struct.Struct("=HHI")  # length of a key, of an entry, number of entries
_TABLE_STATS: Final = struct.Struct("=11Q")
_MAC_BYTES: Final = 6

_INCOMPLETE, _FAILED, _NOARP, _PERMANENT = 0x01, 0x20, 0x40, 0x80
_RESOLVED: Final = 0x02 | 0x04 | 0x08 | 0x10 | _NOARP | _PERMANENT
_LEARNED_ELSEWHERE: Final = 0x10  # a flag: kept by a program, as permanent ones are


class NeighbourState(IntEnum):
    """What the table says of an address."""

    ASKED = 1  # no answer yet
    THERE = 2  # its hardware address is known
    NOBODY = 3  # asked three times, no answer


class TableLevel(msgspec.Struct, frozen=True):
    """The whole table. `refusals` and `collections` count since the host started: entries that found no place, and how
    often the kernel had to look for places at once.
    """

    entries: int
    threshold: int
    collections: int
    refusals: int


class Neighbours(msgspec.Struct, frozen=True):
    """The entries of this namespace, by address as a number. `held` of them take a place; `spare` do not, since the
    kernel gives them up on demand or does not count them.
    """

    standing: dict[int, NeighbourState]
    held: int
    spare: int


class NeighbourTable:
    """Reads the table of this host; needs no right. Raises OSError where the kernel does not say."""

    def __init__(self) -> None:
        self._netlink = Netlink()

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
        self._netlink.close()

    def level(self) -> TableLevel:
        """How full it is, the entries of other namespaces included. Takes some 20 us."""
        found: dict[int, bytes] = {}
        for body in self._netlink.dump(_GET_TABLES, struct.pack("=Bxxx", IPV4)):
            found = found or attributes(body, 4)  # then come the settings of each interface
        if not found.keys() >= {_THRESHOLD, _CONFIG, _STATS}:
            raise OSError(errno.ENODATA, "this kernel does not say how full its neighbour table is")
        stats = _TABLE_STATS.unpack_from(found[_STATS])
        return TableLevel(
            entries=_TABLE_CONFIG.unpack_from(found[_CONFIG])[2],
            threshold=struct.unpack("=I", found[_THRESHOLD])[0],
            collections=stats[9],
            refusals=stats[10],
        )

    def neighbours(self) -> Neighbours:
        """All entries. Takes some 2 us for each."""
        standing: dict[int, NeighbourState] = {}
        held = spare = 0
        for body in self._entries():
            _, _, _, _, state, flags, _ = _NEIGHBOUR.unpack_from(body)
            if state & (_FAILED | _NOARP | _PERMANENT) or flags & _LEARNED_ELSEWHERE:
                spare += 1
            else:
                held += 1
            kind, _, address = _DESTINATION.unpack_from(body, _NEIGHBOUR.size)
            if kind != _DESTINATION.size:
                continue
            number = int.from_bytes(address)
            if state & _RESOLVED:
                standing[number] = NeighbourState.THERE
            elif (
                standing.get(number) is not NeighbourState.THERE
            ):  # it may be known at another interface
                standing[number] = (
                    NeighbourState.NOBODY if state & _FAILED else NeighbourState.ASKED
                )
        return Neighbours(standing, held, spare)

    def macs(self) -> dict[str, str]:
        """Hardware addresses (`02:11:22:33:44:55`) by address, of those neighbours that are known."""
        found: dict[str, str] = {}
        for body in self._entries():
            state = _NEIGHBOUR.unpack_from(body)[4]
            values = attributes(body, _NEIGHBOUR.size)
            address, mac = values.get(_ADDRESS, b""), values.get(_LINK_ADDRESS, b"")
            if state & _RESOLVED and len(address) == 4 and len(mac) == _MAC_BYTES and any(mac):
                found[str(IPv4Address(address))] = mac.hex(":")
        return found

    def _entries(self) -> list[bytes]:
        asked = _NEIGHBOUR.pack(IPV4, 0, 0, 0, 0, 0, 0)
        return list(self._netlink.dump(_GET_NEIGHBOURS, asked))
