"""The monitor's client as one thing: readings in, wishes out, and a state for the heartbeat."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

import structlog

from agent.config.file import Config
from agent.config.keyfiles import check_ca_file
from agent.rig.client import RigService
from agent.rig.shapes import STANDARD_SOCKET
from agent.sinks.rigmonitor.client import MonitorClient
from agent.sinks.rigmonitor.expectations import Expectations
from agent.sinks.rigmonitor.machines import MonitorMachine, machines_of
from agent.sinks.rigmonitor.memory import Memory
from agent.sinks.rigmonitor.newest import Newest
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.playbooks import Playbooks
from agent.sinks.rigmonitor.reports import Reports
from agent.sinks.rigmonitor.rig_records import Mined
from agent.sinks.rigmonitor.switches import Switches, Tasks, ref_of
from contract.clock import Clock
from contract.link import MinerReading
from contract.miner import Identity, Moving, PowerMode
from contract.rigmonitor.shared import MachineKind
from contract.task import TaskName
from drivers.base import Driver
from drivers.rig.driver import RigDriver

STATE_FILE: Final = "rigmonitor.json"  # in the state folder
READ_ONLY: Final = "only reported to: the agent is in read-only mode"

NOT_AS_ASIC: Final = "a rig whose code stands in [[rigmonitor.miner]], not in [[rigmonitor.rig]]"
TWINS: Final = "neither reported nor switched, since several devices show its MAC"

log: Any = structlog.get_logger(__name__)


class Drivers(Protocol):
    """Who is at an address, and how it hashes; `agent.miners.fleet.Fleet`."""

    def at(self, ip: str) -> Driver | None: ...

    def rig(self, name: str) -> Driver | None: ...

    async def learn_awake_modes(self, modes: Mapping[str, PowerMode]) -> None: ...


class RigMonitor:
    """Built once per process. Give `take` every reading, and `run` it beside the task path."""

    def __init__(
        self,
        config: Config,
        tasks: Tasks,
        drivers: Drivers,
        clock: Clock,
        *,
        rng: random.Random | None = None,
    ) -> None:
        """Raises ConfigError for codes that cannot be read."""
        self._section = section = config.rigmonitor
        check_ca_file(config.monitor_ca)
        rng = rng or random.Random()
        self._machines: tuple[MonitorMachine, ...] = machines_of(section)
        self._tasks = tasks
        self._drivers = drivers
        self._clock = clock
        self._notes = Notes()
        self._newest = Newest(
            (machine.key for machine in self._machines),
            clock,
            slow_every_polls=config.telemetry.slow_every_polls,
        )
        self._memory = Memory(config.state.dir / STATE_FILE, clock)
        self._client = open_client(config)
        self._reports = Reports(
            self._client,
            section,
            self._newest,
            self._notes,
            clock,
            rng,
            identity_at=self._identity_at,
            mined=self._mined,
        )
        self._switches = Switches(
            tasks,
            section,
            self._newest,
            self._memory,
            self._notes,
            clock,
            driver_at=drivers.at,
            start=self._start,
        )
        self._asics = tuple(each for each in self._machines if each.kind is MachineKind.ASIC)
        self._expectations = Expectations(
            self._client,
            self._asics,
            self._reports,
            self._notes,
            clock,
            rng,
            every_s=section.expected_every_s,
            consider=self._switches.consider,
        )
        self._playbooks = {
            each.key: self._playbooks_of(each, rng) for each in self._machines if each.playbooks
        }
        self._follows_asics = bool(self._asics) and (section.follow_light or section.follow_asic)
        self._group: asyncio.TaskGroup | None = None

    @property
    def state(self) -> str:
        """`ok`, or what is wrong, in words."""
        if not self._machines:
            return "no miner has a code"
        if (self._follows_asics or self._playbooks) and self._tasks.policy.rules.read_only:
            state = self._notes.state
            return READ_ONLY if state == "ok" else f"{READ_ONLY}; {state}"
        return self._notes.state

    @property
    def sent(self) -> int:
        """Records the monitor has taken since the start."""
        return self._reports.sent

    def take(self, reading: MinerReading) -> None:
        """A look at some miner."""
        driver = self._drivers.at(reading.ip)
        rig = driver.rig_wire.spec.name if isinstance(driver, RigDriver) else None
        self._newest.take(reading, rig=rig)
        for key in (reading.mac or "", reading.ip):
            if rig is not None and key in self._newest:
                self._notes.trouble(NOT_AS_ASIC, key, f"give its code under its name, {rig}")
        mac = reading.mac or ""
        if mac not in self._newest:
            return
        if reading.twin_ips:
            self._notes.trouble(TWINS, mac, " and ".join(sorted({reading.ip, *reading.twin_ips})))
        else:
            self._notes.cleared(TWINS, mac)

    async def run(self) -> None:
        """Report and follow until cancelled."""
        await self._memory.open()
        await self._drivers.learn_awake_modes(self._memory.modes_before)
        if not self._machines:
            log.warning(
                "rigmonitor.no_codes", fix="set codes_file or api_code_file in [rigmonitor]"
            )
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for machine in self._machines:
                    group.create_task(self._reports.run(machine), name=f"rigmonitor {machine.key}")
                if self._follows_asics:
                    group.create_task(self._expectations.run(), name="rigmonitor-expected")
                for key, playbooks in self._playbooks.items():
                    group.create_task(playbooks.run(), name=f"rigmonitor-playbooks {key}")
        finally:
            self._group = None
            await self._client.close()

    def _mined(self, machine: MonitorMachine, moving: Moving) -> Mapping[str, Mined]:
        playbooks = self._playbooks.get(machine.key)
        return {} if playbooks is None else playbooks.mined(moving)

    def _playbooks_of(self, machine: MonitorMachine, rng: random.Random) -> Playbooks:
        socket = self._section.rig_service_socket or STANDARD_SOCKET
        return Playbooks(
            self._client,
            machine,
            self._reports,
            self._notes,
            self._clock,
            rng,
            every_s=self._section.playbooks_every_s,
            service=lambda: RigService(socket),
            forbidden=lambda: self._forbidden(machine),
        )

    def _forbidden(self, machine: MonitorMachine) -> str | None:
        """Why what this rig mines may not be changed now."""
        rules = self._tasks.policy.rules
        if rules.read_only:
            return "the agent is in read-only mode"
        if rules.forbids(TaskName.MINING):
            return f"this site does not allow {TaskName.MINING} (policy.forbidden_tasks)"
        driver = self._drivers.rig(machine.key)
        was_seen = self._newest[machine.key].ip is not None
        if driver is None or (driver.identity.mac is None and not was_seen):
            return "it was not read yet, so that nobody knows whether people work on it"
        if self._tasks.in_maintenance(ref_of(driver)):
            return "people work on the rig: it is in maintenance"
        return None

    def _start(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._group is not None, "polls run inside the group"
        return self._group.create_task(job, name="rigmonitor-wish")

    def _identity_at(self, ip: str) -> Identity | None:
        driver = self._drivers.at(ip)
        return driver.identity if driver else None


def open_client(config: Config) -> MonitorClient:
    """The client of the configured monitor; nothing is asked yet."""
    section = config.rigmonitor
    return MonitorClient(
        section.base_url,
        ca_file=config.monitor_ca,
        timeout_s=section.request_timeout_s,
        at_once=section.requests_at_once,
    )
