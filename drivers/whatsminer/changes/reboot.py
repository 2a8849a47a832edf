"""The reboot of a WhatsMiner: its API goes and comes back, and its control board counts from the start again."""

from __future__ import annotations

from typing import Any, Final

from drivers.base import NoData, Permit, Proof, Strength
from drivers.changes.reboot import RebootWay
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import api_port, forget_login, give
from drivers.whatsminer.changes.state import WhatsminerState
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import WRITABLE

# The order is carried out at once; a miner still up then will stay so.
OUTAGE: Final = Proof(
    "reboot", "outage of its API, then a smaller Elapsed", Strength.BOOT, 3.0, 120.0
)
BOOT: Final = Proof("reboot", "smaller time since boot", Strength.BOOT, 20.0, 540.0)

_QUIET_S: Final = 3.0


class WhatsminerReboot(RebootWay[Whatsminer, WhatsminerState]):
    """Its API daemon outlives the mining process, and tells the time since boot."""

    proofs = dict.fromkeys(WRITABLE, (OUTAGE, BOOT))
    outage = OUTAGE
    boot = BOOT
    probes_per_look = 5

    def port(self, miner: Whatsminer) -> int:
        return api_port(miner)

    async def look(self, miner: Whatsminer) -> WhatsminerState:
        return await state.look(miner)

    async def order(self, miner: Whatsminer, permit: Permit) -> None:
        try:
            await give(miner, permit, v2={"cmd": "reboot"}, v3=("set.system.reboot", None))
        finally:
            forget_login(miner)
            miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))

    def rate_hs(self, now: WhatsminerState) -> float | None:
        return now.hashrate_hs

    def counters(self, now: WhatsminerState | None) -> dict[str, Any]:
        now = now or WhatsminerState()
        return {"uptime_s": now.uptime_s, "elapsed_s": now.elapsed_s}

    def signs(
        self, watch: Verification[Whatsminer, NoData], now: WhatsminerState | None
    ) -> tuple[CounterSign, CounterSign]:
        now = now or WhatsminerState()
        return watch.sign("elapsed_s", now.elapsed_s), watch.sign("uptime_s", now.uptime_s)


WAY: Final = WhatsminerReboot()
