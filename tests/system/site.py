"""A whole site for system tests: simulator, cloud and agent as processes that can be killed and started again."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from agent.demo.operator import Operator
from agent.demo.part import command
from agent.demo.play import serve_images
from agent.demo.rigs import SimulatedRig
from agent.demo.stage import SimulatedMiner, Stage, StageError, set_stage
from cloud.store.engine import DATABASE_NAME
from contract.task import TaskName
from tests.system.checker import Figures, check
from tests.system.facts import Origin, RigParts
from tests.system.gates.load import AWAY, Load
from tests.system.witness import Kill, Row, Shown, read_groups, read_journal, read_ledger, take_kill
from tests.warm import WarmPart, ask

HERE = Path(__file__).resolve().parent
_PATIENCE_S = 90.0


class Site(msgspec.Struct):
    """Everything that runs. `ids`: address of a miner -> the cloud's id of it."""

    stage: Stage
    operator: Operator
    images_url: str
    ids: dict[str, str]

    @property
    def journal(self) -> Path:
        return self.stage.folder / "agent" / "journal.db"

    @property
    def database(self) -> Path:
        return self.stage.folder / "cloud" / DATABASE_NAME

    @property
    def miners(self) -> tuple[SimulatedMiner, ...]:
        return self.stage.miners

    @property
    def origin(self) -> Origin:
        """What the miners come with."""
        macs = {each.ip: each.mac for each in self.miners}
        limits = {each.mac: each.power_limit_w for each in self.miners}
        return Origin(
            limits_w={mac: watts for mac, watts in limits.items() if watts is not None},
            rigs={macs[each.ip]: _parts_of(each) for each in self.stage.rigs},
        )

    def use_agent(self, *program: object, environment: Mapping[str, str] | None = None) -> None:
        """What the agent's next life runs: a test entry point and its arguments (`run --config` is added), or, without
        any, the agent itself.
        """
        run = ["run", "--config", str(self.stage.folder / "config.toml")]
        if program:
            self.stage.agent.program = [sys.executable, *map(str, program), *run]
        else:
            self.stage.agent.program = command("agent.cli.app", *run)
        self.stage.agent.environment = None if environment is None else dict(environment)

    async def warm(self) -> None:
        """Agent and cloud start over, now and from now on forked from processes that have everything imported: most of
        what a life costs that is killed soon.
        """
        self.stage.cloud = await WarmPart.instead_of(self.stage.cloud)
        self.stage.agent = await WarmPart.instead_of(self.stage.agent)

    async def agent_up(self) -> None:
        """Wait until the present life of the agent says that it is ready (with log level info)."""
        agent = self.stage.agent

        def ready() -> bool:
            assert agent.returncode is None, agent.last_words()
            return b'"agent.ready"' in agent.words_of_this_life()

        await self.until(ready, "the agent to be ready", every_s=0.01)

    async def kill_agent(self) -> Kill:
        """SIGKILL; give what lies on disk afterwards."""
        await self.stage.agent.kill()
        return take_kill(self.journal, time.time(), self.stage.ledger)

    async def order(
        self, name: TaskName, miners: Sequence[SimulatedMiner], params: dict[str, Any] | None
    ) -> str:
        """Create a batch that no miner is skipped in; give its id."""
        batch_id, _ = await self.operator.create(
            name, [self.ids[each.ip] for each in miners], params
        )
        assert batch_id is not None, f"the cloud skipped every miner of {name}"
        return batch_id

    async def until(
        self,
        look: Callable[[], Any],
        what: str,
        *,
        patience_s: float = _PATIENCE_S,
        every_s: float = 0.05,
    ) -> Any:
        """Wait until `look` (plain or awaitable) gives something true; give that. Fails with `what`."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience_s
        while True:
            try:
                found = look()
                if asyncio.iscoroutine(found):
                    found = await found
            except AWAY:
                found = None
            if found:
                return found
            if loop.time() > give_up:
                words = "\n".join(
                    part.last_words() for part in (self.stage.agent, self.stage.cloud)
                )
                raise AssertionError(f"waited {patience_s:.0f} s in vain for {what}\n{words}")
            await asyncio.sleep(every_s)

    async def ended(
        self, batch_id: str, *, patience_s: float = _PATIENCE_S
    ) -> list[dict[str, Any]]:
        """The tasks of a batch, once all of them have ended."""

        async def look() -> list[dict[str, Any]] | None:
            batch = await self.operator.batch(batch_id)
            return await self.operator.tasks(batch_id) if batch["status"] != "pending" else None

        found: list[dict[str, Any]] = await self.until(
            look, f"the end of batch {batch_id}", patience_s=patience_s
        )
        return found

    def rows(self) -> list[Row]:
        """The agent's journal as it is now."""
        return read_journal(self.journal)

    def glance(self, kills: Sequence[Kill]) -> Figures:
        """What ledger and journal show already, while tasks are still under way: every task that ended in the journal
        is taken as told to the cloud.
        """
        rows = self.rows()
        told = [
            Shown(row.task_id, "", row.name, row.status, row.result)
            for row in rows
            if row.status is not None
        ]
        return check(read_ledger(self.stage.ledger), rows, told, kills, origin=self.origin)

    async def all_reported(self) -> None:
        """Wait until every task of the journal has ended and the cloud has acknowledged it, what arose on site included:
        of that the cloud may not even have heard before.
        """
        await self.until(
            lambda: all(row.state == "reported" for row in self.rows()),
            "the end of every task in the journal",
            patience_s=2 * _PATIENCE_S,
        )

    async def verdict(
        self,
        seen: Sequence[Shown],
        kills: Sequence[Kill] = (),
        promised: Mapping[str, int] | None = None,
    ) -> Figures:
        """Wait until everything settled is reported, then let the checker speak."""
        await self.until(
            lambda: not any(row.state == "settled" for row in self.rows()),
            "the acknowledgement of every outcome",
        )
        ledger, groups = read_ledger(self.stage.ledger), read_groups(self.database)
        return check(
            ledger,
            self.rows(),
            seen,
            kills,
            promised,
            groups=groups,
            origin=self.origin,
        )


