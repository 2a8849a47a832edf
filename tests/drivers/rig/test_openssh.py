"""A rig behind OpenSSH's own server: read, its mining switched off and on, its log taken, its host key changed."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from contract.errors import OutcomeUnknownError, RefusedError, WrongDeviceError
from contract.miner import PowerMode
from drivers.base import AnyChange, Depth, Evidence, Plan, Resume, Suspend, Timing
from drivers.rig.driver import RigDriver
from drivers.rig.entry import RIG
from drivers.rig.spec import EnrolledRig, MiningProgram, ProgramSpec
from simulator.farm import Farm
from tests.drivers.effects import MemoryEffect
from tests.drivers.rig.openssh import OpenSsh, openssh, plant_commands, sshd_path
from tests.virtual_time import loop_clock

pytestmark = pytest.mark.real_time
PACE = 20.0


@asynccontextmanager
async def behind_openssh(folder: Path, **program: Any) -> AsyncIterator[tuple[OpenSsh, RigDriver]]:
    """A rig whose XMRig is a process, and a driver that knows who it is."""
    sshd_path()
    async with await Farm.start("rig/xmrig-process", base="127.0.0.1", time_scale=PACE) as farm:
        (rig,) = farm.miners
        (unit,) = rig.units
        begin = shlex.join([str(unit.executable), *unit.arguments])
        commands = plant_commands(folder / "bin", log=unit.log, begin=begin, pid=unit.pid)
        async with openssh(folder / "ssh", commands, rig.folder) as server:
            told = {"port": unit.port, "token": unit.job.token, "unit": unit.name} | program
            spec = EnrolledRig(
                name="rig-7",
                reach=server.spec(),
                programs=(ProgramSpec(kind=MiningProgram.XMRIG, **told),),
            )
            driver = RIG.enrolled(spec, clock=loop_clock(), timing=Timing(pace=PACE))
            await driver.identify()
            try:
                yield server, driver
            finally:
                await driver.rig_wire.reach.close()


async def carry_out(driver: RigDriver, change: AnyChange) -> Evidence:
    plan, permit = await driver.plan(change), MemoryEffect(driver.clock)
    assert isinstance(plan, Plan), plan
    with suppress(OutcomeUnknownError):
        await driver.apply(plan, permit)
    return await driver.verify(plan, permit)


async def test_it_is_read_and_its_log_is_taken(tmp_path: Path) -> None:
    async with behind_openssh(tmp_path) as (_, driver):
        reading = await driver.read(Depth.FULL)
        assert [work.program for work in reading.moving.works] == ["XMRig"]
        assert (reading.mac, reading.static is not None) == (driver.identity.mac, True)
        assert driver.host_facts.boot_id
        log = await driver.get_log(tmp_path / "log", size_cap_bytes=100_000)
        assert "XMRig/6.22.2" in Path(log.path).read_text()


@pytest.mark.parametrize("token", ["simulated-token", None], ids=["paused", "ended"])
async def test_its_mining_is_switched_off_and_on(tmp_path: Path, token: str | None) -> None:
    """Without its token it is ended and begun by its unit."""
    changed = {} if token else {"token": None}
    async with behind_openssh(tmp_path, **changed) as (_, driver):
        if token is None:
            # Its API wants the token all the same: what it mines nobody sees, and its end shows by its process.
            evidence = await carry_out(driver, Suspend())
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.after["programs"][0]["process"] == "inactive"
            return
        for change in (Suspend(), Resume()):
            evidence = await carry_out(driver, change)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.after["programs"][0]["paused"] is isinstance(change, Suspend)
        slow = (await driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert slow.mode is not PowerMode.SLEEP


async def test_a_command_that_is_refused_or_missing_is_a_named_error(tmp_path: Path) -> None:
    async with behind_openssh(tmp_path) as (_, driver):
        wire = driver.rig_wire
        assert (await wire.run(("printf", "%s|", "a b", "$HOME"))).output == "a b|$HOME|"
        assert (await wire.run(("sh", "-c", "kill -9 $$"))).status is None
        (tmp_path / "bin/systemctl").write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 4\n")
        plan = Plan(change=Suspend(), before={}, data={"orders": [{"port": 1, "verb": "stop"}]})
        spec = wire.spec.programs[0]
        plan = Plan(
            change=Suspend(), before={}, data={"orders": [{"port": spec.port, "verb": "stop"}]}
        )
        with pytest.raises(RefusedError, match="Access denied"):
            await driver.apply(plan, MemoryEffect(driver.clock))


async def test_a_changed_host_key_ends_every_change_and_nothing_is_sent(tmp_path: Path) -> None:
    async with behind_openssh(tmp_path) as (server, driver):
        plan, permit = await driver.plan(Suspend()), MemoryEffect(driver.clock)
        assert isinstance(plan, Plan)
        await driver.rig_wire.reach.close()
        await server.stop()
        await server.start()
        calls = (
            driver.read(),
            driver.plan(Suspend()),
            driver.apply(plan, permit),
            driver.verify(plan, permit),
            driver.get_log(tmp_path / "log", size_cap_bytes=1000),
        )
        for call in calls:
            with pytest.raises(WrongDeviceError, match="nothing was sent"):
                await call
        assert permit.sent == 0
