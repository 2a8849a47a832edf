"""A crash between order and proof, on simulated miners: what is found afterwards is judged as if there had been none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contract.link import MinerRef
from contract.miner import PowerMode
from contract.task import TaskName
from tests.agent.fake_cloud import NO_CLOUD
from tests.agent.policies import policy_with
from tests.agent.stage import Site
from tests.drivers.antminer import stage as antminer
from tests.drivers.whatsminer import stage as whatsminer
from tests.waiting import until


class OneMiner:
    """A farm of the one simulated miner of a stage."""

    def __init__(self, on: Any) -> None:
        self.driver = on.driver
        self.miners = [SimpleNamespace(ref=MinerRef(id="m1", mac=on.miner.mac))]
        self.asked = 0

    async def driver_for(self, ref: MinerRef, *, max_age_s: float, may_be_off: bool = False) -> Any:
        del ref, max_age_s
        self.asked += 1
        return self.driver

    def hidden_mac(self, _ref: MinerRef) -> None:
        return None

    def awake_mode(self, _ref: MinerRef) -> None:
        return None

    async def keep_awake_mode(self, _ref: MinerRef, _mode: PowerMode) -> None:
        pass

    def __len__(self) -> int:
        return 1


async def restarted(before: Site, on: Any, folder: Path, **parts: Any) -> Site:
    """The agent is killed and comes back, knowing what its journal does."""
    await before.die()
    farm: Any = before.farm
    farm.driver, farm.asked = on.another_driver(), 0
    after = Site(folder, farm=farm, cloud=before.cloud, **parts)
    after.start()
    return after


async def test_sleep_that_is_only_stored_is_not_proven_by_a_crash(tmp_path: Path) -> None:
    async with antminer.stage("s19pro", "stuck_awake") as on:
        farm: Any = OneMiner(on)
        at = Site(tmp_path, farm=farm)
        at.start()
        task = at.task(name=TaskName.POWER_MODE, params={"mode": "sleep"})
        await until(lambda: bool(on.ledger("mode")), within_s=800)
        after = await restarted(at, on, tmp_path)
        result = (await after.cloud.ended(task, within_s=1600)).result
        await after.stop()
        assert on.miner.state != "asleep"
        assert result is not None
        assert (result["outcome"], result["verified"]) == ("unknown", False)
        assert len(on.ledger("mode")) == 1


async def test_mining_that_does_not_stay_off_is_not_proven_by_a_crash(tmp_path: Path) -> None:
    async with whatsminer.stage("m60s-compat", "power_off_slips") as on:
        farm: Any = OneMiner(on)
        at = Site(tmp_path, farm=farm)
        at.start()
        await at.path.ready()
        wish = asyncio.create_task(
            at.path.submit_local(TaskName.MINING, {"action": "off"}, farm.miners[0].ref, "onsite")
        )
        await until(lambda: bool(on.ledger("power_off")), within_s=800)
        wish.cancel()
        after = await restarted(at, on, tmp_path)
        ended: list[Any] = []

        def has_ended() -> bool:
            ended[:] = [e for e in after.cloud.events if e.state in {"succeed", "failed"}]
            return bool(ended)

        await until(has_ended, within_s=1600)
        await after.stop()
        assert ended[0].result["outcome"] == "unknown"
        assert not on.miner.is_off


@pytest.mark.parametrize(("key", "liar"), [("m50s", False), ("m60s", False), ("m60s", True)])
async def test_a_power_limit_is_proven_after_a_crash_as_before_one(
    tmp_path: Path, key: str, liar: bool
) -> None:
    async with whatsminer.stage(key, *(["draws_on"] if liar else [])) as on:
        at = Site(tmp_path, farm=OneMiner(on))
        at.start()
        task = at.task(name=TaskName.POWER_LIMIT, params={"watts": 2800})
        await until(lambda: bool(on.ledger("power_limit")), within_s=800)
        after = await restarted(at, on, tmp_path)
        result = (await after.cloud.ended(task, within_s=3600)).result
        await after.stop()
        assert result is not None
        assert result["outcome"] == ("unknown" if liar else "done")
        assert result["verified"] is not liar
        assert result["evidence"]["before"]["power_w"] > 2800 * 1.05  # as it was before the order
        assert len(on.ledger("power_limit", phase="received")) == 1


async def test_a_percentage_that_is_not_told_is_compared_with_the_watts_before_its_first_order(
    tmp_path: Path,
) -> None:
    async with whatsminer.stage("m50s") as on:
        at = Site(tmp_path, farm=OneMiner(on))
        at.start()
        task = at.task(name=TaskName.POWER_LIMIT, params={"percent": 60})
        await until(lambda: bool(on.ledger("power_percent")), within_s=800)
        after = await restarted(at, on, tmp_path)
        result = (await after.cloud.ended(task, within_s=3600)).result
        await after.stop()
        assert result is not None
        assert (result["outcome"], result["verified"]) == ("done", True)
        assert len(on.ledger("power_percent", phase="received")) == 2
        assert on.miner.settings["power_percent"] == 60


async def test_what_was_begun_is_looked_at_however_long_the_cloud_is_away(tmp_path: Path) -> None:
    async with whatsminer.stage("m50s") as on:
        farm: Any = OneMiner(on)
        at = Site(tmp_path, farm=farm)
        at.start()
        task = at.task(name=TaskName.LIGHT, params={"action": "on"}, limit_s=40)
        await until(lambda: bool(on.ledger("light")), within_s=800)
        at.cloud.away = NO_CLOUD
        policy = policy_with(recovery_look_s=20.0, stop_within_s=1.0)
        after = await restarted(at, on, tmp_path, policy=policy)
        await after.path.ready()
        dispatcher = after.path.dispatcher
        began_mono = after.clock.mono()
        # Longer than all of its limit.
        await until(lambda: after.clock.mono() - began_mono > 80.0, within_s=200)
        assert task in dispatcher._tasks
        at.cloud.away = None
        at.cloud.poke()
        event = await after.cloud.ended(task, within_s=800)
        await after.stop()
        assert event.state == "succeed"
        assert len(on.ledger("light")) == 1
