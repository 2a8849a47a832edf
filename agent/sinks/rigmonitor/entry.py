"""The Mining Rig Monitor, as the agent opens and checks it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agent.config.file import Config
from agent.miners.fleet import Fleet
from agent.sinks.rigmonitor.checkup import check_monitor
from agent.sinks.rigmonitor.sink import STATE_FILE, RigMonitor
from agent.sinks.sink import Sink, SinkEntry
from agent.tasks.path import TaskPath
from contract.clock import Clock


def _open(config: Config, path: TaskPath, fleet: Fleet, clock: Clock) -> Sink | None:
    return RigMonitor(config, path, fleet, clock) if config.rigmonitor.url else None


def _secret_files(config: Config) -> tuple[Path | None, ...]:
    section = config.rigmonitor
    own = (each.api_code_file for each in section.miner)
    of_rigs = (each.api_code_file for each in section.rig)
    return section.codes_file, *own, *of_rigs


def _public_files(config: Config) -> tuple[Path | None, ...]:
    return (config.rigmonitor.ca_file,)


ENTRY: Final = SinkEntry(
    name="rigmonitor",
    title="rig monitor",
    open=_open,
    check=check_monitor,
    secret_files=_secret_files,
    public_files=_public_files,
    state_files=(STATE_FILE,),
)
