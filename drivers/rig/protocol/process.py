"""A mining program as its owner knows it: systemd, or the service `miner-agent-rig`."""

from __future__ import annotations

from contract.miner import Frozen


class ProgramProcess(Frozen, frozen=True, kw_only=True):
    """`is_up`: `None` while it begins or ends. `has_failed`: it ended by itself, with an error. `word` is the state as
    it is told.
    """

    is_up: bool | None = None
    has_failed: bool = False
    pid: int | None = None
    word: str = ""
