"""Looking again at a change that was made: how long ago it was, what the miner shows, and the evidence of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from contract.clock import to_text
from contract.errors import MinerError
from contract.outcome import Outcome
from drivers.base import Data, Effect, Evidence, TypedPlan
from drivers.changes.uptime import CounterSign, sign_of
from drivers.watch import OUTAGE_NOTE, Watch, Watched, is_silent

_PROBE_EVERY_S: Final = 3.0

Miner = TypeVar("Miner", bound=Watched)
T = TypeVar("T")


class Verification(Watch, Generic[Miner, Data]):
    """The watch over one change of one miner, from the order to the evidence of what became of it."""

    def __init__(self, miner: Miner, plan: TypedPlan[Data], effect: Effect) -> None:
        super().__init__(miner, effect)
        self.miner: Miner = miner
        self.plan = plan
        self.effect = effect
        self.began_s = self.device_s
        """When this watch began, in device seconds after the order: late after a crash of the agent."""

    # --- what became of it -----------------------------------------------------------------------

    def done(self, signal: str, after: dict[str, Any], reason: str | None = None) -> Evidence:
        """It was done. `signal` "none": the miner itself showed nothing, and `reason` says what is held for a proof."""
        return self.concluded(Outcome.DONE, signal, after, reason)

    def not_done(self, signal: str, after: dict[str, Any], reason: str) -> Evidence:
        """The miner shows by `signal` that it was not."""
        return self.concluded(Outcome.NOT_DONE, signal, after, reason)

    def unknown(self, after: dict[str, Any], reason: str | None, signal: str = "none") -> Evidence:
        """Nobody knows."""
        return self.concluded(Outcome.UNKNOWN, signal, after, reason)

    def unseen(
        self,
        trouble: MinerError | None,
        after: dict[str, Any] | None = None,
        *,
        could_not: str = "look again",
    ) -> Evidence:
        """Nobody knows, for the last look failed."""
        return self.unknown(after or {}, f"could not {could_not}: {trouble}")

    def concluded(
        self, outcome: Outcome, signal: str, after: dict[str, Any], reason: str | None
    ) -> Evidence:
        """The evidence of any of these."""
        return Evidence(
            outcome=outcome,
            verified=outcome is not Outcome.UNKNOWN and signal != "none",
            before=self.plan.before,
            after=after,
            signal=signal,
            seconds=round(self.seconds, 3),
            reason=reason,
        )

    # --- the silence of a device that restarts ---------------------------------------------------

    @property
    def was_away(self) -> bool:
        """Whether the watched port was seen away since the order."""
        return OUTAGE_NOTE in self.effect.notes

    def sign(self, counter: str, now_s: float | None) -> CounterSign:
        """What a counter shows, of which the evidence before holds what it had then. That is carried on to the order,
        for a plan may wait for its turn.
        """
        before_s = self.plan.before.get(counter)
        if before_s is not None:
            before_s += self.ahead_s(self.plan.before.get("read_at"))
        return sign_of(before_s, now_s, self.since_s, self.slack_s)

    @property
    def outage(self) -> dict[str, Any]:
        """When that was, as evidence holds it; {} if it was not seen."""
        notes = self.effect.notes
        return {OUTAGE_NOTE: notes[OUTAGE_NOTE]} if OUTAGE_NOTE in notes else {}

    async def through_restart(
        self,
        look: Callable[[], Awaitable[T]],
        judge: Callable[[T | None], Awaitable[Evidence | None]],
        *,
        port: int,
        give_up_s: float,
        every_s: float,
        is_look_due: Callable[[int], bool] = lambda _: True,
    ) -> Evidence:
        """Watch `port` go and come back, and look in between, until `judge` knows what to make of what a look found
        (`None`: the miner is silent). Until `give_up_s` device seconds after the order a port that is away is only
        waited for. `is_look_due` says after how many probes a look is worth what it costs the miner.
        """
        probes = 0
        while True:
            await self._until_port_answers(port, give_up_s)
            probes += 1
            if is_look_due(probes):
                found: T | None = None
                try:
                    found = await look()
                except MinerError as error:
                    if not is_silent(error):
                        return self.unseen(error)
                if (evidence := await judge(found)) is not None:
                    return evidence
            await self.pause(every_s)

    async def _until_port_answers(self, port: int, give_up_s: float) -> None:
        """That it was away is noted durably, for this is the proof a crash would lose."""
        while not await self.miner.wire.probe(port):
            if not self.was_away:
                await self.effect.note(OUTAGE_NOTE, to_text(self.miner.clock.now()))
            if self.device_s >= give_up_s:
                return
            await self.pause(_PROBE_EVERY_S)


def same_version(left: str | None, right: str | None) -> bool:
    """Whether two version texts mean the same, blanks and case aside."""
    if not left or not right:
        return False
    return " ".join(left.split()).lower() == " ".join(right.split()).lower()
