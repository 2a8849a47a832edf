"""The part of the playbook: what the rig that is the agent's host mines, and what the monitor wishes of it then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import msgspec

from agent.demo.audit import Witnessed, mining_process
from agent.demo.host_rig import PLAYBOOK, HostRig
from agent.demo.monitor import Monitor
from agent.demo.operator import Operator
from agent.demo.report import PlaybookReport
from agent.demo.stage import Stage
from contract.clock import Clock
from contract.rigmonitor.playbook import MiningWish

_T = TypeVar("_T")


class Until(Protocol):
    """Looks until something is found."""

    async def __call__(self, look: Callable[[], Awaitable[_T | None]], what: str) -> _T: ...


class PlaybookWish(msgspec.Struct, frozen=True):
    """What the monitor wishes of the rig from now on."""

    note: str
    expected: MiningWish


# The first comes with the playbook itself.
_WISHES: Final = (
    PlaybookWish("a playbook: mine with XMRig", MiningWish.MINING),
    PlaybookWish("its expected_status: stop", MiningWish.STOP),
    PlaybookWish("its expected_status: mining", MiningWish.MINING),
)


class PlaybookPart:
    """Plays it once. What was wished when is `witnessed` then, for the audit."""

    def __init__(self, stage: Stage, operator: Operator, clock: Clock, until: Until) -> None:
        self.witnessed: list[Witnessed] = []
        self._stage, self._operator, self._clock, self._until = stage, operator, clock, until

    async def play(self) -> tuple[PlaybookReport, ...]:
        """Wish one after the other, and wait each time until it is so. Raises StageError."""
        monitor, host = self._stage.monitor, self._stage.host_rig
        assert monitor is not None
        assert host is not None
        async with Operator(self._stage, monitor.farm_id) as operator:
            return tuple([await self._wished(each, operator, monitor, host) for each in _WISHES])

    async def _wished(
        self, wish: PlaybookWish, operator: Operator, monitor: Monitor, host: HostRig
    ) -> PlaybookReport:
        begun_mono, begun = self._clock.mono(), self._clock.now().timestamp()
        if wish is _WISHES[0]:
            await operator.give_playbook(monitor.rig.rig_id, PLAYBOOK)
        else:
            await operator.expect(monitor.rig.rig_id, {"expected_status": wish.expected})

        async def is_so() -> PlaybookReport | None:
            found = await self._found(host)
            mines = wish.expected is MiningWish.MINING
            if found is None or [each is not None for each in found] != [mines, mines]:
                return None
            seconds = round(self._clock.mono() - begun_mono, 2)
            return PlaybookReport(wish.note, *found, seconds)

        report = await self._until(is_so, f"the rig that the agent runs on: {wish.note}")
        ended = self._clock.now().timestamp()
        self.witnessed.append(Witnessed(host.rig.mac, wish.expected, begun, ended))
        return report

    async def _found(self, host: HostRig) -> tuple[float | None, int | None] | None:
        """The rate that the cloud shows of it, and the process that the service and the ledger have; `None` while these
        disagree, or know nothing of it yet.
        """
        rates_hs = [
            row["hashrate"] for row in await self._operator.miners() if row["ip"] == host.ip
        ]
        owned = await host.status()
        mining = mining_process(self._stage.ledger, host.rig.mac)
        if not rates_hs or owned is None or owned.pid != mining:
            return None
        return rates_hs[0] or None, mining
