"""What a check comes to: well, or what is wrong, in words with what to do."""

from __future__ import annotations

from typing import Final

import msgspec

OK: Final = "ok"
WARNING: Final = "warning"
PROBLEM: Final = "problem"
_NAMED: Final = 10  # addresses, or files, in one finding


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked. `level` is ok, warning or problem."""

    level: str
    subject: str
    text: str


def named(those: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
    return ", ".join(those[:_NAMED]) + more
