"""The kinds of sinks. Each has a folder of its own, and is named here."""

from __future__ import annotations

from typing import Final

from agent.sinks.rigmonitor.entry import ENTRY as RIGMONITOR
from agent.sinks.sink import SinkEntry

SINKS: Final[tuple[SinkEntry, ...]] = (RIGMONITOR,)
