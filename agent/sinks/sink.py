"""What a sink is to the agent: where readings go besides the cloud, and perhaps where orders come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from agent.config.file import Config
from agent.miners.fleet import Fleet
from agent.tasks.path import TaskPath
from contract.clock import Clock
from contract.link import MinerReading
from contract.miner import Identity


class Sink(Protocol):
    """Built once per process. It is given every reading, and runs beside the task path."""

    @property
    def state(self) -> str:
        """`ok`, or what is wrong, in words."""

    def take(self, reading: MinerReading) -> None:
        """A reading of some miner. Must not wait."""

    async def run(self) -> None:
        """Work until cancelled."""


class Check(msgspec.Struct, frozen=True):
    """A finding of `miner-agent doctor`. `level` is ok, warning or problem."""

    level: str
    text: str


class SinkEntry(NamedTuple):
    """A kind of sink, as its folder declares it."""

    name: str
    title: str  # as the doctor calls it
    # The sink, where the config asks for one. Raises ConfigError.
    open: Callable[[Config, TaskPath, Fleet, Clock], Sink | None]
    # For the doctor, who knows which miners were found at which address. Only asks.
    check: Callable[[Config, Mapping[str, Identity]], Awaitable[Sequence[Check]]]
    # Files that the config names: those only the agent may read, and those that everybody may.
    secret_files: Callable[[Config], Sequence[Path | None]]
    public_files: Callable[[Config], Sequence[Path | None]]
    # What it writes in the state folder.
    state_files: tuple[str, ...] = ()
