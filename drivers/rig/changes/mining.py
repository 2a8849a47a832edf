"""Mining of a rig switched off and on: every program of it is paused where it can be, else ended, and resumed or begun.

Off is believed once each says that it is paused and the rate it shows falls, or once its process is gone and nothing
answers at its port; and while that lasts.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from contract.errors import (
    AuthFailedError,
    MalformedError,
    MinerError,
    OutcomeUnknownError,
    RefusedError,
    ServiceAwayError,
    UnsupportedError,
)
from drivers.base import Evidence, NoChange, Permit, Proof, Resume, Strength, Suspend, TypedPlan
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.protocol.values import rate_text
from drivers.rig import processes
from drivers.rig.changes import state
from drivers.rig.changes.state import SeenProgram
from drivers.rig.driver import RigDriver
from drivers.rig.generations import LINUX
from drivers.rig.programs import control
from drivers.rig.protocol import xmrig
from drivers.rig.spec import ProgramSpec
from drivers.watch import pause

HOLDS_S: Final = 15.0  # how long off must last: something else may begin a program that ended
_OFF_WITHIN_S: Final = 150.0  # systemd gives a process 90 s to end before it kills it
STOPS: Final = Proof(
    "suspend",
    "paused with a falling rate, or its process gone",
    Strength.PROCESS,
    HOLDS_S,
    _OFF_WITHIN_S + HOLDS_S,
)
# Building the dataset of an algorithm can take minutes.
STARTS: Final = Proof("resume", "hash rate of every program", Strength.PROCESS, 5.0, 420.0)
REFUSED_NOTE: Final = "refused"  # why one of several programs did not take its order
NO_POOL: Final = "running and not paused"

_LOOK_EVERY_S: Final = 5.0
_FADES_S: Final = 15.0  # so long after a pause a rate over 10 s shows it
# Of the rate before, which may be a mean over a minute.
_FALLEN: Final = 0.8
_NONE: Final = 0.05  # what is left of a rate that has faded
_PASSES: Final = (
    RefusedError, AuthFailedError, UnsupportedError, OutcomeUnknownError, ServiceAwayError, MalformedError,
)  # fmt: skip


class ProgramVerb(StrEnum):
    """What a program is told."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    START = "start"


class ProgramOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order to the program at a port. `shown_hs` is the rate that it showed before, where it told one: at a resume
    one that may still fade.
    """

    port: int
    verb: ProgramVerb
    shown_hs: float | None = None


class RigMiningData(msgspec.Struct, frozen=True, kw_only=True):
    """What its programs are told, in order; those that are as wished are told nothing."""

    orders: tuple[ProgramOrder, ...]


_Watch = Verification[RigDriver, RigMiningData]
_States = tuple[SeenProgram, ...]


class RigMining(Way[RigDriver, RigMiningData]):
    """All programs of the rig are meant."""

    changes = (Suspend, Resume)
    data = RigMiningData
    proofs: ClassVar = {LINUX: (STOPS, STARTS)}

    async def plan(
        self, miner: RigDriver, change: Suspend | Resume
    ) -> TypedPlan[RigMiningData] | NoChange:
        """Ask each program. Raises UnsupportedError for a rig without programs, and for a program that can neither be
        paused nor ended.
        """
        spec = miner.rig_wire.spec
        if not spec.programs:
            raise UnsupportedError(
                f"no program of the rig {spec.name} is known: name them as `programs` in [[rigs]]"
            )
        states = await state.look(miner)
        before = state.shown(states)
        is_resume = isinstance(change, Resume)
        if is_resume:
            left = [each for each in states if not each.is_mining]
        else:
            fading = await _fading(miner, states)
            left = [each for each in states if not each.is_off or each.spec.port not in fading]
        if not left:
            return NoChange(change=change, before=before)
        orders = tuple(
            order for each in left for order in (_wake(each) if is_resume else _rest(each))
        )
        data = RigMiningData(orders=orders)
        return TypedPlan(change=change, before=before, data=data, raises_power=is_resume)

    async def apply(self, miner: RigDriver, plan: TypedPlan[RigMiningData], permit: Permit) -> None:
        """Tell each program. One that does not take it does not keep the others from being told: its error is raised
        then, and what it said is kept for the evidence, where others took theirs.
        """
        trouble: MinerError | None = None
        was_told = False
        for order in plan.data.orders:
            try:
                await _tell(miner, order, permit)
            except _PASSES as error:
                trouble = trouble or error
            else:
                was_told = True
        if trouble is None:
            return
        if not was_told:
            raise trouble
        await permit.note(REFUSED_NOTE, str(trouble))
        raise OutcomeUnknownError(f"not every program took it: {trouble}")

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until every program is as wished."""
        if isinstance(watch.plan.change, Suspend):
            return await _stays_off(watch)
        seen = await watch.until(
            lambda: state.look(watch.miner),
            lambda now: all(_mines(watch, each) for each in now),
            latest_s=STARTS.latest_s,
        )
        after = state.shown(seen.found)
        if seen.found is None or seen.trouble is not None:
            return watch.unseen(seen.trouble, after)
        if seen.is_enough:
            return watch.done(STARTS.signal, after)
        return _not_on(watch, seen.found)


