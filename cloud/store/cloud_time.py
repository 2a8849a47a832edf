"""Cloud time: the seconds that have passed, as all servers of one cloud count them together.

Whatever ends or is deleted because time passed is compared with it, never with a wall clock: one that is set forward by
two days would end every running task. What is stored in cloud time has a name that ends in `cloud_s`.

It stands in one row, beside the reading of the clock that last moved it, which counts since its host started:

- On that host, while it runs, the row follows that clock: time in which the cloud was down or the host slept counts.
- Anybody else (after a restart of the host, on another one, over a database that came back from a copy, or with a clock
  that went backwards) knows how long it has itself seen the row stand still, and counts that. Time that nobody saw pass
  does not count: lives get longer then, never shorter.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store
from cloud.store.schema.tables import cloud_time
from contract.clock import BootTime, Clock


class _Row(NamedTuple):
    seconds: float
    boot_id: str
    boot_s: float


class CloudTime:
    """`now` needs no database; `advance` is for whoever sweeps, and has to be awaited once before anything else."""

    def __init__(self, store: Store, clock: Clock, *, write_every_s: float) -> None:
        """The row is written every `write_every_s`; when it stands for twice as long, another server takes over."""
        self._store = store
        self._clock = clock
        self._write_every_s = write_every_s
        self._turn = asyncio.Lock()
        self._row: _Row | None = None
        self._ours = False  # whether the row follows the clock of this host
        self._since = clock.boot()  # the moment of its seconds, on that clock

    def now(self) -> float:
        """Seconds of cloud time."""
        assert self._row is not None, "advance first"
        return self._row.seconds + self._stood_s(self._clock.boot())

    async def advance(self) -> float:
        """See what others made of the row, and move it on when that is due; gives `now()`."""
        async with self._turn:
            if not self._ours or self._stood_s(self._clock.boot()) >= self._write_every_s:
                async with self._store.read() as connection:
                    await self._look(connection)
                change = self._change(self._clock.boot())
                if change is not None:
                    async with self._store.write() as connection:
                        await connection.execute(change)
                        await self._look(connection)
            return self.now()

    async def _look(self, connection: AsyncConnection) -> None:
        columns = [cloud_time.c[name] for name in _Row._fields]
        row = _Row(*(await connection.execute(sa.select(*columns))).one())
        if row == self._row:
            return  # it still stands
        # Only after the row was read: what is not certain to have passed since does not count.
        boot = self._clock.boot()
        self._row = row
        self._ours = row.boot_id == boot.boot_id and row.boot_s <= boot.seconds
        self._since = BootTime(row.boot_id, row.boot_s) if self._ours else boot

    def _change(self, boot: BootTime) -> sa.Update | None:
        """One conditional update, so that two servers do not count the same seconds twice."""
        assert self._row is not None
        stood_s = self._stood_s(boot)
        if self._ours and stood_s >= self._write_every_s:
            passed_s = sa.literal(boot.seconds) - cloud_time.c.boot_s
            return (
                cloud_time.update()
                .where(cloud_time.c.boot_id == boot.boot_id, cloud_time.c.boot_s < boot.seconds)
                .values(seconds=cloud_time.c.seconds + passed_s, boot_s=boot.seconds)
            )
        if not self._ours and stood_s >= 2 * self._write_every_s:
            still_stands = (cloud_time.c[name] == was for name, was in self._row._asdict().items())
            return (
                cloud_time.update()
                .where(*still_stands)
                .values(
                    seconds=self._row.seconds + stood_s, boot_id=boot.boot_id, boot_s=boot.seconds
                )
            )
        return None

    def _stood_s(self, boot: BootTime) -> float:
        """For how long the row has not been moved, as far as this process can tell."""
        if boot.boot_id != self._since.boot_id:
            return 0.0
        return max(0.0, boot.seconds - self._since.seconds)
