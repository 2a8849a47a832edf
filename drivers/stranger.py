"""A host that answers, and that is none of the makes known here."""

from __future__ import annotations

import re
from typing import Final

import msgspec

BANNER_CHARS: Final = 200


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """`banner`: what it said first, one line of printable text, `None` where it said nothing; `ports`: those of ours
    that took a connection, in order.
    """

    banner: str | None = None
    ports: tuple[int, ...] = ()


def banner_of(said: bytes) -> str | None:
    """What a host said, as text that is safe to show: at most BANNER_CHARS characters, none of them of control."""
    text = _UNPRINTABLE.sub(" ", said[: 2 * BANNER_CHARS].decode("ascii", "replace"))
    return " ".join(text.split())[:BANNER_CHARS].rstrip() or None


# --- private -------------------------------------------------------------------------------------

_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]+")
