"""A rig of this host, as the monitor's client meets it: its readings, and the service that owns its mining, played over
a real socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.config.file import parse
from agent.limits.policy import Policy, policy_of
from agent.rig.shapes import (
    ApplyPlaybooks,
    PlaybookVerdict,
    ProgramState,
    ProgramStatus,
    RequestRefused,
    RigReply,
    RigRequest,
    RigStatus,
    RigVerdicts,
)
from agent.sinks.rigmonitor.sink import RigMonitor
from contract.clock import Clock, to_text
from contract.link import MinerReading, MinerRef
from contract.miner import Board, Identity, Make, Moving, RigPart, RigWork, Static
from contract.rigmonitor.playbook import MiningWish, PlaybookEntry
from drivers.base import Timing
from drivers.rig.entry import RIG
from drivers.rig.spec import EnrolledRig
from tests.agent.rigmonitor.strict_rigs import StrictRig
from tests.agent.rigmonitor.strict_server import StrictServer, strict_server
from tests.virtual_time import loop_clock
from tests.waiting import until

NAME, CODE, IP, MAC = "rig-7", "code-of-the-rig", "192.168.18.60", "02:11:22:33:44:55"
STATIC = Static(
    make=Make.RIG,
    model="RTX 3080 x2",
    control_board="Supermicro X10DRL-i 1.01",
    cpu_name="Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
    ram_bytes=135_000_000_000,
)
CARDS = tuple(
    Board(
        index=number,
        part=RigPart.GPU,
        name="RTX 3080",
        bus_id=f"0000:0{number + 1}:00.0",
        hashrate_hs=60.52e6,
        temp_chip_c=65.0,
        power_w=105.32,
        fan_percent=35.0,
    )
    for number in range(2)
)
T_REX = RigWork(
    part=RigPart.GPU,
    program="T-Rex",
    algorithm="kawpow",
    pool="rvn.example.net:3333",
    hashrate_hs=121.04e6,
)
XMRIG = RigWork(
    part=RigPart.CPU,
    program="XMRig",
    algorithm="rx/0",
    pool="pool.hashvault.pro:443",
    hashrate_hs=9563.2,
)
MOVING = Moving(
    hashrate_hs=121.04e6, temp_cpu_c=61.0, uptime_s=3661.0, boards=CARDS, works=(T_REX, XMRIG)
)


@dataclass
class PlayedService:
    """The service `miner-agent-rig`, which runs whatever it accepts. `refuses` and `dies` say by the name of a program
    why it does not.
    """

    path: Path
    applied: list[tuple[PlaybookEntry, ...]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    dies: dict[str, str] = field(default_factory=dict)
    refuses_all: str | None = None
    running: dict[str, PlaybookEntry] = field(default_factory=dict)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                reply = self._reply(msgspec.json.decode(line, type=RigRequest))
                writer.write(msgspec.json.encode(reply) + b"\n")
                await writer.drain()
        writer.close()

    def _reply(self, request: RigRequest) -> RigReply:
        if self.refuses_all is not None:
            return RequestRefused(message=self.refuses_all)
        if isinstance(request, ApplyPlaybooks):
            return self._apply(request.entries)
        return RigStatus(
            version="1", programs=tuple(self._status(each) for each in self.running.values())
        )

    def _apply(self, entries: tuple[PlaybookEntry, ...]) -> RigVerdicts:
        self.applied.append(entries)
        before, self.running = self.running, {}
        verdicts = []
        for entry in entries:
            name = entry.software_name
            reason = self.refuses.get(name)
            verdicts.append(
                PlaybookVerdict(
                    id=entry.id, software_name=name, accepted=reason is None, reason=reason
                )
            )
            obeyed = entry if reason is None else before.get(name)
            if obeyed is not None:
                self.running[name] = obeyed
        return RigVerdicts(verdicts=tuple(verdicts))

    def _status(self, entry: PlaybookEntry) -> ProgramStatus:
        death = self.dies.get(entry.software_name)
        state = ProgramState.RUNNING if death is None else ProgramState.WAITING
        if entry.expected_status is MiningWish.STOP:
            state = ProgramState.STOPPED
        return ProgramStatus(
            software_name=entry.software_name,
            software_version=entry.software_version,
            playbook_id=entry.id,
            wish=entry.expected_status,
            is_stopped_by_hand=False,
            state=state,
            last_end=death,
            log="/var/log/x",
        )


class SiteTasks:
    """What the task path says of the site. Nothing becomes a task here."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.maintained: set[str] = set()  # MACs

    def is_busy(self, miner: MinerRef) -> bool:
        raise AssertionError(miner)

    def in_maintenance(self, miner: MinerRef) -> bool:
        return miner.mac in self.maintained

    def withdraw(self, miner: MinerRef, origin: str) -> None:
        raise AssertionError(miner, origin)

    async def submit_local(self, *order: Any) -> dict[str, Any]:
        raise AssertionError(order)


