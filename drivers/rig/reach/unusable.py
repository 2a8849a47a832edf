"""The rig whose key, or the token of a program of its, cannot be used: whatever is asked of it, that is the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

from contract.errors import AuthFailedError
from drivers.rig.reach.base import OUTPUT_CAP_BYTES, FileTexts, Ran


class UnusableReach:
    """See `RigReach`. Nothing is sent."""

    user = ""
    is_open = False

    def __init__(self, why: str) -> None:
        self._why = why

    async def open(self, *, deadline_s: float) -> None:
        """Raises AuthFailedError."""
        del deadline_s
        self._refuse()

    async def read_texts(self, patterns: Sequence[str], *, deadline_s: float) -> FileTexts:
        """Raises AuthFailedError."""
        del patterns, deadline_s
        self._refuse()

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline_s: float,
        cap_bytes: int = OUTPUT_CAP_BYTES,
        cut: bool = False,
        reconnect: bool = True,
    ) -> Ran:
        """Raises AuthFailedError."""
        del argv, deadline_s, cap_bytes, cut, reconnect
        self._refuse()

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], port: int, *, deadline_s: float
    ) -> None:
        """Raises AuthFailedError."""
        del factory, port, deadline_s
        self._refuse()

    async def close(self) -> None:
        """Nothing is kept open."""

    def _refuse(self) -> NoReturn:
        raise AuthFailedError(self._why)
