"""Tasks of a rig, from the cloud through the journal to a simulated rig by SSH, and a crash in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from contract.errors import ErrorCode
from contract.link import MinerRef
from contract.task import TaskName
from simulator.farm import Farm
from tests.agent.fake_cloud import FakeCloud
from tests.agent.onfarm import config_for, free_base
from tests.agent.rigs import entry_of
from tests.agent.stage import Site
from tests.drivers.rig.stage import REBOOT
from tests.virtual_time import loop_clock
from tests.waiting import until


@asynccontextmanager
async def agent_on(farm: Farm, folder: Path, cloud: FakeCloud | None = None) -> AsyncIterator[Site]:
    """One process of the agent, which ends as a crash ends it."""
    rigs = [_entry(rig) for rig in farm.miners]
    config = config_for(farm, rigs=rigs)
    inventory = Inventory(folder / "inventory.db")
    await inventory.open()
    known: Any = open_site(config, loop_clock(), inventory)
    known.fleet.restore()
    for rig in farm.miners if not len(known.fleet) else ():
        await known.fleet.look_at(rig.ip)
    at = Site(folder, farm=known.fleet, cloud=cloud, clock=loop_clock())
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    try:
        yield at
    finally:
        await at.die()
        await inventory.close()


def _entry(rig: Any) -> dict[str, Any]:
    entry = entry_of(rig, reboot=list(REBOOT))
    for program, unit in zip(entry["programs"], rig.units, strict=True):
        program["unit"] = unit.name
    return entry


async def ended(at: Site, rig: Any, name: TaskName, **params: Any) -> dict[str, Any]:
    """The result of one task."""
    ref = MinerRef(id=rig.mac, mac=rig.mac, last_ip=rig.ip)
    task = at.cloud.create(name, params, ref)
    result = (await at.cloud.ended(task, within_s=3600.0)).result
    assert result is not None
    return result


async def test_a_rig_is_driven_as_any_miner_is(tmp_path: Path) -> None:
    specs = "rig/xmrig-and-lolminer"
    async with (
        await Farm.start(specs, base=free_base(), time_scale=100.0) as farm,
        agent_on(farm, tmp_path) as at,
    ):
        (rig,) = farm.miners
        rig.may_limit = True
        for name, params, outcome, code in (
            (TaskName.POWER_LIMIT, {"watts": 400}, "done", None),
            (TaskName.REBOOT, {}, "not_done", ErrorCode.POLICY_REFUSED),
            (TaskName.MINING, {"action": "off"}, "done", None),
            (TaskName.MINING, {"action": "off"}, "done", None),
            (TaskName.MINING, {"action": "on"}, "done", None),
            (TaskName.REBOOT, {"force": True}, "done", None),
            (TaskName.LIGHT, {"action": "on"}, "not_done", ErrorCode.UNSUPPORTED),
        ):
            result = await ended(at, rig, name, **params)
            assert result["outcome"] == outcome, result
            assert result.get("error", {}).get("code") == code, result
        done = [line["action"] for line in farm.ledger.of(ip=rig.ip, phase="applied")]
        assert done == ["power_limit"] * 2 + [
            "pause", "stop", "resume", "start", "reboot", "start", "start",
        ]  # fmt: skip


async def test_a_reboot_that_a_crash_cut_off_is_proven_and_not_repeated(tmp_path: Path) -> None:
    async with await Farm.start("rig/xmrig-cpu", base=free_base(), time_scale=100.0) as farm:
        (rig,) = farm.miners
        ref = MinerRef(id=rig.mac, mac=rig.mac, last_ip=rig.ip)
        async with agent_on(farm, tmp_path) as at:
            cloud = at.cloud
            task = cloud.create(TaskName.REBOOT, {"force": True}, ref)
            await until(lambda: rig.boot == 2)
        async with agent_on(farm, tmp_path, cloud):
            result = (await cloud.ended(task, within_s=3600.0)).result
        assert result is not None
        assert (result["outcome"], result["verified"]) == ("done", True), result
        evidence = result["evidence"]
        assert evidence["before"]["boot_id"] != evidence["after"]["boot_id"] == rig.boot_id
        assert len(farm.ledger.of(ip=rig.ip, action="reboot", phase="received")) == 1
