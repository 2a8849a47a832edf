"""From where a call comes: the address at the other end, or the one that a proxy of ours names."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from aiohttp import web

from cloud.context import SETTINGS

FORWARDED: Final = "X-Forwarded-For"  # each proxy on the way adds who called it at the end
_Address = IPv4Address | IPv6Address


def peer_of(request: web.Request) -> str:
    """The last address on the way here that is no proxy of ours; what lies before it is anybody's word."""
    proxies = request.app[SETTINGS].proxies
    peer = _address(request.remote or "")
    hops = [hop for line in request.headers.getall(FORWARDED, ()) for hop in line.split(",")]
    while hops and peer is not None and any(peer in proxy for proxy in proxies):
        named = _address(hops.pop())
        if named is None:
            break
        peer = named
    return str(peer or request.remote)


def _address(text: str) -> _Address | None:
    """The address in what a proxy wrote, which may have a port behind it; `None` where there is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
