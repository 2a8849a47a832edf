"""The reboot of an IceRiver, watched until it counts its running time from the start again.

That count is the mining daemon's. That the whole device restarted shows by its web server, another process, being away
meanwhile.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from contract.errors import MinerError
from contract.miner import PowerMode
from contract.outcome import Outcome
from drivers.base import NoData, Permit, Proof, Strength, TypedPlan
from drivers.changes.reboot import RebootWay, Verdict
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.iceriver.changes import state
from drivers.iceriver.changes.state import IceriverState
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.models import STOCK
from drivers.iceriver.protocol.web import REBOOT
from drivers.watch import is_silent

# A miner still up then will stay so.
OUTAGE: Final = Proof(
    "reboot", "outage of its web server, then a smaller runtime", Strength.BOOT, 3.0, 180.0
)
# From a crash that left less time than this nothing was missed.
RUNTIME: Final = Proof(
    "reboot", "order taken, then a smaller runtime", Strength.PROCESS, 30.0, 420.0
)

ANSWERED_NOTE: Final = "answered"  # the miner took the order
_QUIET_S: Final = 3.0

_Watch = Verification[Iceriver, NoData]


class IceriverReboot(RebootWay[Iceriver, IceriverState]):
    """Its rate is an average over 5 minutes, so a miner that stopped just now still counts as hashing unless it says
    that it sleeps, and one that began just now does not yet.
    """

    proofs: ClassVar = {STOCK: (OUTAGE, RUNTIME)}
    outage = OUTAGE
    boot = RUNTIME
    counter = "runtime"
    rate_name = "hashrate_5m_hs"
    probes_per_look = 10  # a look costs its web server memory that it never gets back

    def port(self, miner: Iceriver) -> int:
        return miner.endpoint.http_port

    async def look(self, miner: Iceriver) -> IceriverState:
        return await state.look(miner)

    async def order(self, miner: Iceriver, permit: Permit) -> None:
        await restart(miner, permit)

    async def apply(self, miner: Iceriver, plan: TypedPlan[NoData], permit: Permit) -> None:
        await super().apply(miner, plan, permit)
        await permit.note(ANSWERED_NOTE, True)

    def rate_hs(self, now: IceriverState) -> float | None:
        return now.hashrate_hs

    def rate_words(self, now: IceriverState) -> str:
        return f"{super().rate_words(now)} over 5 minutes"

    async def is_hashing(self, miner: Iceriver, now: IceriverState) -> bool:
        works = await super().is_hashing(miner, now)
        if works and state.rests(now):
            return not await _is_asleep(miner)
        return works

    def counters(self, now: IceriverState | None) -> dict[str, Any]:
        return {"elapsed_s": now.runtime_s if now else None}

    def signs(self, watch: _Watch, now: IceriverState | None) -> tuple[CounterSign, CounterSign]:
        # No IceRiver tells the time since its boot.
        return watch.sign("elapsed_s", now.runtime_s if now else None), CounterSign.UNCLEAR

    def is_look_due(self, watch: _Watch, probes: int) -> bool:
        return _began_late(watch) or super().is_look_due(watch, probes)

    def judge(self, watch: _Watch, now: IceriverState | None) -> Verdict | None:
        """What the running time and the outage say, or `None` while it is too early. Where nobody looked when the
        outage was to be seen, its absence says nothing: then a running time that began again is the proof, if the miner
        is known to have taken the order, for some restart by themselves every half hour.
        """
        process, _ = self.signs(watch, now)
        is_taken = watch.permit.notes.get(ANSWERED_NOTE)
        if _began_late(watch) and process is CounterSign.RESTARTED and is_taken:
            return Verdict(outcome=Outcome.DONE, signal=RUNTIME.signal)
        return super().judge(watch, now)


WAY: Final = IceriverReboot()


async def restart(miner: Iceriver, permit: Permit) -> None:
    """The order itself. Most miners are gone before they answer. Raises as `IceriverWeb.order`."""
    try:
        await miner.web.order(*REBOOT, {}, permit)
    finally:
        miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))


def _began_late(watch: _Watch) -> bool:
    return watch.began_s > RUNTIME.earliest_s


async def _is_asleep(miner: Iceriver) -> bool:
    """Whether it says so; one that does not tell counts as awake."""
    try:
        return (await state.config(miner)).mode is PowerMode.SLEEP
    except MinerError as error:
        if not is_silent(error):
            raise
        return False
