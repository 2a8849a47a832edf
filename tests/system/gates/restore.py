"""Copies of the agent's folder and of the cloud's database, taken while both work, and put back in their place later."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from cloud.store.engine import DATABASE_NAME
from tests.system.site import Site
from tests.system.witness import Kill, Row, take_kill

OLDEST_S: Final = 60.0
_SIDECARS: Final = ("-wal", "-shm")
_TOOLS: Final = (".ballast", ".lock")


class Side(StrEnum):
    """What is put back: one of the two, never both."""

    AGENT = "agent"
    CLOUD = "cloud"


class Copy(msgspec.Struct, frozen=True):
    """What lay on disk at `t`."""

    side: Side
    path: Path
    t: float


class Restorer:
    """Takes copies and puts them back, at moments drawn from a seed. `gone` are the rows of all journals that are not
    there any more, oldest first; `kills` the pictures taken whenever the agent was killed.
    """

    def __init__(self, site: Site, *, seed: int) -> None:
        self.gone: list[Row] = []
        self.kills: list[Kill] = []
        self.ages_s: list[float] = []
        self.cloud_put_back_t: list[float] = []
        self.restored = dict.fromkeys(Side, 0)
        self.restarted_both = 0
        self._site = site
        self._parts = {Side.AGENT: site.stage.agent, Side.CLOUD: site.stage.cloud}
        self._random = random.Random(seed)
        self._copies: list[Copy] = []
        self._known: set[tuple[str, float | None, str, str | None]] = set()
        self._number = 0

    @property
    def _agent(self) -> Path:
        return self._site.journal.parent

    @property
    def database(self) -> Path:
        return self._site.database

    def choose(self, side: Side, fresh: Copy) -> Copy:
        """The copy just taken, or sometimes one from a round before. Copies that are older than the last time the other
        side was put back are not kept: with them both would go back to before the same moment.
        """
        self._keep([each for each in self._copies if time.time() - each.t < OLDEST_S - 5.0])
        older = [each for each in self._copies if each.side is side and each.t < fresh.t]
        if older and self._random.random() < 0.4:
            return self._random.choice(older)
        return fresh

    async def copy(self, side: Side) -> Copy:
        """As backups are made of something that runs, or as the disk is after the power was cut."""
        self._number += 1
        path = self._site.stage.folder / "copies" / f"{self._number}-{side}"
        path.mkdir(parents=True)
        if self._random.random() < 0.6:
            t = time.time()  # before: what happens meanwhile may be in it or not
            await asyncio.to_thread(self._back_up, side, path)
        else:
            await self._kill(side)
            t = time.time()
            await asyncio.to_thread(self._take_files, side, path)
            await self._parts[side].start()
        made = Copy(side, path, t)
        self._copies.append(made)
        return made

    async def put_back(self, copy: Copy) -> None:
        """End that side without a warning, put the copy in its place, start it; in some rounds the other side is killed
        and started again as well, before or after.
        """
        other = Side.CLOUD if copy.side is Side.AGENT else Side.AGENT
        restarts = self._random.choice(("no", "no", "no", "before", "after"))
        if restarts == "before":
            await self._kill(other)
        await self._kill(copy.side)
        self.ages_s.append(time.time() - copy.t)
        self.restored[copy.side] += 1
        if copy.side is Side.AGENT:
            self._remember(self._site.rows())
        else:
            self.cloud_put_back_t.append(time.time())
        await asyncio.to_thread(self._put_files, copy)
        self._keep([each for each in self._copies if each.side is copy.side])
        order: list[Side] = [copy.side]
        if restarts == "before":
            order.insert(self._random.randint(0, 1), other)
        for side in order:
            await self._parts[side].start()
        if restarts == "after":
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            await self._kill(other)
            await self._parts[other].start()
        self.restarted_both += restarts != "no"

    def batches_of(self, copy: Copy) -> set[str]:
        """The batches that a copy of the database knows."""
        with closing(sqlite3.connect(copy.path / DATABASE_NAME)) as db:
            return {str(row[0]) for row in db.execute("SELECT id FROM task_batches")}

    def _keep(self, copies: list[Copy]) -> None:
        for each in self._copies:
            if each not in copies:
                shutil.rmtree(each.path)
        self._copies = copies

    def _remember(self, rows: Sequence[Row]) -> None:
        """Keep what a journal knew that is about to go; once, however often it comes back."""
        for row in rows:
            key = (row.task_id, row.intent_t, row.state, row.status)
            if key not in self._known:
                self._known.add(key)
                self.gone.append(row)

    async def _kill(self, side: Side) -> None:
        await self._parts[side].kill()
        if side is Side.AGENT:
            self.kills.append(take_kill(self._site.journal, time.time(), self._site.stage.ledger))

    def _back_up(self, side: Side, target: Path) -> None:
        if side is Side.CLOUD:
            _back_up(self.database, target)
            return
        for each in self._files():
            if each.suffix == ".db":
                _back_up(each, target)
            elif not each.name.endswith(_SIDECARS):
                shutil.copy2(each, target)

    def _take_files(self, side: Side, target: Path) -> None:
        files = self._files() if side is Side.AGENT else _with_sidecars(self.database)
        for each in files:
            shutil.copy2(each, target)

    def _put_files(self, copy: Copy) -> None:
        old = self._files() if copy.side is Side.AGENT else _with_sidecars(self.database)
        for each in old:
            each.unlink()
        folder = self._agent if copy.side is Side.AGENT else self.database.parent
        for each in copy.path.iterdir():
            shutil.copy2(each, folder)

    def _files(self) -> list[Path]:
        """Of the agent's folder: what it remembers, not what it only works with."""
        found = (each for each in self._agent.iterdir() if each.is_file())
        return [each for each in found if each.suffix not in _TOOLS]


def _with_sidecars(database: Path) -> list[Path]:
    paths = [database, *(database.with_name(database.name + each) for each in _SIDECARS)]
    return [each for each in paths if each.exists()]


def _back_up(database: Path, target: Path) -> None:
    """A copy of a database in use, whole as of one moment."""
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as source,
        closing(sqlite3.connect(target / database.name)) as copy,
    ):
        source.backup(copy)
