"""The cloud's own clockwork: once in a few seconds it ends what is overdue, once in an hour it tidies."""

from __future__ import annotations

from typing import Final

import structlog

from cloud.config import CloudSettings
from cloud.firmware.images import Images
from cloud.link.files import Files
from cloud.link.sessions import Sessions
from cloud.link.wake_ups import WakeUps
from cloud.store import firmware
from cloud.store.access import audit
from cloud.store.cloud_time import CloudTime
from cloud.store.engine import DatabaseError, Store
from cloud.store.tasks.files import all_files, forget_file
from cloud.store.tasks.groups import release_proven
from cloud.store.tasks.sweeps import prune, prune_reading_batches, prune_tasks, take_back, time_out
from cloud.updates.turns import advance
from contract.clock import Clock
from contract.task import TaskName

_TIDY_EVERY_S: Final = 3600.0
_DAY_S: Final = 86_400.0
_TURN: Final = 500  # tasks dropped in one transaction
log = structlog.get_logger(__name__)


class Sweeper:
    """`run` for ever, or call `sweep` and `tidy` yourself."""

    def __init__(
        self,
        store: Store,
        files: Files,
        images: Images,
        sessions: Sessions,
        wake_ups: WakeUps,
        settings: CloudSettings,
        clock: Clock,
        time: CloudTime,
    ) -> None:
        self._store = store
        self._files = files
        self._images = images
        self._sessions = sessions
        self._wake_ups = wake_ups
        self._settings = settings
        self._clock = clock
        self._time = time
        self._started_mono = clock.mono()
        self.turned_mono = clock.mono()  # when the last round ended, or the last turn of a long one

    async def run(self) -> None:
        """Until cancelled. A database or disk in trouble is logged and tried again in the next round."""
        tidied_mono: float | None = None
        while True:
            await self._clock.sleep(self._settings.sweep_every_s)
            try:
                await self.sweep()
                if tidied_mono is None or self._clock.mono() - tidied_mono >= _TIDY_EVERY_S:
                    await self.tidy()
                    tidied_mono = self._clock.mono()
            except (DatabaseError, OSError) as error:
                log.error("sweep.failed", error=str(error)[:500])
            self.turned_mono = self._clock.mono()

    async def sweep(self) -> None:
        """Let cloud time go on, take tasks back from agents that went offline, end those whose time has passed, let go
        what waited for a canary that is proven, or whose turn it is.
        """
        cloud_s = await self._time.advance()
        for farm_id in await take_back(self._store, self._sessions.is_online):
            log.warning("agent.offline", farm=farm_id)
            self._wake_ups.wake_farm(farm_id)
        grace_s = self._settings.limit_grace_s
        ended = await time_out(
            self._store,
            self._clock.now(),
            cloud_s,
            grace_s=grace_s,
            # What ended while this cloud was down is told within the same grace.
            agents_had_time=self._clock.mono() - self._started_mono >= grace_s,
        )
        if ended:
            log.warning("tasks.timed_out", count=ended)
        expires_cloud_s = cloud_s + self._settings.queue_ttl_s
        for done in await release_proven(
            self._store, self._clock.now(), expires_cloud_s=expires_cloud_s
        ):
            log.info("group.released", group=done.group_id, tasks=done.number)
            self._wake_ups.wake_for(done.farm_id, done.agent_ids)
        await self._take_turns(cloud_s)

    async def _take_turns(self, cloud_s: float) -> None:
        """Updates of agents: the next ones, or none any more."""
        limit_s = self._settings.limit_s(TaskName.SELF_UPDATE)  # one that is away updates so long
        for turn in await advance(
            self._store,
            self._clock.now(),
            cloud_s,
            confirmed=self._sessions.confirmed(),
            agents_had_time=self._clock.mono() - self._started_mono >= limit_s,
            is_online=self._sessions.is_online,
        ):
            if turn.stopped is None:
                log.info("update.goes_on", group=turn.group_id, agents=turn.number)
            else:
                log.warning("update.stopped", group=turn.group_id, reason=turn.stopped[:500])
            self._wake_ups.wake(*turn.agent_ids)

    async def tidy(self) -> None:
        """Remove files that are too old, then the oldest until the rest fits; drop old tasks and keys of repeats."""
        cloud_s, kept_bytes = self._time.now(), 0
        await prune(self._store, cloud_s, events_days=self._settings.events_days)
        before_s = cloud_s - self._settings.files_days * _DAY_S
        for file in reversed(await all_files(self._store)):  # newest first: these stay
            kept_bytes += file.size_bytes
            if file.created_cloud_s < before_s or kept_bytes > self._settings.files_bytes:
                await self._files.remove(file.task_id, file.name)
                await forget_file(self._store, file.task_id, file.name)
                self.turned_mono = self._clock.mono()
        await self._tidy_library(cloud_s)
        await prune_reading_batches(self._store, most=self._settings.agent_reading_batches)
        now, kept_days = self._clock.now(), self._settings.kept_days
        while await prune_tasks(self._store, now, cloud_s, kept_days=kept_days, most=_TURN):
            self.turned_mono = self._clock.mono()
        while await audit.prune(self._store, now, cloud_s, kept_days=kept_days, most=_TURN):
            self.turned_mono = self._clock.mono()

    async def _tidy_library(self, cloud_s: float) -> None:
        """Forget images whose upload was given up, and files that are of none."""
        before_s = cloud_s - self._settings.firmware_upload_hours * 3600.0
        for row in await firmware.abandoned(self._store, before_s):
            async with self._store.write() as connection:
                await firmware.drop(connection, row)
            log.info("firmware.abandoned", workspace=row.workspace_id, name=row.name)
        found = await self._images.found()  # before those that are known: a new one is known first
        dropped = await self._images.drop_strays(found, await firmware.contents(self._store))
        if dropped:
            log.info("firmware.dropped", files=dropped)
