"""An update of the agent itself, from staging to proof. The process that begins it is not the one that ends it: its
restart is part of the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
import structlog

from agent.journal import Journal
from agent.journal.plan import InstallRelease, ReleasePlan
from agent.journal.settlement import NO_CHANGE, Settlement, failed, from_error, succeeded
from agent.limits.grants import Grants
from agent.limits.slots import Slots
from agent.tasks.active import ActiveTask
from agent.tasks.gate import Gate
from agent.tasks.permit import JournalledPermit
from agent.update.root_installer import OddFileError, SeenOrder
from agent.update.updates import Updates
from agent.update.verdict import UpdateEnd, judge, open_question, told_of
from contract.clock import Clock, to_text
from contract.errors import ErrorCode, NotGrantedError, StorageFullError
from contract.hiding import masked_url
from contract.outcome import Outcome
from contract.task import SelfUpdateParams
from contract.texts import printable
from drivers.base import Evidence
from drivers.watch import intent_age_s
from release.handover import LOG_LINE_CHARACTERS, LOG_LINES_MOST, UpdateRequest
from service.install.own import OwnRelease

LOOK_S: Final = 2.0
# So long before its limit nobody waits any more, and says what is not known.
LAST_S: Final = 5.0
TAKEN_S: Final = 60.0  # later a request is taken by nobody, which is said
SIGNAL: Final = "self_told"  # the process says which release it is

log: Any = structlog.get_logger(__name__)


class UpdateExecutor:
    """Raises MinerError where nothing was asked of root's installer."""

    def __init__(
        self,
        updates: Updates,
        *,
        journal: Journal,
        slots: Slots,
        gate: Gate,
        grants: Grants,
        clock: Clock,
    ) -> None:
        self._updates = updates
        self._journal = journal
        self._slots = slots
        self._gate = gate
        self._grants = grants
        self._clock = clock

    async def carry_out(self, task: ActiveTask) -> Settlement:
        """The release lies ready and verified before a change is planned, as firmware does: none of the task's own time
        passes until then.
        """
        assert isinstance(task.params, SelfUpdateParams)
        earlier = await asyncio.to_thread(self._updates.installer.seen, task.id)
        if earlier.outcome is not None and self._updates.own is not None:
            return self._told_before(task, task.params, earlier, self._updates.own)
        own = await asyncio.to_thread(self._updates.check, task.params)
        await self._check_free(task)
        staged = await self._updates.stage(task.params, own)
        if staged is None:
            return self._unchanged(task, own)
        task.log.info(f"{staged.version} was fetched and verified; {own.version} runs.")
        if staged.clock_doubt is not None:
            task.log.warning(staged.clock_doubt)
        task.started_mono = self._clock.mono()
        self._gate.may_run(task)
        plan = ReleasePlan(
            change=InstallRelease(version=staged.version, bundle_sha256=staged.sha256),
            before=told_of(own),
        )
        try:
            refusal = await self._ask(task, plan)
        except NotGrantedError as error:
            return from_error(error, outcome=Outcome.UNKNOWN)
        if refusal is not None:
            return from_error(refusal, before=plan.before)
        return await self._watch(task, plan, "Root's installer was asked: it restarts this agent.")

    async def watch(self, task: ActiveTask) -> Settlement:
        """One begun before a restart, which may have been its own: looked at, never asked for again."""
        plan = task.record.plan
        if not isinstance(plan, ReleasePlan):
            return failed(
                ErrorCode.NOT_VERIFIED,
                "It was begun before the agent restarted and left nothing to judge it by. Look which version runs.",
                outcome=Outcome.UNKNOWN,
            )
        return await self._watch(
            task, plan, "Begun before the agent restarted: it is only looked at, not repeated."
        )

    async def _ask(self, task: ActiveTask, plan: ReleasePlan) -> StorageFullError | None:
        """Write the request, once. Gives why it certainly does not lie there."""

        async def look_again() -> None:
            await self._check_free(task)

        permit = JournalledPermit(
            task,
            plan,
            journal=self._journal,
            gate=self._gate,
            slots=self._slots,
            grants=self._grants,
            clock=self._clock,
            look_again=look_again,
        )
        async with AsyncExitStack() as asking:
            if task.needs_grant:
                with task.waiting(self._clock):
                    await asking.enter_async_context(self._slots.asking(plan))
            await permit.ask_grant()
        request = UpdateRequest(
            task=task.id,
            version=plan.change.version,
            sha256=plan.change.bundle_sha256,
            requested_at=to_text(self._clock.now()),
        )
        async with permit.turn(), permit.sending():
            try:
                await asyncio.to_thread(self._updates.installer.ask, request)
            except OSError as error:
                seen = await asyncio.to_thread(self._updates.installer.seen, task.id)
                if not seen.asks and seen.progress is None and seen.outcome is None:
                    return StorageFullError(f"Root's installer could not be asked: {error}")
        return None

    async def _watch(self, task: ActiveTask, plan: ReleasePlan, first: str) -> Settlement:
        said: set[str] = set()
        await self._say(task, [first], said)
        installer = self._updates.installer
        while True:
            seen = await asyncio.to_thread(installer.seen, task.id)
            own = await asyncio.to_thread(self._updates.now)
            if own is None:
                return self._unknown(task, plan, "this process is no release that could be told")
            end = judge(seen, plan, own)
            if end is not None:
                await asyncio.to_thread(self._updates.drop_staged, plan.change.version)
                return self._settled(task, plan, end, told_of(own))
            if task.over(self._clock.mono() + LAST_S):
                await self._withdraw(task)
                return self._unknown(task, plan, open_question(seen, plan, own), told_of(own))
            steps = [] if seen.progress is None else [f"Root's installer: {seen.progress.step}"]
            age_s = intent_age_s(task.notes, self._clock)
            if seen.asks and age_s is not None and age_s > TAKEN_S:
                steps.append(
                    "Nobody takes the request; see on the host: systemctl status miner-agent-update.path"
                )
            await self._say(task, [*seen.doubts, *steps], said)
            await self._clock.sleep(LOOK_S)

    async def _say(self, task: ActiveTask, lines: Iterable[str], said: set[str]) -> None:
        """Each line once: to the operator at once, since the next thing may be a restart."""
        fresh = [each for each in lines if each not in said]
        if not fresh:
            return
        said.update(fresh)
        for line in fresh:
            task.log.info(line[:LOG_LINE_CHARACTERS])
        await self._journal.progress(task.id, self._clock.now(), task.log.take())

    async def _withdraw(self, task: ActiveTask) -> None:
        """A request that nobody has taken is not to be taken when nobody waits for its end any more."""
        try:
            if await asyncio.to_thread(self._updates.installer.withdraw, task.id):
                task.log.warning("Nobody had taken the request, and it was taken back.")
        except (OSError, OddFileError) as error:
            task.log.warning(f"The request could not be taken back: {error}")

    def _unchanged(self, task: ActiveTask, own: OwnRelease) -> Settlement:
        task.log.info(f"{own.version} is what was ordered, and runs: nobody is asked.")
        told = told_of(own)
        return succeeded(
            Evidence(
                outcome=Outcome.DONE,
                verified=True,
                before=told,
                after=told,
                signal=SIGNAL,
                seconds=0.0,
                reason=NO_CHANGE,
            )
        )

    def _settled(
        self, task: ActiveTask, plan: ReleasePlan, end: UpdateEnd, after: dict[str, Any]
    ) -> Settlement:
        evidence = Evidence(
            outcome=end.outcome,
            verified=True,
            before=plan.before,
            after=after,
            signal=SIGNAL,
            seconds=self._seconds(task),
            reason=end.message or None,
        )
        lines = [
            masked_url(printable(each)[:LOG_LINE_CHARACTERS]) for each in end.log[-LOG_LINES_MOST:]
        ]
        update = msgspec.to_builtins(plan.change)
        if end.code is None:
            task.log.info(f"{plan.change.version} runs, and proved itself.")
            return succeeded(evidence, update=update)
        for line in lines:
            task.log.warning(line)
        settlement = failed(end.code, end.message, outcome=end.outcome, evidence=evidence)
        result = settlement.result | {"update": update | {"log": lines}}
        return msgspec.structs.replace(settlement, result=result)

    def _unknown(
        self, task: ActiveTask, plan: ReleasePlan, why: str, after: dict[str, Any] | None = None
    ) -> Settlement:
        message = (
            f"Begun, but not proven within its limit of {task.limit_s:.0f} s: {why}. See on the host: journalctl -u "
            "miner-agent-update, miner-agent doctor."
        )
        return failed(
            ErrorCode.NOT_VERIFIED,
            message,
            outcome=Outcome.UNKNOWN,
            evidence=Evidence(
                outcome=Outcome.UNKNOWN,
                verified=False,
                before=plan.before,
                after=after or {},
                signal="none",
                seconds=self._seconds(task),
                reason=message,
            ),
        )

    def _told_before(
        self, task: ActiveTask, order: SelfUpdateParams, seen: SeenOrder, own: OwnRelease
    ) -> Settlement:
        """Root has ended it, and the journal, put back from a copy, knows nothing of that: it is told, not repeated."""
        told = seen.outcome
        assert told is not None, "it was looked for"
        task.log.info("Root's installer has ended this order before: it is not repeated.")
        is_done = told.verdict == "done" and told.after is not None
        version = told.after.version if is_done and told.after else order.target_version
        plan = ReleasePlan(
            change=InstallRelease(
                version=(version or "newest").removeprefix("v"), bundle_sha256=told.bundle_sha256
            ),
            before={} if told.before is None else told_of(told.before),
        )
        end = judge(seen, plan, own)
        if end is None:
            return self._unknown(task, plan, open_question(seen, plan, own), told_of(own))
        return self._settled(task, plan, end, told_of(own))

    async def _check_free(self, task: ActiveTask) -> None:
        await asyncio.to_thread(self._updates.check_free, task.id)

    def _seconds(self, task: ActiveTask) -> float:
        return intent_age_s(task.notes, self._clock) or 0.0