WAY: Final = RigMining()


# --- what is ordered -----------------------------------------------------------------------------


async def _fading(miner: RigDriver, states: _States) -> set[int]:
    """The ports of those whose rate is none, or falls: one that says that it is paused may hash on. Looks once more
    where that has to be seen.
    """
    rates = {each.spec.port: each.shown_hs for each in states}
    if any(each.is_paused and each.shown_hs for each in states):
        await pause(miner, _FADES_S)
        states = await state.look(miner)
    return {
        each.spec.port
        for each in states
        if not each.shown_hs or each.shown_hs <= _FALLEN * (rates[each.spec.port] or 0.0)
    }


def _rest(now: SeenProgram) -> tuple[ProgramOrder, ...]:
    """How it is brought to rest. Raises UnsupportedError, or why it cannot be told."""
    if now.may_pause:
        order = ProgramOrder(port=now.spec.port, verb=ProgramVerb.PAUSE, shown_hs=now.shown_hs)
        return (order,)
    _check_owned(now)
    return (ProgramOrder(port=now.spec.port, verb=ProgramVerb.STOP),)


def _wake(now: SeenProgram) -> tuple[ProgramOrder, ...]:
    """How it is brought to mine. One that runs, is not paused and does not mine may be waiting for its pool: what it is
    told then does no harm. Raises as `_rest`.
    """
    port = now.spec.port
    if now.may_pause:
        return (ProgramOrder(port=port, verb=ProgramVerb.RESUME, shown_hs=now.shown_hs),)
    _check_owned(now)
    start = ProgramOrder(port=port, verb=ProgramVerb.START)
    # Paused by somebody, and no order of ours reaches it: it is restarted.
    return (ProgramOrder(port=port, verb=ProgramVerb.STOP), start) if now.is_paused else (start,)


def _check_owned(now: SeenProgram) -> None:
    """Raise why it can neither be paused nor ended."""
    if now.process is not None:
        return
    if isinstance(now.trouble, ServiceAwayError) and now.spec.token is not None:
        raise now.trouble  # it may be restarting, and say then that it can be paused
    raise UnsupportedError(
        f"{now.name} can neither be paused (XMRig can, with its token and an API that is not restricted) nor ended: "
        f"{now.unknown}"
    )


async def _tell(miner: RigDriver, order: ProgramOrder, permit: Permit) -> None:
    wire = miner.rig_wire
    spec = _spec_of(wire.spec.programs, order.port)
    match order.verb:
        case ProgramVerb.PAUSE:
            await control(wire, spec, xmrig.PAUSE, permit)
        case ProgramVerb.RESUME:
            await control(wire, spec, xmrig.RESUME, permit)
        case ProgramVerb.STOP:
            await processes.stop(wire, spec, permit)
        case ProgramVerb.START:
            await processes.start(wire, spec, permit)


def _spec_of(programs: Iterable[ProgramSpec], port: int) -> ProgramSpec:
    for each in programs:
        if each.port == port:
            return each
    raise UnsupportedError(f"no program with the port {port} is named in [[rigs]] any more")


# --- what shows it -------------------------------------------------------------------------------


async def _stays_off(watch: _Watch) -> Evidence:
    miner = watch.miner
    off = await watch.until(
        lambda: state.look(miner), lambda now: _rests(watch, now), latest_s=_OFF_WITHIN_S
    )
    if not off.is_enough or off.found is None:
        return _not_off(watch, off.found, off.trouble)
    off_since_s = watch.device_s
    await watch.pause(_LOOK_EVERY_S)
    held = await watch.until(
        lambda: state.look(miner),
        lambda now: not _rests(watch, now) or watch.device_s - off_since_s >= HOLDS_S,
        latest_s=off_since_s + HOLDS_S + _LOOK_EVERY_S,
    )
    if held.found is None or held.trouble is not None:
        return watch.unseen(held.trouble, state.shown(held.found or off.found))
    after = state.shown(held.found)
    if _rests(watch, held.found):
        if working := _working_on(watch, off.found, held.found):
            words = ", ".join(map(_rate_words, working))
            return watch.unknown(
                after, f"paused by its own word, and its rate does not fall: {words}"
            )
        return watch.done(STOPS.signal, after)
    names = ", ".join(each.name for each in held.found if not each.is_off)
    return watch.unknown(
        after,
        f"{names or 'a program'} was off and began again: something else on the rig starts it",
    )


