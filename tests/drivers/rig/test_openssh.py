"""A rig behind OpenSSH's own server: read, its mining switched off and on, its log taken, its host key changed."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
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
from tests.waiting import until

pytestmark = pytest.mark.real_time
PACE = 20.0
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


@asynccontextmanager
async def behind_openssh(folder: Path, *without: str) -> AsyncIterator[tuple[OpenSsh, RigDriver]]:
    """A rig whose XMRig is a process, and a driver that knows who it is. XMRig is started again without these arguments."""
    sshd_path()
    async with await Farm.start("rig/xmrig-process", base="127.0.0.1", time_scale=PACE) as farm:
        (rig,) = farm.miners
        (unit,) = rig.units
        arguments = [each for each in unit.arguments if each not in without]
        begin = shlex.join([str(unit.executable), *arguments])
        commands = plant_commands(folder / "bin", log=unit.log, begin=begin, pid=unit.pid)
        async with openssh(folder / "ssh", commands, rig.folder) as server:
            program = ProgramSpec(
                kind=MiningProgram.XMRIG, port=unit.port, token=unit.job.token, unit=unit.name
            )
            spec = EnrolledRig(name="rig-7", reach=server.spec(), programs=(program,))
            driver = RIG.enrolled(spec, clock=loop_clock(), timing=Timing(pace=PACE))
            await driver.identify()
            try:
                await until(lambda: _hashes(driver), every_s=0.1)
                yield server, driver
            finally:
                await driver.rig_wire.reach.close()
                with suppress(
                    ProcessLookupError
                ):  # one that was begun by us is no child of the simulator
                    os.kill(int((commands / "pid").read_text()), signal.SIGTERM)


async def _hashes(driver: RigDriver) -> bool:
    return bool((await driver.read()).moving.hashrate_hs)


async def carry_out(driver: RigDriver, change: AnyChange) -> Evidence:
    plan, permit = await driver.plan(change), MemoryEffect(driver.clock)
    assert isinstance(plan, Plan), plan
    with suppress(OutcomeUnknownError):
        await driver.apply(plan, permit)
    evidence = await driver.verify(plan, permit)
    assert (evidence.outcome, evidence.verified) == ("done", True), evidence
    return evidence


async def test_it_is_read_its_log_taken_and_its_mining_switched_off_and_on(tmp_path: Path) -> None:
    async with behind_openssh(tmp_path) as (_, driver):
        reading = await driver.read(Depth.FULL)
        assert [work.program for work in reading.moving.works] == ["XMRig"]
        assert (reading.mac, reading.static is not None) == (driver.identity.mac, True)
        log = await driver.get_log(tmp_path / "log", size_cap_bytes=100_000)
        assert "XMRig/6.22.2" in Path(log.path).read_text()
        for change in (Suspend(), Resume()):
            evidence = await carry_out(driver, change)
            assert evidence.after["programs"][0]["paused"] is isinstance(change, Suspend)
            assert evidence.after["programs"][0]["pid"] == evidence.before["programs"][0]["pid"]


async def test_the_line_of_the_page_is_enough_to_be_read_and_opens_no_other_port(
    tmp_path: Path,
) -> None:
    async with behind_openssh(tmp_path) as (server, driver):
        (program,) = driver.rig_wire.spec.programs
        keys = tmp_path / "ssh" / "authorized"
        (line,) = re.findall(r"^restrict,.*,permitopen=.*", OPERATIONS.read_text(), re.MULTILINE)
        options = re.sub(r',permitopen="[^"]*"', "", line.partition(" ssh-ed25519")[0])
        options = options.replace("192.168.1.10", "127.0.0.1")
        keys.write_text(f'{options},permitopen="127.0.0.1:{program.port}" {keys.read_text()}')
        await driver.rig_wire.reach.close()
        reading = await driver.read(Depth.FULL)
        assert [work.program for work in reading.moving.works] == ["XMRig"]
        assert reading.slow is not None
        assert reading.slow.faults == ()
        with pytest.raises(RefusedError, match="permitopen"):
            await driver.rig_wire.reach.connect(asyncio.Protocol, server.port, deadline_s=5)


async def test_what_cannot_be_paused_is_ended_and_begun_by_its_unit(tmp_path: Path) -> None:
    async with behind_openssh(tmp_path, "--http-no-restricted") as (_, driver):
        paused = await carry_out(driver, Suspend())
        wire = driver.rig_wire
        await wire.run(("systemctl", "stop", "xmrig.service"))
        begun = await carry_out(driver, Resume())
        ended = await carry_out(driver, Suspend())
        assert ended.after["programs"][0]["process"] == "inactive"
        slow = (await driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert (slow.mode, slow.faults) == (PowerMode.SLEEP, ())
        pids = [each.after["programs"][0]["pid"] for each in (paused, begun, ended)]
        assert len({*pids}) == 3


async def test_a_refusal_is_named_and_a_changed_host_key_ends_everything(tmp_path: Path) -> None:
    async with behind_openssh(tmp_path) as (server, driver):
        wire = driver.rig_wire
        assert (await wire.run(("printf", "%s|", "a b", "$HOME"))).output == "a b|$HOME|"
        assert (await wire.run(("sh", "-c", "kill -9 $$"))).status is None
        plan, permit = await driver.plan(Suspend()), MemoryEffect(driver.clock)
        assert isinstance(plan, Plan)
        stop = {"orders": [{"port": wire.spec.programs[0].port, "verb": "stop"}]}
        (tmp_path / "bin/systemctl").write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 4\n")
        with pytest.raises(RefusedError, match="Access denied"):
            await driver.apply(msgspec.structs.replace(plan, data=stop), MemoryEffect(driver.clock))
        await wire.reach.close()
        await server.stop()
        await server.start()
        for call in (
            driver.read(),
            driver.plan(Suspend()),
            driver.apply(plan, permit),
            driver.verify(plan, permit),
            driver.get_log(tmp_path / "log", size_cap_bytes=1000),
        ):
            with pytest.raises(WrongDeviceError, match="nothing was sent"):
                await call
        assert permit.sent == 0
