"""The demo from curtain to curtain: scan, readings, every task name, and the audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from aiohttp import web

from agent.demo import mixed
from agent.demo.audit import Witnessed, audit, witnessed
from agent.demo.monitor import EXPECTATIONS, Monitor
from agent.demo.operator import Operator
from agent.demo.playbook import PlaybookPart
from agent.demo.report import BatchReport, Report, Special, SubscriptionReport, joined
from agent.demo.script import Act, Cast, acts, cast
from agent.demo.show import Show
from agent.demo.stage import SimulatedMiner, Stage, StageError, set_stage
from agent.demo.subscriptions import LISTEN, WORK, SubscriptionPart, commands
from contract.clock import Clock, SystemClock
from contract.miner import Make
from contract.task import TERMINAL, TaskName

_T = TypeVar("_T")
_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "telemetry": {"interval_s": 2, "min_interval_s": 2},  # so that what changed is soon shown
    "subscriptions": {"listen": LISTEN},
}
_PATIENCE_S = 120.0  # for any one step; the whole is meant to take under 45 s


async def play(
    folder: Path,
    *,
    miners: int,
    time_scale: float,
    show: Show,
    stay: bool,
    tell: Callable[[Report], None],
) -> None:
    """Run it all and `tell` how it went; with `stay`, keep the stage up after that until cancelled.
    Raises StageError.
    """
    clock = SystemClock()
    begun = clock.mono()
    show.say("starting a cloud, a farm and an agent on loopback")
    async with (
        set_stage(folder, miners=miners, time_scale=time_scale, settings=_SETTINGS) as stage,
        Operator(stage) as operator,
        serve_images(stage.firmware) as images_url,
    ):
        performance = _Performance(stage, operator, show, clock)
        report = await performance.run(images_url, begun)
        show.report(report)
        tell(report)
        if stay:
            by_hand = commands(report.subscription.task_small_id) if report.subscription else ()
            show.invite(stage, *performance.examples(), by_hand)
            await _until_interrupted(stage, clock)


async def leave_to(folder: Path, *, miners: int, time_scale: float, show: Show) -> NoReturn:
    """Set up a mixed farm, say how it is run, and keep it up until cancelled. Raises StageError."""
    clock = SystemClock()
    show.say(f"starting a cloud, a mixed farm of {miners} miners and an agent on loopback")
    async with (
        set_stage(
            folder, miners=miners, time_scale=time_scale, makes=mixed.makes_of(miners)
        ) as stage,
        serve_images(stage.firmware) as images_url,
    ):
        show.leave(stage, await mixed.open_mixed(stage, clock), images_url)
        await _until_interrupted(stage, clock)


class _Performance:
    def __init__(self, stage: Stage, operator: Operator, show: Show, clock: Clock) -> None:
        self._stage, self._operator, self._show, self._clock = stage, operator, show, clock
        self._ids: dict[str, str] = {}  # ip -> the cloud's miner id
        self._macs: dict[str, SimulatedMiner] = {}  # the cloud's miner id -> who it really is
        self._witnessed: list[Witnessed] = []
        self._said: dict[str, dict[str, int]] = {}  # ip -> what became of its tasks, counted
        self._examples = ("", "")

    async def run(self, images_url: str, begun_mono: float) -> Report:
        stage = self._stage
        mining = PlaybookPart(stage, self._operator, self._clock, self._until)
        with self._show.live():
            # An enrolled rig needs no scan, so it begins at once.
            (parts, readings, reports), playbook = await asyncio.gather(
                self._tasks(images_url), mining.play()
            )
            monitored = await self._shown(stage.monitor) if stage.monitor else 0
            subscription, report = await self._subscriptions(parts)
            reports.append(report)
        ledger = audit(stage.ledger, [*self._witnessed, *mining.witnessed])
        surprised = any(each.surprises for each in reports)
        ok = not (ledger.doubled or ledger.unclaimed or surprised) and subscription.is_as_scripted
        seconds = round(self._clock.mono() - begun_mono, 2)
        specials = tuple(
            Special(each.ip, each.model, role, dict(sorted(self._said.get(each.ip, {}).items())))
            for role, each in (
                ("lies", parts.liar),
                ("dead", parts.dead),
                ("foreign", parts.foreign),
                *(("monitored", each) for each in parts.monitored),
                ("rig, by SSH", parts.rig),
            )
        )
        return Report(
            len(self._ids), readings, tuple(reports), ledger, seconds, ok, specials, monitored, playbook, subscription,
        )  # fmt: skip

    async def _tasks(self, images_url: str) -> tuple[Cast, int, list[BatchReport]]:
        """Who plays what, how many were read, and how each batch ended."""
        stage = self._stage
        scan = Act(note="who is there?", name=TaskName.SCAN, params={"ip_range": stage.span})
        reports = [await self._watch(scan, *await self._create(scan))]
        readings = await self._all_read()
        machines = stage.monitor.machines if stage.monitor else ()
        parts = cast(stage.miners, {each.mac for each in machines})
        await stage.break_miners({parts.dead.ip: ["dead"], parts.liar.ip: ["ignores"]})
        script = acts(parts, lambda miner: f"{images_url}/{miner.image}")
        # Created one after the other, since a miner takes its tasks in that order; then all at once.
        batches = [(act, await self._create(act)) for act in script]
        self._examples = (self._ids[parts.liar.ip], batches[0][1][0])
        watched, wished = await asyncio.gather(
            asyncio.gather(*(self._watch(act, *each) for act, each in batches)),
            asyncio.gather(*(self._wishes(each) for each in parts.monitored)),
        )
        return (
            parts,
            readings,
            reports + watched + [joined(each) for each in zip(*wished, strict=True)],
        )

    async def _subscriptions(self, parts: Cast) -> tuple[SubscriptionReport, BatchReport]:
        act = Act(
            note="light off, which waits until it is subscribed to",
            name=WORK,
            params={"action": "off"},
            who=parts.honest[:1],
        )

        async def begin() -> str:
            return (await self._create(act))[0]

        part = SubscriptionPart(self._clock, self._until, begin, self._operator.batch)
        report = await part.play()
        return report, await self._watch(act, report.batch_id, {})

    def examples(self) -> tuple[str, str]:
        """The ids of a miner and of a batch, to look at by hand."""
        return self._examples

    async def _create(self, act: Act) -> tuple[str, dict[str, int]]:
        ids = None if act.who is None else [self._ids[each.ip] for each in act.who]
        batch_id, skipped = await self._operator.create(act.name, ids, act.params)
        if batch_id is None:
            raise StageError(f"the cloud skipped every miner of {act.name} ({act.note})")
        return batch_id, skipped

    async def _watch(self, act: Act, batch_id: str, skipped: dict[str, int]) -> BatchReport:
        begun_mono = self._clock.mono()

        async def ended() -> dict[str, Any] | None:
            batch = await self._operator.batch(batch_id)
            self._show.progress(batch_id, act, batch)
            return batch if batch["status"] != "pending" else None

        batch = await self._until(ended, f"the end of {act.name} ({act.note})")
        seconds = round(self._clock.mono() - begun_mono, 2)
        tasks = await self._operator.tasks(batch_id)
        with_task = {task["miner_id"] for task in tasks}
        for each in act.who or ():
            if self._ids[each.ip] not in with_task:
                self._saying(each.ip, f"skipped ({', '.join(sorted(skipped))})")
        why: dict[str, int] = {}
        surprises = []
        if skipped != act.skipped:
            surprises.append(f"skipped {skipped or 'nobody'}, not {act.skipped or 'nobody'}")
        for task in tasks:
            miner = self._macs.get(task["miner_id"] or "")
            if miner is not None:
                self._witnessed.append(witnessed(miner.mac, act.name, task))
            code = _code(task)
            if miner is not None:
                self._saying(miner.ip, code or "succeed")
            if code is not None:
                why[code] = why.get(code, 0) + 1
            expected = act.agent_expected if miner is None else act.expected(miner)
            if code != expected or task["status"] not in TERMINAL:
                where = f"{miner.ip} {miner.model}" if miner else "agent"
                said = ((task.get("result") or {}).get("error") or {}).get("message", "")
                surprises.append(
                    f"{where}: {code or 'succeed'}, not {expected or 'succeed'}: {said}"
                )
        return BatchReport(
            act.name, act.note, batch["status"], batch["task_count"], batch["succeed_count"],
            batch["failed_count"], seconds, why, skipped, tuple(surprises),
        )  # fmt: skip

    async def _wishes(self, miner: SimulatedMiner) -> list[BatchReport]:
        """Let the monitor wish, and watch the tasks that the agent makes of it."""
        monitor = self._stage.monitor
        assert monitor is not None
        machine = next(each for each in monitor.machines if each.mac == miner.mac)
        known: set[str] = set()
        reports: list[BatchReport] = []
        for wish in EXPECTATIONS:
            async with Operator(self._stage, monitor.farm_id) as operator:
                await operator.expect(machine.rig_id, wish.expected)
            for name, note in wish.tasks:
                batch_id = await self._arisen(miner, name, known)
                known.add(batch_id)
                reports.append(
                    await self._watch(Act(note=note, name=name, who=(miner,)), batch_id, {})
                )
        return reports

    async def _arisen(self, miner: SimulatedMiner, name: TaskName, known: Collection[str]) -> str:
        """The batch of a task of that name that nobody created in the cloud, once there is a new one."""

        async def look() -> str | None:
            for task in await self._operator.tasks_of(self._ids[miner.ip]):
                if task["name"] == name and task["batchId"] not in known:
                    return str(task["batchId"])
            return None

        return await self._until(look, f"{name} of {miner.ip}, as the monitor wishes")

    async def _shown(self, monitor: Monitor) -> int:
        """Wait until the monitor shows every machine with a hash rate; give how many these are."""
        async with Operator(self._stage, monitor.farm_id) as operator:

            async def told() -> int | None:
                rows = await operator.miners()
                rated = sum(bool(row["hashrate"]) for row in rows)
                return rated if rated == len(monitor.machines) + 1 else None

            return await self._until(told, "the monitor to show every machine at work")

    def _saying(self, ip: str, word: str) -> None:
        said = self._said.setdefault(ip, {})
        said[word] = said.get(word, 0) + 1

    async def _all_read(self) -> int:
        """Wait until the cloud shows what every miner does that the simulator says is there."""

        async def read() -> int | None:
            rows = await self._operator.miners()
            by_ip = {row["ip"]: row for row in rows}
            self._ids = {ip: row["id"] for ip, row in by_ip.items()}
            self._macs = {
                self._ids[each.ip]: each for each in self._stage.miners if each.ip in self._ids
            }
            rated = sum(_is_read(row) for row in rows)
            self._show.found(rows, len(self._stage.miners))
            return rated if rated == len(self._stage.miners) else None

        return await self._until(read, "a reading of every miner")

    async def _until(self, look: Callable[[], Awaitable[_T | None]], what: str) -> _T:
        give_up_mono = self._clock.mono() + _PATIENCE_S
        while self._clock.mono() < give_up_mono:
            self._stage.check()
            found = await look()
            if found is not None:
                return found
            await self._clock.sleep(0.15)
        raise StageError(f"waited {_PATIENCE_S:.0f} s in vain for {what}")


def _is_read(row: dict[str, Any]) -> bool:
    """A rig that does not mine yet has no rate, but an uptime."""
    return row["hashrate"] is not None or (row["make"] == Make.RIG and row["uptime"] is not None)


def _code(task: dict[str, Any]) -> str | None:
    if task["status"] == "succeed":
        return None
    error = (task.get("result") or {}).get("error") or {}
    return str(error.get("code") or task["status"])


@asynccontextmanager
async def serve_images(folder: Path) -> AsyncIterator[str]:
    """A vendor's download page: the firmware images over plain http on loopback."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _until_interrupted(stage: Stage, clock: Clock) -> NoReturn:
    while True:
        stage.check()
        await clock.sleep(1)