def _rests(watch: _Watch, now: _States) -> bool:
    return all(each.is_off and _has_fallen(watch, each) for each in now)


def _has_fallen(watch: _Watch, now: SeenProgram) -> bool:
    """Whether the rate shown follows a pause that was ordered. A rate that was not told proves nothing, and denies
    nothing.
    """
    orders = {each.port: each for each in watch.plan.data.orders}
    order = orders.get(now.spec.port)
    if order is None or not order.shown_hs or now.shown_hs is None:
        return True
    return now.shown_hs <= _FALLEN * order.shown_hs


def _working_on(watch: _Watch, first: _States, last: _States) -> list[SeenProgram]:
    """Those whose rate fell once, for they are slower perhaps, and did not go on falling while off was to last."""
    orders = {each.port: each for each in watch.plan.data.orders}
    rates = {each.spec.port: each.shown_hs for each in first}
    found = []
    for each in last:
        order, began_hs = orders.get(each.spec.port), rates.get(each.spec.port)
        if order is not None and order.shown_hs and began_hs and each.shown_hs:
            is_falling = each.shown_hs <= _FALLEN * began_hs
            if not is_falling and each.shown_hs > _NONE * order.shown_hs:
                found.append(each)
    return found


def _mines(watch: _Watch, now: SeenProgram) -> bool:
    """Whether it hashes, by a rate that is not that of before its pause: one that rises, or that has not faded."""
    if not now.is_mining:
        return False
    resumed = (each for each in watch.plan.data.orders if each.verb is ProgramVerb.RESUME)
    shown_hs = next((each.shown_hs for each in resumed if each.port == now.spec.port), None)
    if not shown_hs or now.shown_hs is None or now.shown_hs > shown_hs:
        return True
    return watch.device_s >= _FADES_S and now.shown_hs > _FALLEN * shown_hs


def _not_off(watch: _Watch, now: _States | None, trouble: MinerError | None) -> Evidence:
    after = state.shown(now)
    if now is None or trouble is not None:
        return watch.unseen(trouble, after)
    awake = [each for each in now if not each.is_off]
    if not awake:
        words = ", ".join(_rate_words(each) for each in now if not _has_fallen(watch, each))
        return watch.unknown(after, f"paused by its own word, and its rate does not fall: {words}")
    if any(each.report is None for each in awake):
        names = ", ".join(each.name for each in awake if each.report is None)
        return watch.unknown(after, f"neither its API nor its process shows how it is: {names}")
    names = ", ".join(each.name for each in awake)
    reason = f"{_of_all(awake, now)}still not paused or ended: {names}{_refusal(watch)}"
    return watch.not_done(STOPS.signal, after, reason)


def _not_on(watch: _Watch, now: _States) -> Evidence:
    after = state.shown(now)
    idle = [each for each in now if not _mines(watch, each)]
    if all(each.awaits_pool for each in idle):
        names = ", ".join(each.name for each in idle)
        reason = f"no connection to its pool, so nothing to hash: {names}"
        return watch.done(NO_POOL, after, reason)
    resting = [each for each in idle if each.is_off]
    if resting:
        names = ", ".join(each.name for each in resting)
        reason = f"{_of_all(resting, now)}still off: {names}{_refusal(watch)}"
        return watch.not_done(STARTS.signal, after, reason)
    names = ", ".join(each.name for each in idle if not each.awaits_pool)
    return watch.unknown(after, f"running as far as can be told, and not hashing: {names}")


def _of_all(found: list[SeenProgram], now: _States) -> str:
    return f"{len(found)} of {len(now)} programs: " if len(now) > 1 else ""


def _refusal(watch: _Watch) -> str:
    said = watch.permit.notes.get(REFUSED_NOTE)
    return "" if said is None else f"; {said}"


def _rate_words(now: SeenProgram) -> str:
    return f"{now.name} shows {rate_text(now.shown_hs or 0.0)}"
