"""Ranges as operators write them: one address, a CIDR block, or first-last (both included). Miners live on IPv4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Network,
    summarize_address_range,
)
from typing import Final

import msgspec

# Nobody routes them through the internet: within them no slip of the pen has an agent ask strangers.
PRIVATE_RANGES: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
LOOPBACK_RANGE: Final = "127.0.0.0/8"


class Range(msgspec.Struct, frozen=True, order=True):
    """Addresses first..last, both included, as integers."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, address: object) -> bool:
        try:
            number = int(IPv4Address(str(address)))
        except (AddressValueError, ValueError):
            return False
        return self.first <= number <= self.last

    def __iter__(self) -> Iterator[str]:
        return (str(IPv4Address(number)) for number in range(self.first, self.last + 1))

    def __str__(self) -> str:
        first, last = IPv4Address(self.first), IPv4Address(self.last)
        return str(first) if self.first == self.last else f"{first}-{last}"


def parse_range(text: str) -> Range:
    """Read one range. A CIDR of /30 or wider leaves out its network and broadcast address; one
    address stays one address (it is never widened to its /24).

    Raises ValueError, in words an operator can act on.
    """
    cleaned = text.strip()
    try:
        if "/" in cleaned:
            network = IPv4Network(cleaned, strict=False)
            first, last = int(network.network_address), int(network.broadcast_address)
            if network.prefixlen <= 30:
                first, last = first + 1, last - 1
            return Range(first, last)
        if "-" in cleaned:
            left, _, right = cleaned.partition("-")
            start = IPv4Address(left.strip())
            # "192.168.1.10-50" is how many tools write it; the full form is Nonce's.
            tail = right.strip()
            end = IPv4Address(tail if "." in tail else f"{str(start).rpartition('.')[0]}.{tail}")
            if end < start:
                raise ValueError(f"range {cleaned!r} ends before it begins")
            return Range(int(start), int(end))
        address = int(IPv4Address(cleaned))
        return Range(address, address)
    except (AddressValueError, ValueError) as error:
        if str(error).startswith("range "):
            raise
        raise ValueError(
            f"range {cleaned[:80]!r} is not an IPv4 address, a CIDR block or first-last"
        ) from None


def is_range(text: str) -> bool:
    """Whether `parse_range` can read it."""
    try:
        parse_range(text)
    except ValueError:
        return False
    return True


def range_name(text: str) -> str:
    """A name for a range. Raises ValueError for what would be taken for something else where it is typed."""
    name = text.strip()
    if "," in name or name.startswith("-"):
        raise ValueError(
            f"{name!r} holds a comma or begins with a hyphen: a name of a range has none"
        )
    if is_range(name):
        raise ValueError(f"{name!r} is a range itself: give it a name")
    return name


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """One range as networks: IPv4 as `parse_range` reads it, or one IPv6 address or CIDR block.

    Raises ValueError, in words an operator can act on.
    """
    if ":" in text:
        try:
            return (IPv6Network(text.strip(), strict=False),)
        except ValueError:
            raise ValueError(
                f"range {text[:80]!r} is not an IPv6 address or a CIDR block"
            ) from None
    span = parse_range(text)
    return tuple(summarize_address_range(IPv4Address(span.first), IPv4Address(span.last)))


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same addresses as few, sorted, disjoint ranges, so that none is visited twice."""
    merged: list[Range] = []
    for each in sorted(ranges):
        if merged and each.first <= merged[-1].last + 1:
            merged[-1] = Range(merged[-1].first, max(merged[-1].last, each.last))
        else:
            merged.append(each)
    return tuple(merged)


def number_of(ip: str) -> int:
    """An IPv4 address that is known to be one, as a number; four times as quick as `ipaddress`, which a scan of a
    million addresses feels.
    """
    first, second, third, fourth = ip.split(".")
    return (int(first) << 24) + (int(second) << 16) + (int(third) << 8) + int(fourth)


def address_of(number: int) -> str:
    """The other way, as quickly."""
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
