"""Which of two versions is the newer one."""

from __future__ import annotations

import re
from typing import Final

VERSION: Final = r"[0-9]{1,6}(\.[0-9]{1,6}){1,3}((a|b|rc)[0-9]{1,4})?"
_PARTS: Final = re.compile(r"([0-9.]+)(?:(a|b|rc)([0-9]+))?")
_STAGES: Final = {"a": 0, "b": 1, "rc": 2, None: 3}
_WHOLE: Final = re.compile(VERSION)

Order = tuple[tuple[int, ...], int, int]


def order_of(version: str) -> Order:
    """What versions are compared by: `1.2rc1` < `1.2` = `1.2.0` < `1.10`. Raises ValueError for what is no version."""
    parts = _PARTS.fullmatch(version) if _WHOLE.fullmatch(version) else None
    if parts is None:
        raise ValueError(f"{version[:40]!r} is no version, such as 1.2.3 or 1.2.3rc1")
    numbers = [int(each) for each in parts[1].split(".")]
    numbers += [0] * (4 - len(numbers))
    return tuple(numbers), _STAGES[parts[2]], int(parts[3] or 0)
