"""The reboot of an AntMiner: its web server, which is no part of the mining process, is watched go and come back."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from contract.errors import UnsupportedError
from contract.miner import Reading
from drivers.antminer.changes.orders import is_old, reading_or_none, system_info
from drivers.antminer.changes.orders import judge as judge_answer
from drivers.antminer.changes.uptime import system_sign
from drivers.antminer.driver import Antminer
from drivers.antminer.models import NEW_BM, NEW_GOD, OLD
from drivers.base import NoData, Permit, Proof, Strength
from drivers.changes.reboot import RebootWay, works
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.protocol.values import rate_text

# Images of 2024 on stop the miner and wait 50 s first.
OUTAGE: Final = Proof(
    "reboot", "outage of the web port, then a smaller Elapsed", Strength.BOOT, 3.0, 180.0
)
BOOT: Final = Proof("reboot", "uptime of the system", Strength.BOOT, 30.0, 540.0)
ELAPSED: Final = Proof("reboot", "smaller Elapsed", Strength.PROCESS, 30.0, 540.0)

QUIET_S: Final = 10.0


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """A miner at one moment: seconds of its mining process, words of its system's uptime, and how fast it hashes."""

    elapsed_s: float | None = None
    system: str | None = None
    hashrate_hs: float | None = None
    hashes: bool = False


class AntminerReboot(RebootWay[Antminer, Clocks]):
    """A process restart is not a reboot; only the system's own uptime (old generation) or an outage of the web server
    shows one.
    """

    proofs: ClassVar = {
        OLD: (BOOT, OUTAGE, ELAPSED),
        NEW_BM: (OUTAGE, ELAPSED),
        NEW_GOD: (OUTAGE, ELAPSED),
    }
    outage = OUTAGE
    boot = BOOT
    probes_per_look = 10  # a script costs an old board seconds

    def port(self, miner: Antminer) -> int:
        return miner.endpoint.http_port

    async def look(self, miner: Antminer) -> Clocks:
        # That its web side takes our password is seen on the way.
        info = await system_info(miner)
        return clocks_of(miner, info, await reading_or_none(miner))

    def rate_hs(self, now: Clocks) -> float | None:
        return now.hashrate_hs

    def rate_words(self, now: Clocks) -> str:
        return "at a rate in doubt" if now.hashrate_hs is None else rate_text(now.hashrate_hs)

    async def is_hashing(self, miner: Antminer, now: Clocks) -> bool:
        return now.hashes if now.hashrate_hs is None else works(miner, now.hashrate_hs)

    async def order(self, miner: Antminer, permit: Permit) -> None:
        """GET first; some builds want a POST and say so without doing anything."""
        try:
            for method in ("GET", "POST"):
                response = await miner.cgi.act(method, "reboot.cgi", b"", permit)
                if is_refused_method(response.status) and method == "GET":
                    continue
                if response.status == 404:
                    raise UnsupportedError("this firmware has no reboot.cgi")
                judge_answer(response, "reboot.cgi")
                return
        finally:
            # Within a second or so another order would overwrite this one in the miner's mailbox.
            miner.wire.quiet_for(miner.timing.device_s(QUIET_S))

    def counters(self, now: Clocks | None) -> dict[str, Any]:
        now = now or Clocks()
        return {"elapsed_s": now.elapsed_s, "system_uptime": now.system}

    def signs(
        self, watch: Verification[Antminer, NoData], now: Clocks | None
    ) -> tuple[CounterSign, CounterSign]:
        now = now or Clocks()
        before = watch.plan.before.get("system_uptime")
        system = system_sign(before, now.system, watch.since_s, watch.slack_s)
        return watch.sign("elapsed_s", now.elapsed_s), system


WAY: Final = AntminerReboot()


def is_refused_method(status: int) -> bool:
    """Whether a status says that the script is not there under this method: nothing was executed."""
    return status in (404, 405)


def clocks_of(miner: Antminer, info: dict[str, Any], reading: Reading | None) -> Clocks:
    """The clocks as read. Only the old generation tells its system's uptime."""
    uptime = info.get("uptime") if is_old(miner) else None
    moving = reading.moving if reading else None
    return Clocks(
        elapsed_s=moving.uptime_s if moving else None,
        system=str(uptime) or None if isinstance(uptime, str | int) else None,
        hashrate_hs=moving.hashrate_hs if moving else None,
        hashes=moving.hashes if moving else False,
    )
