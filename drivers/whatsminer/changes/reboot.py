"""The reboot of a WhatsMiner: its API goes and comes back, and its control board counts from the start again."""

from __future__ import annotations

from typing import Any, Final

from drivers.base import Effect, NoData
from drivers.changes.reboot import RebootWay
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import api_port, forget_login, give
from drivers.whatsminer.changes.state import WhatsminerState
from drivers.whatsminer.driver import Whatsminer

_QUIET_S: Final = 3.0


class WhatsminerReboot(RebootWay[Whatsminer, WhatsminerState]):
    """Its API daemon outlives the mining process, and tells the time since boot."""

    outage = proofs.OUTAGE
    boot = proofs.BOOT
    probes_per_look = 5

    def port(self, miner: Whatsminer) -> int:
        return api_port(miner)

    async def look(self, miner: Whatsminer) -> WhatsminerState:
        return await state.look(miner)

    async def order(self, miner: Whatsminer, effect: Effect) -> None:
        try:
            await give(miner, effect, v2={"cmd": "reboot"}, v3=("set.system.reboot", None))
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
