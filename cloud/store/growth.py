"""How much the agents of a farm may add: whoever stole a token fills neither the lists nor the disk.

What goes by time is counted in memory only: a server that was restarted begins with full allowances.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.config import CloudSettings
from cloud.store.schema.tables import miners
from contract.clock import Clock

_MINUTE_S: Final = 60.0
_DAY_S: Final = 86_400.0
_SAY_EVERY_S: Final = 60.0
log = structlog.get_logger(__name__)


class TooMuchError(Exception):
    """More than may be added now; in words for the operator."""


class Growth:
    """Asked within the transaction that adds, and told of it once that is durable: what a full disk refuses uses up
    nothing. (Miners of tasks of the site are counted at once; a minute makes up for it.)
    """

    def __init__(self, clock: Clock, settings: CloudSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._miners = _Allowance(clock, settings.farm_miners_per_min, _MINUTE_S)
        self._tasks = _Allowance(clock, settings.onsite_tasks_per_day, _DAY_S)
        self._entries = _Allowance(clock, settings.ledger_entries_per_day, _DAY_S)
        self._said_mono: dict[str, float] = {}

    async def new_miners(self, connection: AsyncConnection, farm_id: str) -> int:
        """How many more miners the farm may have now."""
        query = sa.select(sa.func.count()).select_from(miners).where(miners.c.farm_id == farm_id)
        left = self._settings.farm_miners - int(await connection.scalar(query) or 0)
        return max(0, min(left, self._miners.left(farm_id)))

    def add_miners(self, farm_id: str, number: int, left_out: int = 0) -> None:
        """So many were added, and so many were not because there were more than that."""
        self._miners.take(farm_id, number)
        if left_out:
            self._say(farm_id, "miners.left_out", miners=left_out, **self._most_miners())

    def check_tasks(self, agent_id: str) -> None:
        """Before tasks that arose with this agent are added. As long as it may have one more, a report is taken whole.

        Raises TooMuchError.
        """
        if not self._tasks.left(agent_id):
            most = self._settings.onsite_tasks_per_day
            self._say(agent_id, "agent.too_many_tasks", onsite_tasks_per_day=most)
            raise TooMuchError(
                f"More than {most} tasks arose with this agent within a day: the cloud takes the others later"
            )

    async def check_miners(self, connection: AsyncConnection, farm_id: str, number: int) -> None:
        """Before so many miners of such tasks are added. Raises TooMuchError."""
        if number and await self.new_miners(connection, farm_id) < number:
            self._say(farm_id, "miners.left_out", miners=number, **self._most_miners())
            raise TooMuchError(
                "This farm has as many miners, or new ones within a minute, as it may: the cloud takes others later"
            )

    def add_tasks(self, agent_id: str, number: int) -> None:
        """So many were added."""
        self._tasks.take(agent_id, number)

    def check_entries(self, agent_id: str) -> None:
        """Before entries of this agent are added to the ledger. As long as it may have one more, a message is taken
        whole. Raises TooMuchError.
        """
        if not self._entries.left(agent_id):
            most = self._settings.ledger_entries_per_day
            self._say(agent_id, "agent.too_many_entries", ledger_entries_per_day=most)
            raise TooMuchError(f"More than {most} entries came of this agent within a day")

    def add_entries(self, agent_id: str, number: int) -> None:
        """So many were added."""
        self._entries.take(agent_id, number)

    def _most_miners(self) -> dict[str, int]:
        return {
            "farm_miners": self._settings.farm_miners,
            "farm_miners_per_min": self._settings.farm_miners_per_min,
        }

    def _say(self, key: str, event: str, **values: int) -> None:
        """Once in a while: whoever sends too much sends it often."""
        now = self._clock.mono()
        if now - self._said_mono.get(key, float("-inf")) >= _SAY_EVERY_S:
            self._said_mono[key] = now
            log.warning(event, of=key, **values)


class _Allowance:
    """So many in a span of time, by key; all of them at once, if there was nothing before."""

    def __init__(self, clock: Clock, most: int, within_s: float) -> None:
        self._clock = clock
        self._most = float(most)
        self._per_s = most / within_s
        self._left: dict[str, tuple[float, float]] = {}  # and when that was so

    def left(self, key: str) -> int:
        return max(0, int(self._now(key)))

    def take(self, key: str, number: int) -> None:
        """More than there are left are owed."""
        self._left[key] = (self._now(key) - number, self._clock.mono())

    def _now(self, key: str) -> float:
        left, at = self._left.get(key, (self._most, 0.0))
        return min(self._most, left + (self._clock.mono() - at) * self._per_s)
