"""A miner that changed hands: no task, whatever its name, reaches the one that came to the address, and none is said to be
done by what that one shows. On simulated miners, with the real fleet, which trusts an identity for a minute.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from agent.config.file import Config
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from agent.ports import AwakeMode
from contract.errors import MinerError
from contract.link import MinerRef
from contract.miner import PowerMode
from contract.task import TaskName
from drivers.base import AnyChange, LogFile, NoChange, Permit, Plan
from drivers.stranger import Stranger
from simulator.farm import Farm
from tests.agent.fake_cloud import code
from tests.agent.onfarm import simulated
from tests.agent.stage import site
from tests.virtual_time import loop_clock
from tests.waiting import until

MODELS: Final = (
    "antminer/s21",
    "whatsminer/m50s",
    "whatsminer/m60s",
    "iceriver/ks5l",
)
POOL: Final = {"url": "stratum+tcp://pool-a.example:3333", "user": "acc.w1", "password": "x"}
TASKS: Final[dict[TaskName, dict[str, Any]]] = {
    TaskName.LIGHT: {"action": "on"},
    TaskName.POOLS: {"pools": [POOL]},
    TaskName.REBOOT: {"force": True},
    TaskName.FIRMWARE: {"firmware_url": "http://files.test/image"},
}


class ChangingHands:
    """Two miners of one kind, of which the second comes to the address of the first at a given moment of a task."""

    def __init__(self, farm: Farm, config: Config) -> None:
        self.farm = farm
        self.meant: Any = farm.miners[0]
        self.stranger: Any = farm.miners[1]
        self.ref = MinerRef(id="m1", mac=self.meant.mac, last_ip=self.meant.ip)
        self.miners = [self]
        self.moment = ""
        ports = {f"{kind}_port": farm.ports[kind] for kind in ("v3", "daemon")}
        miners = config.miners.model_copy(update=ports)
        config = config.model_copy(update={"miners": miners})
        self.fleet = open_site(config, loop_clock(), Inventory(None)).fleet

    def __len__(self) -> int:
        return 1

    async def meet(self) -> None:
        """The miner that is meant is at its address, and has just said so."""
        if self.meant.ip != self.ref.last_ip:
            self.meant.swap(self.stranger)

        async def has_said_so() -> bool:
            try:
                driver, _ = await self.fleet.look_at(self.meant.ip)
            except MinerError:
                return False  # what it was told last makes it restart
            return not isinstance(driver, Stranger) and driver.identity.mac == self.meant.mac

        await until(has_said_so, within_s=100, every_s=0.1)

    def pass_(self, moment: str) -> None:
        """It changes hands if this is the moment."""
        if moment == self.moment:
            self.meant.swap(self.stranger)

    def reached(self, miner: Any) -> list[str]:
        """The orders that this one got."""
        entries = self.farm.ledger.entries
        return [each["action"] for each in entries if each["miner"] == miner.mac]

    async def driver_for(self, ref: MinerRef, *, max_age_s: float, may_be_off: bool = False) -> Any:
        return Watched(
            self, await self.fleet.driver_for(ref, max_age_s=max_age_s, may_be_off=may_be_off)
        )

    def hidden_mac(self, ref: MinerRef) -> str | None:
        return self.fleet.hidden_mac(ref)

    def awake_mode(self, ref: MinerRef) -> AwakeMode | None:
        return self.fleet.awake_mode(ref)

    async def keep_awake_mode(self, ref: MinerRef, mode: PowerMode) -> None:
        await self.fleet.keep_awake_mode(ref, mode)

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        del url, cap_bytes, sha256
        path = folder / self.meant.image_name
        await asyncio.to_thread(path.write_bytes, self.meant.newer_image())
        return path


class Watched:
    """The real driver, and what happens between two of its steps."""

    def __init__(self, hands: ChangingHands, driver: Any) -> None:
        self._hands = hands
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        self._hands.pass_("identified")
        found: Plan | NoChange = await self._driver.plan(change)
        self._hands.pass_("planned")
        return found

    async def apply(self, plan: Plan, permit: Permit) -> None:
        try:
            await self._driver.apply(plan, permit)
        finally:
            self._hands.pass_("applied")

    async def get_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
        self._hands.pass_("identified")
        log: LogFile = await self._driver.get_log(folder, size_cap_bytes=size_cap_bytes)
        return log


@pytest.mark.parametrize("moment", ["identified", "planned", "applied"])
@pytest.mark.parametrize("model", MODELS)
async def test_a_task_reaches_no_other_miner_and_is_not_proven_by_one(
    model: str, moment: str, tmp_path: Path
) -> None:
    mode = "low" if model.startswith("whatsminer") else "sleep"
    tasks = {TaskName.POWER_MODE: {"mode": mode}, **TASKS}
    if moment == "identified":
        tasks = {TaskName.LOG: {}, **tasks}
    async with simulated(f"{model}:2") as (farm, _, config):
        hands = ChangingHands(farm, config)
        miners: Any = hands
        async with site(tmp_path, farm=miners) as at:
            for name, params in tasks.items():
                hands.moment = ""
                await hands.meet()
                hands.moment = moment
                event = await at.cloud.ended(at.task(name=name, params=params), within_s=100)
                assert event.result is not None
                assert (event.state, code(event)) == ("failed", "wrong_device"), (name, event)
                outcome = "unknown" if moment == "applied" else "not_done"
                assert event.result["outcome"] == outcome, (name, event)
                assert not event.result["verified"]
                assert hands.stranger.mac in event.result["error"]["message"]
                assert hands.reached(hands.stranger) == [], name
            assert bool(hands.reached(hands.meant)) is (moment == "applied")
