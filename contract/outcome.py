"""What became of a change: the one word that drivers, agent and cloud share. No I/O."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of the miner."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"
