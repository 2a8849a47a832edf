"""The reboot: asked for once, then watched from silence to the first seconds of the new life."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from contract.clock import to_text
from contract.errors import MinerError, PolicyRefusedError
from contract.outcome import Outcome
from drivers.base import Evidence, NoData, Permit, Proof, Reboot, TypedPlan
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.driver import MinerDriver
from drivers.protocol.values import rate_text
from drivers.watch import is_silent

HASHING_SHARE: Final = 0.05  # of its ideal rate: over this a reboot would cost something
_PROBE_EVERY_S: Final = 3.0

Driven = TypeVar("Driven", bound=MinerDriver)
Look = TypeVar("Look")


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen `since_s` device seconds after the order; at least so many where that is not known (`is_timed`)."""

    since_s: float
    is_timed: bool = True
    process: CounterSign  # what the mining process' own count shows
    system: CounterSign  # what the count since boot shows, where the miner tells it
    has_outage: bool  # a port that does not belong to the mining process was away
    answers: bool  # any counter could be read


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome` and `signal` as in the evidence."""

    outcome: Outcome
    signal: str
    reason: str | None = None


class RebootWay(Way[Driven, NoData], Generic[Driven, Look]):
    """A make says how it is looked at and told to, which port goes away with the device, and what its counters show."""

    changes = (Reboot,)
    data = NoData
    outage: ClassVar[Proof]  # until its latest time the miner may still go down
    boot: ClassVar[Proof]  # until its latest time it may still come back
    counter: ClassVar[str] = "Elapsed"  # what the make calls its process' own count
    rate_name: ClassVar[str] = "hashrate_hs"  # what evidence calls its rate
    probes_per_look: ClassVar[int]  # until it goes down a bare connect is enough, and costs it less

    @abstractmethod
    def port(self, miner: Driven) -> int:
        """The port to watch: not one of the mining process, which may restart by itself."""

    @abstractmethod
    async def look(self, miner: Driven) -> Look:
        """How it runs now. Raises as reads."""

    @abstractmethod
    async def order(self, miner: Driven, permit: Permit) -> None:
        """Send the order once. Most miners are gone before they answer. Raises as `Driver.apply`."""

    @abstractmethod
    def rate_hs(self, now: Look) -> float | None:
        """The hash rate; `None`: it does not say."""

    @abstractmethod
    def counters(self, now: Look | None) -> dict[str, Any]:
        """What it counts, as evidence holds it. `None`: it did not answer, so nothing."""

    @abstractmethod
    def signs(
        self, watch: Verification[Driven, NoData], now: Look | None
    ) -> tuple[CounterSign, CounterSign]:
        """What its mining process' own count shows, and its count since boot."""

    async def is_hashing(self, miner: Driven, now: Look) -> bool:
        """Whether it works: over 5 % of its ideal rate, or at a rate that its boards contradict. What cannot be read
        counts as not hashing. Raises as reads.
        """
        rate_hs = self.rate_hs(now)
        return works(miner, rate_hs) or (bool(rate_hs) and await _is_in_doubt(miner))

    def rate_words(self, now: Look) -> str:
        """The rate of one that hashes, for a sentence."""
        return rate_text(self.rate_hs(now) or 0.0)

    async def plan(self, miner: Driven, change: Reboot) -> TypedPlan[NoData]:
        """See how long it has been running. Raises PolicyRefusedError while it hashes, unless forced."""
        now = await self.look(miner)
        is_hashing = await self.is_hashing(miner, now)
        if is_hashing and not change.force and not miner.allow_plain_reboot:
            raise PolicyRefusedError(
                f"it is hashing ({self.rate_words(now)}): a reboot would cost that work; "
                "repeat with force to do it anyway"
            )
        before = {
            **self.counters(now),
            self.rate_name: self.rate_hs(now),
            "hashing": is_hashing,
            "read_at": to_text(miner.clock.now()),
        }
        return TypedPlan(change=change, before=before, data=NoData())

    async def apply(self, miner: Driven, plan: TypedPlan[NoData], permit: Permit) -> None:
        del plan
        await self.order(miner, permit)

    async def verify(self, watch: Verification[Driven, NoData]) -> Evidence:
        """Watch the port go and come back, then its counts begin again."""
        miner = watch.miner

        async def judged(now: Look | None) -> Evidence | None:
            verdict = self.judge(watch, now)
            if verdict is None:
                return None
            after = self.counters(now) | watch.outage
            return watch.concluded(verdict.outcome, verdict.signal, after, verdict.reason)

        return await watch.through_restart(
            lambda: self.look(miner),
            judged,
            port=self.port(miner),
            give_up_s=self.boot.latest_s,
            every_s=_PROBE_EVERY_S,
            is_look_due=lambda probes: self.is_look_due(watch, probes),
        )

    def is_look_due(self, watch: Verification[Driven, NoData], probes: int) -> bool:
        """Whether after so many probes a look is worth what it costs the miner."""
        is_down_awaited = not watch.was_away and watch.device_s < self.outage.latest_s
        return not is_down_awaited or probes % self.probes_per_look == 1

    def judge(self, watch: Verification[Driven, NoData], now: Look | None) -> Verdict | None:
        """What the counts and the outage say, or `None` while it is too early."""
        process, system = self.signs(watch, now)
        signs = Signs(
            since_s=watch.device_s,
            is_timed=watch.since_s is not None,
            process=process,
            system=system,
            has_outage=watch.was_away,
            answers=any(value is not None for value in self.counters(now).values()),
        )
        return judge(signs, outage=self.outage, boot=self.boot, counter=self.counter)


def works(miner: MinerDriver, rate_hs: float | None) -> bool:
    """Whether a rate is over 5 % of the ideal one; over 0 where that is not known."""
    return bool(rate_hs) and (rate_hs or 0.0) > HASHING_SHARE * (miner.ideal_hs or 0.0)


def judge(signs: Signs, *, outage: Proof, boot: Proof, counter: str = "Elapsed") -> Verdict | None:
    """The verdict, or `None` while it is too early to say. No I/O: signs in, a word out. `outage`, `boot` and `counter`
    as in RebootWay.
    """
    if signs.system is CounterSign.RESTARTED and (
        signs.has_outage or signs.process is CounterSign.RESTARTED
    ):
        return Verdict(outcome=Outcome.DONE, signal=boot.signal)
    if (
        signs.has_outage
        and signs.process is CounterSign.RESTARTED
        and signs.system is not CounterSign.RUNS_ON
    ):
        return Verdict(outcome=Outcome.DONE, signal=outage.signal)
    if signs.since_s < outage.latest_s:
        return None
    # It has been running since before the order, and what was ordered would have begun by now.
    if not signs.has_outage and signs.system is CounterSign.RUNS_ON:
        return _not_done(boot.signal)
    if (
        not signs.has_outage
        and signs.process is CounterSign.RUNS_ON
        and signs.system is not CounterSign.RESTARTED
    ):
        return _not_done(f"{counter} runs on")
    if signs.since_s < boot.latest_s and (
        signs.has_outage or signs.process is not CounterSign.RESTARTED
    ):
        return None  # still booting, or about to
    return Verdict(outcome=Outcome.UNKNOWN, signal="none", reason=_why_unknown(signs))


# --- private -------------------------------------------------------------------------------------


async def _is_in_doubt(miner: MinerDriver) -> bool:
    try:
        return (await miner.read()).moving.hashrate_doubt is not None
    except MinerError as error:
        if not is_silent(error):
            raise
        return False


def _why_unknown(signs: Signs) -> str:
    if not signs.has_outage and signs.process is CounterSign.RESTARTED:
        return (
            "the mining process began again since the order, but nobody saw the device go down: "
            "it rebooted, or only its process restarted"
        )
    if not signs.answers:
        where = (
            "went down and did not come back" if signs.has_outage else "does not answer any more"
        )
        return f"the miner {where}: check it on site"
    if not signs.is_timed:
        return (
            "the host of the agent was restarted since the order, so the miner's clocks "
            "cannot be compared with ours: look at the miner"
        )
    return "the miner's own clocks contradict each other or the outage seen"


def _not_done(signal: str) -> Verdict:
    return Verdict(outcome=Outcome.NOT_DONE, signal=signal, reason="the miner did not reboot")
