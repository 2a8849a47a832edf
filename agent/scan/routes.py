"""Which addresses are on a network of this host, so that each of them takes a place in its neighbour table."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from itertools import chain, pairwise
from typing import Final

import msgspec

from agent.scan.netlink import IPV4, Netlink, attributes
from contract.ranges import Range, merge

_GET_ROUTES, _GET_LINK = 26, 18
# family, bits of the destination and source, tos, table, protocol, scope, type, flags
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_LINK: Final = struct.Struct("=BxHiII")  # family, type, index, flags, change
_DESTINATION, _INTERFACE, _GATEWAY, _VIA, _NEXT_HOPS = 1, 4, 5, 18, 9
_UNICAST: Final = 1
_NO_NEIGHBOURS: Final = 0x08 | 0x10 | 0x80  # loopback, point to point, without ARP


class SpansByRoute(msgspec.Struct, frozen=True):
    """`on_link`: asked on the cable for its hardware address first. `behind`: by the address, as a number, of the
    router on an own network that is asked for in their place. `other`: this host itself, or reached without any
    neighbour.
    """

    on_link: tuple[Range, ...]
    behind: Mapping[int, tuple[Range, ...]]
    other: tuple[Range, ...]

    def elsewhere(self, lost: Collection[int] = ()) -> tuple[Range, ...]:
        """All but those on own networks, and behind these routers."""
        reached = (spans for router, spans in self.behind.items() if router not in lost)
        return merge([*self.other, *chain.from_iterable(reached)])


def spans_by_route(spans: Iterable[Range]) -> SpansByRoute:
    """Tell them apart, as the kernel's routes stand now. Raises OSError where it does not say."""
    on_link: list[Range] = []
    other: list[Range] = []
    behind: dict[int, list[Range]] = {}
    with Netlink() as netlink:
        routes = [_block(body) for body in netlink.dump(_GET_ROUTES, _ROUTE.pack(IPV4, *[0] * 8))]
        edges = sorted({edge for block in routes for edge in (block.first, block.last + 1)})
        links: dict[int, bool] = {}
        for span in spans:
            inner = edges[bisect_right(edges, span.first) : bisect_right(edges, span.last)]
            cuts = [span.first, *inner, span.last + 1]
            # Between two edges all addresses go one way.
            for first, after in pairwise(cuts):
                part, needed = Range(first, after - 1), _asked_at_link(netlink, first, links)
                if needed is None:
                    other.append(part)
                elif needed == first:
                    on_link.append(part)
                else:
                    behind.setdefault(needed, []).append(part)
    routers = {router: merge(parts) for router, parts in behind.items()}
    return SpansByRoute(merge(on_link), routers, merge(other))


def _block(body: bytes) -> Range:
    """The addresses that a route is for."""
    bits = body[1]
    first = int.from_bytes(attributes(body, _ROUTE.size).get(_DESTINATION, bytes(4)))
    return Range(first, first | (0xFFFF_FFFF >> bits))


def _asked_at_link(netlink: Netlink, address: int, links: dict[int, bool]) -> int | None:
    """Whose hardware address is needed to reach it: its own, that of a router; `None`: nobody's, or there is no way.
    `links`: whether an interface has neighbours, of those asked about before.
    """
    wanted = struct.pack("=HH4s", 8, _DESTINATION, address.to_bytes(4))
    try:
        answer = netlink.ask(_GET_ROUTES, _ROUTE.pack(IPV4, 32, *[0] * 7) + wanted)
    except TimeoutError:
        raise
    except OSError:
        return None  # whoever connects is refused with a reason
    values = attributes(answer, _ROUTE.size)
    if answer[7] != _UNICAST or _INTERFACE not in values or values.keys() & {_VIA, _NEXT_HOPS}:
        return None
    index = struct.unpack("=i", values[_INTERFACE])[0]
    if index not in links:
        link = netlink.ask(_GET_LINK, _LINK.pack(0, 0, index, 0, 0))
        links[index] = not _LINK.unpack_from(link)[3] & _NO_NEIGHBOURS
    if not links[index]:
        return None
    return int.from_bytes(values[_GATEWAY]) if _GATEWAY in values else address
