"""A change to a miner, from looking to proof; and what a crash left of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import msgspec
import structlog

from agent.journal import Journal
from agent.journal.settlement import Settlement, failed, from_error, judged, unchanged
from agent.limits.addresses import Addresses
from agent.limits.grants import Grants
from agent.limits.slots import PowerTurn, Slots
from agent.ports import Miners
from agent.tasks.active import ActiveTask
from agent.tasks.gate import Gate
from agent.tasks.permit import JournalledPermit
from contract.clock import Clock, to_text
from contract.errors import (
    AuthFailedError,
    BadFirmwareError,
    BadParamsError,
    BusyError,
    ErrorCode,
    MalformedError,
    MinerError,
    NotGrantedError,
    PolicyRefusedError,
    PoolsLockedError,
    RefusedError,
    ServiceAwayError,
    StorageFullError,
    UnreachableError,
    UnsupportedError,
    UnsupportedModeError,
    WriteDisabledError,
    WrongDeviceError,
)
from contract.link import MinerRef
from contract.miner import Endpoint, PowerMode, awake_mode_of
from contract.outcome import Outcome
from contract.task import TaskName
from drivers.base import (
    AWAKE_MODE,
    AnyChange,
    Change,
    Driver,
    Evidence,
    NoChange,
    Plan,
    check_drivable,
)
from drivers.watch import OUTAGE_NOTE

# What a miner says only when it has not done what was asked.
NOT_EXECUTED: Final = (
    RefusedError,
    AuthFailedError,
    WriteDisabledError,
    UnsupportedError,
    PoolsLockedError,
    BadParamsError,
    BadFirmwareError,
)
# What looking again says of the change itself, and not of the look.
VERDICTS: Final = (UnsupportedModeError, PoolsLockedError, BadFirmwareError)
NOT_YET: Final = (
    UnreachableError,
    WrongDeviceError,
    MalformedError,
    AuthFailedError,
    BusyError,
)
# What a miner that is there says while a process of it restarts, or while it is at something else.
PASSING: Final = (MalformedError, BusyError, ServiceAwayError)
# Refusals that name a failure better than what the miner shows afterwards.
NAMING: Final = (*NOT_EXECUTED, PolicyRefusedError, StorageFullError)
LOOK_AGAIN_S: Final = 2.0
ONCE_MORE_S: Final = 0.2
WHO_S: Final = 15.0
# As JSON: a whole configuration of the largest miner is a tenth of it.
PLAN_BYTES: Final = 256 * 1024

T = TypeVar("T")
_Who = tuple[Endpoint, str | None, object]

log: Any = structlog.get_logger(__name__)


class ChangeExecutor:
    """Reads, writes once, looks again. Never decides from an answer alone."""

    def __init__(
        self,
        journal: Journal,
        miners: Miners,
        slots: Slots,
        gate: Gate,
        grants: Grants,
        addresses: Addresses,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._miners = miners
        self._slots = slots
        self._gate = gate
        self._grants = grants
        self._addresses = addresses
        self._clock = clock

    async def check(self, task: ActiveTask, change: type[Change]) -> None:
        """Whether its miner takes such a change at all: asked before something costly is prepared for it. None of the
        task's own time passes.

        Raises MinerError, UnsupportedError for a miner that is only read among them.
        """

        async def ask(driver: Driver) -> None:
            check_drivable(driver.identity, driver.endpoint)
            kind, capabilities = str(change.__struct_config__.tag), driver.capabilities
            if capabilities is not None and kind not in capabilities.changes:
                raise UnsupportedError(
                    f"{capabilities.make} {capabilities.generation} takes no {kind}"
                )

        await self._look(task, ask)
        task.started_mono = None

    def awake_mode(self, task: ActiveTask) -> PowerMode | None:
        """The mode that its miner is to hash in again: the one the cloud knows, unless this agent saw another since the
        task came in; `None` where neither knows one.
        """
        ref = task.record.miner
        seen = None if ref is None else self._miners.awake_mode(ref)
        told = None if ref is None else awake_mode_of(ref.awake_mode)
        if seen is not None and (told is None or seen.seen_at > task.record.accepted_at):
            return seen.mode
        return told

    async def carry_out(self, task: ActiveTask, change: AnyChange) -> Settlement:
        """The whole of it. A setting found in intent after a crash goes the same way: what is there is read first.

        Raises MinerError only when nothing was sent.
        """
        began_mono = self._clock.mono()
        with self._slots.turn(change) as turn:
            task.turn = turn
            try:
                driver, found = await self._ready(task, change, turn)
            except NotGrantedError as error:
                return from_error(error, outcome=Outcome.UNKNOWN)
            await self._keep_awake_mode(task, found)
            if isinstance(found, JournalledPermit):
                refusal = await self._apply(task, driver, found.plan, found)
        if isinstance(found, NoChange):
            task.log.info("The miner already is as wished; nothing is sent.")
            if (earlier := _plan_of(task)) is not None:
                return await self._prove(task, driver, earlier)
            return unchanged(found, seconds=self._clock.mono() - began_mono)
        plan = found.plan
        if refusal is not None and isinstance(refusal, NOT_EXECUTED) and task.writes <= 1:
            # The one write there was, was refused: proof that it was not executed.
            return from_error(refusal, before=plan.before)
        return await self._verify(task, driver, plan, found, refusal)

    async def watch(self, task: ActiveTask) -> Settlement:
        """A one-shot begun before a restart: looked at until it is proven or its time is over; never redone."""
        plan = _plan_of(task)
        if plan is None:
            return failed(
                ErrorCode.NOT_VERIFIED,
                "It was begun before the agent restarted and left nothing to judge it by. Look at the miner.",
                outcome=Outcome.UNKNOWN,
            )
        task.log.warning("Begun before the agent restarted: it is only looked at, not repeated.")
        permit = self._permit(task, plan, None)
        was_away = False
        while True:
            try:
                driver = await self._driver(task)
                if not self._addresses.take(task.id, driver.endpoint.host):
                    await self._wait_for(task, driver)
                    continue
                _tell(task, driver)
                return await self._verify(task, driver, plan, permit, None)
            except NOT_YET as error:
                is_away = is_outage(error)
                if is_away and not was_away:
                    # Once may be a busy moment of our own host, which has just begun: only twice is a proof.
                    await self._later(task, error, ONCE_MORE_S)
                else:
                    # After a restart an outage may be seen before a driver is there to see it.
                    if is_away and OUTAGE_NOTE not in permit.notes:
                        await permit.note(OUTAGE_NOTE, to_text(self._clock.now()))
                    await self._later(task, error)
                was_away = is_away

    async def _ready(
        self, task: ActiveTask, change: AnyChange, turn: PowerTurn
    ) -> tuple[Driver, JournalledPermit[Plan] | NoChange]:
        """What is to be written, once it may be. A long wait makes a plan too old. Raises NotGrantedError too.

        How many ask the cloud for its leave is bounded: the deadline of those it has answered passes there, whether
        they have their turn by then or not. A place among them is taken before the turn, which nobody keeps while
        waiting for a place.
        """
        asks = False
        async with AsyncExitStack() as asking:
            while True:
                driver, plan = await self._look(
                    task, lambda driver: driver.plan(change), turn, may_wait=not asks
                )
                if isinstance(plan, NoChange):
                    return driver, plan
                _check_size(plan)
                planned_mono = self._clock.mono()
                permit = self._permit(task, plan, driver, turn)
                if task.needs_grant and not asks:
                    with task.waiting(self._clock):
                        await asking.enter_async_context(self._slots.asking(plan))
                    asks = True
                for wait in (permit.take_turn, permit.ask_grant):
                    await wait()
                    if self._clock.mono() - planned_mono > self._gate.policy.limits.identity_age_s:
                        break
                else:
                    return driver, permit
                task.log.info("It waited long until it might begin: the miner is looked at again.")

    async def _keep_awake_mode(
        self, task: ActiveTask, found: JournalledPermit[Plan] | NoChange
    ) -> None:
        """Before a miner is stopped: the mode to come back to. After a crash it is that of the plan made before."""
        plan = found.plan if isinstance(found, JournalledPermit) else _plan_of(task)
        mode = None if plan is None else awake_mode_of(plan.before.get(AWAKE_MODE))
        if mode is not None and task.record.miner is not None:
            await self._miners.keep_awake_mode(task.record.miner, mode)

    async def _prove(self, task: ActiveTask, driver: Driver, plan: Plan) -> Settlement:
        """A setting that a crash cut off from its proof, and that now shows: whether it also lasts is judged as if
        there had been no crash.
        """
        permit = self._permit(task, plan, None)
        try:
            return await self._verify(task, driver, plan, permit, None)
        except MinerError as error:
            return _unknown(error, plan)

    async def _look(
        self,
        task: ActiveTask,
        ask: Callable[[Driver], Awaitable[T]],
        turn: PowerTurn | None = None,
        *,
        may_wait: bool = True,
    ) -> tuple[Driver, T]:
        """Read what is there. What a crash left half done is looked at for as long as its limit lasts; a miner that
        seems to be only restarting, for a while: then it keeps no `turn` from others. `may_wait`: for another task that
        works at its address.
        """
        until_mono: float | None = None
        said, afresh = "", False
        while True:
            driver: Driver | None = None
            try:
                async with self._slots.looking():
                    task.started_mono = task.started_mono or self._clock.mono()
                    self._gate.may_run(task)
                    driver = await self._driver(task, afresh=afresh)
                    if self._addresses.take(task.id, driver.endpoint.host):
                        if until_mono is None:
                            _tell(task, driver)
                        return driver, await ask(driver)
                if not may_wait:  # it holds a place that others wait for
                    raise _moved()
                if turn is not None:
                    turn.give_back()
                await self._wait_for(task, driver)
                until_mono = None
            except NOT_YET as error:
                if turn is not None:
                    turn.give_back()
                if task.may_have_sent:
                    await self._later(task, error)
                    continue
                # It was known to be there: whether only its service is away, asking again who it is tells.
                gone = isinstance(error, UnreachableError) and driver is not None
                wait_s, now_mono = self._gate.policy.restart_wait_s, self._clock.mono()
                until_mono = now_mono + wait_s if until_mono is None else until_mono
                if not (gone or isinstance(error, PASSING)) or now_mono >= until_mono:
                    raise
                afresh = afresh or gone
                if str(error) != said:
                    said = str(error)
                    task.log.info(f"It may be restarting, it is looked at again: {said}")
                await self._later(task, error, min(LOOK_AGAIN_S, wait_s / 10))

    async def _wait_for(self, task: ActiveTask, driver: Driver) -> None:
        """Another task works at that address, of the same miner by another name."""
        host = driver.endpoint.host
        task.log.info(f"Another task works at {host}; this one waits for its end.")
        with task.waiting(self._clock):
            await self._addresses.left(host)

    async def _later(
        self, task: ActiveTask, error: MinerError, pause_s: float = LOOK_AGAIN_S
    ) -> None:
        # A miner that boots does not answer, and for a while it may answer oddly: not a verdict.
        log.info("task.not_yet", task=task.id, error=str(error)[:200])
        await self._clock.sleep(pause_s)

    def _permit(
        self, task: ActiveTask, plan: Plan, driver: Driver | None, turn: PowerTurn | None = None
    ) -> JournalledPermit[Plan]:
        planned_for = None if driver is None else _who(driver)

        async def look_again() -> None:
            await self._look_again(task, planned_for)

        return JournalledPermit(
            task,
            plan,
            journal=self._journal,
            gate=self._gate,
            slots=self._slots,
            grants=self._grants,
            clock=self._clock,
            look_again=look_again,
            turn=turn,
            writes=driver is not None,
        )

    async def _look_again(self, task: ActiveTask, planned_for: _Who | None) -> None:
        """Whether the miner still is who it was, where it was. A slot is held meanwhile, so it must be quick."""
        try:
            async with asyncio.timeout(WHO_S):
                now = await self._driver(task)
        except TimeoutError:
            raise UnreachableError(
                f"It did not say who it is within {WHO_S:g} s; nothing was sent. Try again."
            ) from None
        if _who(now) != planned_for:
            raise _moved()

    async def _driver(self, task: ActiveTask, *, afresh: bool = False) -> Driver:
        miner: MinerRef | None = task.record.miner
        if miner is None:
            raise BadParamsError("The task names no miner.")
        return await self._miners.driver_for(
            miner,
            max_age_s=0.0 if afresh else self._gate.policy.limits.identity_age_s,
            may_be_off=task.record.name == TaskName.MINING,
        )

    async def _apply(
        self, task: ActiveTask, driver: Driver, plan: Plan, permit: JournalledPermit[Plan]
    ) -> MinerError | None:
        """Write. Gives the error of a write that may have begun; raises one that certainly sent nothing."""
        try:
            async with self._slots.applying(plan):
                await driver.apply(plan, permit)
        except MinerError as error:
            if not task.writes:
                raise
            task.log.warning(f"Writing: {error}")
            return error
        task.log.info("Written; now looking whether it took effect.")
        return None

    async def _verify(
        self,
        task: ActiveTask,
        driver: Driver,
        plan: Plan,
        permit: JournalledPermit[Plan],
        refusal: MinerError | None,
    ) -> Settlement:
        try:
            evidence = await driver.verify(plan, permit)
        except VERDICTS as error:
            return from_error(error, before=plan.before)
        except UnsupportedError as error:
            # It changed into something that is only read, by the very firmware it was given perhaps.
            return _unknown(error, plan)
        except MinerError as error:
            if refusal is None and not task.writes:
                raise  # only watching: the caller looks again
            return _unknown(error, plan)
        return judged(evidence, refusal if isinstance(refusal, NAMING) else None)


def _plan_of(task: ActiveTask) -> Plan | None:
    """As the journal held it when this process found the task."""
    plan = task.record.plan
    return plan if isinstance(plan, Plan) else None


def _check_size(plan: Plan) -> None:
    """Before it goes to the journal. Raises MalformedError."""
    if len(msgspec.json.encode(plan)) > PLAN_BYTES:
        raise MalformedError(
            f"What the miner tells of itself is larger than {PLAN_BYTES} bytes; nothing was sent."
        )


def _tell(task: ActiveTask, driver: Driver) -> None:
    task.log.info(f"{driver.identity.model or driver.make} at {driver.endpoint.host}")


def _who(driver: Driver) -> _Who:
    return driver.endpoint, driver.identity.mac, driver.identity.firmware


def is_outage(error: MinerError) -> bool:
    """Whether an error says that the whole device is away, and not only a process on it."""
    return isinstance(error, UnreachableError) and not isinstance(error, ServiceAwayError)


def _moved() -> WrongDeviceError:
    return WrongDeviceError(
        "Its address or its firmware changed while the task waited its turn; nothing was sent. Try again."
    )


def _unknown(error: MinerError, plan: Plan) -> Settlement:
    """Other hands are named so: what they show says nothing of the miner that was meant."""
    is_other = isinstance(error, WrongDeviceError)
    return failed(
        error.code if is_other else ErrorCode.NOT_VERIFIED,
        f"The request was sent, but the miner could not be looked at afterwards: {error}",
        outcome=Outcome.UNKNOWN,
        evidence=Evidence(
            outcome=Outcome.UNKNOWN,
            verified=False,
            before=plan.before,
            after={},
            signal="none",
            seconds=0.0,
            reason=str(error),
        ),
    )
