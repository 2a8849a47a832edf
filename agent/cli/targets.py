"""What a person writes for miners: addresses, ranges, several of them with commas between, and names of hosts."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from typing import Final

from contract.ranges import merge, parse_range

# Letters, digits and hyphens between dots. What ends in a number, or in two with a hyphen between, is an address or a
# range with a slip of the pen, though some systems would make another address of it (`10.0.300`, `0x7f000001`) and some
# networks have one for whatever is asked (`10.0.0.9-300`).
_NAME: Final = re.compile(
    r"(?=.{1,253}\.?$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"(?!([\d-]+|0x[0-9a-f]*)\.?$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.?",
    re.IGNORECASE,
)


def ranges_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The ranges to scan; a name stands for all its addresses. Raises ValueError, in words."""
    parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    if not parts:
        raise ValueError("no address, range or name is given")
    return tuple(each for part in parts for each in _ranges(part))


def one_address(text: str) -> str:
    """The address of the one miner that is meant. Raises ValueError, in words."""
    spans = merge(map(parse_range, ranges_in((text,))))
    addresses = sum(map(len, spans))
    if addresses > 1:
        which = ", ".join(map(str, spans[:4])) + (" ..." if len(spans) > 4 else "")
        raise ValueError(
            f"{text.strip()[:80]!r} stands for {addresses} addresses ({which}): give the one miner that is meant"
        )
    return str(spans[0])


def _ranges(text: str) -> tuple[str, ...]:
    try:
        parse_range(text)
    except ValueError:
        if _NAME.fullmatch(text) is None:
            raise
        return _addresses(text)
    return (text,)


def _addresses(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(
            f"{name!r} is no IPv4 address, CIDR block or first-last, nor the name of a host with an IPv4 address that "
            f"this one can look up ({(error.strerror or 'unknown').lower()})"
        ) from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
