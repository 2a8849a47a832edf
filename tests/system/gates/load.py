"""An operator with a seeded mind: keeps mixed batches and groups of them coming over the public API, whatever happens to
the cloud.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiohttp

from agent.demo.operator import Operator
from agent.demo.stage import SimulatedMiner, StageError
from contract.task import TaskName
from tests.system.gates.groups import Batches, Groups
from tests.system.witness import Shown, shown

AWAY = (aiohttp.ClientError, TimeoutError, ConnectionError)  # what a killed cloud looks like
_WEIGHTS = {
    TaskName.LIGHT: 30,
    TaskName.POOLS: 18,
    TaskName.POWER_MODE: 8,
    TaskName.MINING: 8,
    TaskName.POWER_LIMIT: 6,
    TaskName.REBOOT: 22,
    TaskName.LOG: 10,
    TaskName.FIRMWARE: 8,
}
# What each make can be asked for; of AntMiners not all can run at low power, so it is left out here.
_MODES = {
    "antminer": ("sleep", "normal"),
    "whatsminer": ("low", "normal", "high"),
    "iceriver": ("sleep", "normal"),
}
_LIMITS: tuple[dict[str, Any], ...] = (
    {"watts": 2600},
    {"watts": 3000},
    {"watts": "default"},
    {"percent": 70},
    {"percent": 100},
)
# Rigs are few, and asked for what is theirs by orders of their own.
_FOR_RIGS = 0.2
_WEIGHTS_OF_RIGS = {
    TaskName.MINING: 4,
    TaskName.POWER_LIMIT: 3,
    TaskName.REBOOT: 2,
    TaskName.LOG: 1,
}
# In watts each has limits of its own: those that all its cards share.
_LIMITS_OF_RIGS: tuple[dict[str, Any], ...] = (
    {"watts": "default"},
    {"percent": 60},
    {"percent": 80},
    {"percent": 100},
)
_SELECTED = 0.3  # of the orders: by what is true of the miners, in place of their ids
_PATIENCE_S = 240.0
_PAGE = 10_000


class Load:
    """`promised` are the batches the cloud acknowledged, with how many tasks it said they have."""

    def __init__(
        self,
        operator: Operator,
        ids: Mapping[str, str],
        miners: Sequence[SimulatedMiner],
        images_url: str,
        *,
        seed: int,
        open_tasks: int,
    ) -> None:
        """`ids`: address -> the cloud's miner id. `open_tasks`: how many to keep under way."""
        self.promised: dict[str, int] = {}
        self._operator = operator
        self._ids = ids
        self._miners = [each for each in miners if each.ip in ids and not each.foreign]
        self._rigs = [each for each in self._miners if each.make == "rig"]
        self._asics = [each for each in self._miners if each.make != "rig"]
        self._images_url = images_url
        self._random = random.Random(seed)
        self._open_tasks = open_tasks
        self._open: dict[str, int] = {}
        self.groups = Groups(operator, [each.ip for each in self._miners], seed=seed)
        self._fresh = list(self._asics)  # whose firmware was not updated yet
        self._random.shuffle(self._fresh)

    async def run(self) -> None:
        """Create batches until cancelled."""
        is_prepared = False
        while True:
            try:
                if not is_prepared:
                    await self.groups.prepare()
                    is_prepared = True
                await self._look()
                self._take(await self.groups.decide())
                while sum(self._open.values()) < self._open_tasks:
                    await self._create()
            except AWAY:
                pass
            await asyncio.sleep(0.3)

    def forget(self, kept: Container[str]) -> None:
        """The cloud was put back to where it has only these batches: of the others nobody is to hear again."""
        self.promised = {key: count for key, count in self.promised.items() if key in kept}
        self._open = {key: left for key, left in self._open.items() if key in kept}

    async def decide(self) -> None:
        """Let go or call off whatever waits for a proof, so that everything ends."""
        with suppress(*AWAY):
            self._take(await self.groups.decide(of_all=True))

    async def all_ended(self) -> None:
        """Wait until every batch of the farm has ended. Raises TimeoutError naming those that have not."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _PATIENCE_S
        while True:
            try:
                open_ = [each for each in await self._batches() if each["status"] == "pending"]
            except AWAY:
                open_ = [{"task_name": "?", "batch_id": "the cloud does not answer"}]
            if not open_:
                return
            await self.decide()
            if loop.time() > give_up:
                return  # the checker names what is left as lost
            await asyncio.sleep(0.3)

    async def seen(self) -> list[Shown]:
        """Every task of every batch of the farm."""
        tasks: list[Shown] = []
        for batch in await self._batches():
            tasks += shown(
                batch["batch_id"], batch["task_name"], await self._operator.tasks(batch["batch_id"])
            )
        return tasks

    async def _batches(self) -> list[dict[str, Any]]:
        return await self._operator.batches()

    async def _look(self) -> None:
        for batch_id in list(self._open):
            batch = await self._operator.batch(batch_id)
            left = batch["task_count"] - batch["succeed_count"] - batch["failed_count"]
            if batch["status"] != "pending":
                del self._open[batch_id]
            else:
                self._open[batch_id] = left

    async def _create(self) -> None:
        if self._rigs and self._random.random() < _FOR_RIGS:
            name, miners, params = self._wish_of_rigs()
        else:
            name = self._random.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
            miners, params = self._wish(name)
        if not miners:
            return
        try:
            if name is not TaskName.FIRMWARE and self._random.random() < _SELECTED:
                self._take(await self.groups.create(name, params))
                return
            batch_id, _ = await self._operator.create(
                name, [self._ids[m.ip] for m in miners], params
            )
        except StageError as error:  # the cloud is up and said no
            raise AssertionError(f"the cloud refused {name} {params}: {error}") from error
        if batch_id is not None:
            batch = await self._operator.batch(batch_id)
            self._take({batch_id: batch["task_count"]})

    def _take(self, batches: Batches) -> None:
        self._open |= batches
        self.promised |= batches

    def _wish_of_rigs(self) -> tuple[TaskName, list[SimulatedMiner], dict[str, Any] | None]:
        pick, weights = self._random, _WEIGHTS_OF_RIGS
        name = pick.choices(list(weights), weights=list(weights.values()))[0]
        params = {
            TaskName.MINING: {"action": pick.choice(("off", "on"))},
            TaskName.POWER_LIMIT: pick.choice(_LIMITS_OF_RIGS),
            TaskName.REBOOT: {"force": pick.random() < 0.9},
        }
        some = pick.sample(self._rigs, pick.randint(1, min(len(self._rigs), 2)))
        return name, some, params.get(name)

    def _wish(self, name: TaskName) -> tuple[list[SimulatedMiner], dict[str, Any] | None]:
        pick = self._random
        some = pick.sample(self._asics, min(len(self._asics), pick.randint(3, 10)))
        if name is TaskName.LIGHT:
            return some, {"action": pick.choice(("on", "off"))}
        if name is TaskName.POWER_MODE:
            mode = pick.choice(("sleep", "normal", "normal", "low", "high"))
            able = [each for each in some if mode in _MODES[each.make]]
            return able[:4], {"mode": mode}
        if name is TaskName.MINING:
            return some[:4], {"action": pick.choice(("off", "on", "on"))}
        if name is TaskName.POWER_LIMIT:
            able = [each for each in self._asics if each.make == "whatsminer"]
            return pick.sample(able, min(len(able), 3)), pick.choice(_LIMITS)
        if name is TaskName.REBOOT:
            return some[:5], {"force": pick.random() < 0.9}
        if name is TaskName.LOG:
            return some[:4], None
        if name is TaskName.FIRMWARE:
            one = [self._fresh.pop()] if self._fresh else []
            return one, {"firmware_url": f"{self._images_url}/{one[0].image}"} if one else None
        farm = pick.randint(1, 9999)
        pools = [
            {"url": f"stratum+tcp://pool{farm}-{n}.example.com:3333", "user": "farm.{ip4}"}
            for n in range(pick.randint(1, 3))
        ]
        return some, {"pools": pools}
