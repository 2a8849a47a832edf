"""A mining program as whoever runs it knows it."""

from __future__ import annotations

from contract.miner import Frozen


class Process(Frozen, frozen=True, kw_only=True):
    """`is_up`: `None` while it begins or ends. `word` is the state as it is told."""

    is_up: bool | None = None
    pid: int | None = None
    word: str = ""
