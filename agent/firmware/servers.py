"""Where firmware files may come from: public addresses, the agent's own cloud, and what the config names.

The agent stands inside a network that its cloud cannot reach. Whoever may name a url must not get to read, or to find
out about, what listens in there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

import psutil
from yarl import URL

from agent.config.firmware import FirmwareSection
from agent.config.urls import origin
from contract.ranges import parse_networks

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What hands out the identity and the keys of a machine in somebody's cloud, as the clouds document it.
_METADATA: Final = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # Amazon, Google, Azure, DigitalOcean, OpenStack and most others
            "169.254.170.2",  # Amazon ECS
            "169.254.170.23",  # Amazon EKS
            "169.254.42.42",  # Scaleway
            "169.254.0.23",  # Tencent
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure, of its wire server
            "192.0.0.192",  # Oracle, of old
            "fd00:ec2::254",  # Amazon
            "fd00:ec2::23",  # Amazon EKS
            "fd20:ce::254",  # Google
            "fd00:42::42",  # Scaleway
            "fd00:c1::a9fe:a9fe",  # Oracle
            "fe80::a9fe:a9fe",  # OpenStack
        ),
    )
)
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")  # RFC 4291: all that is routed on the internet
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))  # RFC 6052, RFC 8215


def host_networks() -> tuple[Network, ...]:
    """The networks this host has an address in: a neighbour there is no public server, whatever its number."""
    networks: list[Network] = []
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            try:
                bits = int(ip_address(each.netmask or "")).bit_count()
                network = ip_network((str(plain(ip_address(each.address))), bits), strict=False)
            except ValueError:  # a MAC, or no mask
                continue
            if network.prefixlen:  # a line that leads everywhere has no neighbours
                networks.append(network)
    return tuple(networks)


class FileServers:
    """Decides about one address at a time. `local` lists what counts as this site's own network."""

    def __init__(
        self,
        section: FirmwareSection,
        *,
        cloud_url: str | None,
        local: Callable[[], tuple[Network, ...]] = host_networks,
    ) -> None:
        self._named = tuple(net for text in section.allowed for net in parse_networks(text))
        self._cloud = None if cloud_url is None else origin(URL(cloud_url))
        self._local = local

    def may_give(self, address: Address, url: URL) -> bool:
        """Whether the file at that url may be fetched from that address, which is what its host stands for."""
        address = plain(address)
        parts = (address, *_embedded(address))
        if is_never_asked(address):
            return False
        if origin(url) == self._cloud or self._is_named(address):
            return True
        return all(self._is_public(each) or self._is_named(each) for each in parts)

    def _is_named(self, address: Address) -> bool:
        return any(address in each for each in self._named)

    def _is_public(self, address: Address) -> bool:
        if isinstance(address, IPv6Address):
            # 6to4 was given up with its public relays (RFC 7526)
            is_routed = address in _NAT64[0] or (
                address in _GLOBAL_IPV6 and address.sixtofour is None
            )
        else:
            is_routed = not address.is_multicast and not address.is_reserved
        return (
            is_routed and address.is_global and not any(address in each for each in self._local())
        )


def is_never_asked(address: Address) -> bool:
    """Whether what answers there hands out the keys of a machine: no setting allows it."""
    address = plain(address)
    return not _METADATA.isdisjoint((address, *_embedded(address)))


def plain(address: Address) -> Address:
    """The address without the name of an interface; one of IPv4 that is written as IPv6 (`::ffff:127.0.0.1`) as what
    it is, which is where it leads.
    """
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def _embedded(address: Address) -> Iterator[Address]:
    """The IPv4 addresses that translators and tunnels on the way may take from an IPv6 address."""
    if not isinstance(address, IPv6Address):
        return
    if any(address in each for each in _NAT64):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