@asynccontextmanager
async def open_site(
    folder: Path,
    *,
    makes: str,
    base: str,
    time_scale: float = 30.0,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[Site]:
    """Start everything, let the agent scan, and wait until the cloud has a reading of every miner."""
    async with AsyncExitStack() as stack:
        with patch("agent.demo.stage.ask", ask):  # importing is most of what its commands cost
            stage = await stack.enter_async_context(
                set_stage(
                    folder,
                    miners=0,
                    makes=makes,
                    base=base,
                    time_scale=time_scale,
                    settings=settings,
                )
            )
        operator = await stack.enter_async_context(Operator(stage))
        images_url = await stack.enter_async_context(serve_images(stage.firmware))
        site = Site(stage, operator, images_url, {})
        first, last = stage.miners[0].ip, stage.miners[-1].ip
        batch, _ = await operator.create(TaskName.SCAN, None, {"ip_range": f"{first}-{last}"})
        assert batch is not None
        await site.ended(batch)

        async def all_read() -> bool:
            rows = await operator.miners()
            site.ids = {row["ip"]: row["id"] for row in rows}
            return len(rows) == len(stage.miners) and all(row["model"] for row in rows)

        await site.until(all_read, "every miner in the cloud")
        try:
            yield site
        finally:
            for part in (stage.agent, stage.cloud):
                await part.end()  # which may not be the one that the stage began with


def _parts_of(rig: SimulatedRig) -> RigParts:
    return RigParts(
        programs=tuple(each.slug for each in rig.programs),
        limits_w={
            f"0000{card.bus_id}".upper(): card.limit_w  # as the ledger spells it
            for card in rig.gpus
            if card.limit_w is not None
        },
    )


class Killer:
    """Ends the agent and the cloud at moments drawn from a seed. The agent is away for `away_s` before its next life."""

    def __init__(self, site: Site, *, seed: int, away_s: float = 0.0) -> None:
        self.kills: list[Kill] = []
        self.cloud_kills = 0
        self._site = site
        self._away_s = away_s
        self._random = random.Random(seed)

    async def agent(self, times: int) -> None:
        """Some moments are any, some fall into the working time, most come shortly after something reached a miner."""
        for _ in range(times):
            await self._moment()
            self.kills.append(await self._site.kill_agent())
            await asyncio.sleep(self._away_s)
            await self._site.stage.agent.start()

    async def cloud(self, times: int, *, mean_s: float) -> None:
        """Kill and start again, on average every `mean_s`."""
        for _ in range(times):
            await asyncio.sleep(self._random.uniform(0.3, 2 * mean_s - 0.3))
            await self._site.stage.cloud.kill()
            self.cloud_kills += 1
            await asyncio.sleep(self._random.choice((0.0, 0.0, 0.5)))
            await self._site.stage.cloud.start()

    async def _moment(self) -> None:
        kind = self._random.random()
        if kind < 0.2:
            await asyncio.sleep(self._random.uniform(0.0, 2.0))  # while it starts, as likely as not
            return
        await self._site.agent_up()
        if kind < 0.5:
            await asyncio.sleep(self._random.uniform(0.0, 1.5))
            return
        ledger = self._site.stage.ledger
        size = ledger.stat().st_size
        await self._passes(lambda: ledger.stat().st_size > size, 2.0)
        await asyncio.sleep(self._random.expovariate(1 / 0.05))

    async def _passes(self, look: Callable[[], bool], most_s: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + most_s
        while not look() and loop.time() < end:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.004)


def load_of(site: Site, *, seed: int, open_tasks: int) -> Load:
    """A load on this site."""
    return Load(
        site.operator, site.ids, site.miners, site.images_url, seed=seed, open_tasks=open_tasks
    )


__all__ = ["HERE", "Killer", "Site", "StageError", "load_of", "open_site"]