class OneRig:
    """A fleet of one rig."""

    def __init__(self, clock: Clock) -> None:
        self.driver = RIG.enrolled(EnrolledRig(name=NAME), clock=clock, timing=Timing())
        self.driver._identity = Identity(make=Make.RIG, model=STATIC.model, mac=MAC)

    def at(self, ip: str) -> Any:
        return self.driver if ip == IP else None

    def rig(self, name: str) -> Any:
        return self.driver if name == NAME else None

    async def learn_awake_modes(self, modes: Any) -> None:
        assert not modes


@dataclass
class RigClient:
    """The client at work for one rig. `see` hands it a reading."""

    service: PlayedService
    monitor: RigMonitor
    tasks: SiteTasks
    clock: Clock
    fleet: OneRig

    def see(self, moving: Moving = MOVING, static: Static | None = STATIC) -> None:
        self.monitor.take(
            MinerReading(
                at=to_text(self.clock.now()),
                ip=IP,
                mac=MAC,
                moving=moving,
                static=static,
                interval_s=3600.0,  # so that one is fresh for as long as a test takes
            )
        )


@dataclass
class RigStage(RigClient):
    """With what the strict monitor has of the rig."""

    server: StrictServer
    rig: StrictRig

    async def until_asked(self, times: int = 1) -> None:
        """Until the monitor was asked for playbooks some times more, and what it answered was handed on."""
        await _until_longer(self.rig.asked_times, times)
        await self.clock.sleep(1.0)

    async def until_logged(self, times: int = 1) -> dict[str, Any]:
        await _until_longer(self.rig.logs, times)
        return self.rig.logs[-1]


async def _until_longer(items: list[Any], by: int) -> None:
    wanted = len(items) + by
    await until(lambda: len(items) >= wanted, within_s=3600)


@asynccontextmanager
async def rig_client(
    folder: Path,
    url: str,
    *,
    code: str = CODE,
    of_rig: Any = None,
    has_service: bool = True,
    seed: int = 1,
    **more: Any,
) -> AsyncIterator[RigClient]:
    """Of the monitor at `url`. Runs until left. `of_rig`: keys of its entry in the config."""
    path = folder / "code"
    path.write_text(code)
    path.chmod(0o600)
    clock = loop_clock()
    service = PlayedService(folder / "rig.sock")
    if has_service:
        await service.start()
    entry = {"name": NAME, "api_code_file": str(path)} | (of_rig or {})
    section = {"url": url, "rig_service_socket": str(service.path), "rig": [entry]}
    policy = more.pop("policy", {})
    config = parse(
        {
            "rigs": [{"name": NAME, "reach": "local"}],
            "rigmonitor": section | more,
            "state": {"dir": str(folder)},
            "policy": policy,
        }
    )
    tasks = SiteTasks(policy_of(config))
    fleet = OneRig(clock)
    monitor = RigMonitor(config, tasks, fleet, clock, rng=random.Random(seed))
    running = asyncio.create_task(monitor.run())
    try:
        yield RigClient(service, monitor, tasks, clock, fleet)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.stop()


@asynccontextmanager
async def rig_stage(folder: Path, **more: Any) -> AsyncIterator[RigStage]:
    """`rig_client` of a strict server, which found no fault with it in the end."""
    async with strict_server() as server:
        rig = server.rigs.add(CODE)
        async with rig_client(folder, server.url, **more) as at:
            yield RigStage(at.service, at.monitor, at.tasks, at.clock, at.fleet, server, rig)
        assert server.faults == []
