"""Fetches what the rig of this host is to mine, and hands each good answer on to the service that owns its mining.

**Nothing but an answer that says so stops mining**: an entry that says `stop`, or a list that lacks a program that
runs. A failure, a refusal, an answer that is not understood and a rig that people work on change nothing. An empty list
counts once two answers in a row say so: one alone may be that of a server which has just lost its memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from agent.rig.client import (
    NoRigServiceError,
    RigRefusedError,
    RigService,
    RigServiceLostError,
)
from agent.rig.shapes import PlaybookVerdict, ProgramState, RigStatus
from agent.sinks.rigmonitor.client import (
    AwayError,
    HeldBackError,
    InvalidError,
    MonitorClient,
    RejectedError,
    UnknownCodeError,
)
from agent.sinks.rigmonitor.machines import MonitorMachine
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.pacing import ALONE_AFTER, FIRST_WITHIN_S, about_s
from agent.sinks.rigmonitor.playbook_answers import OddAnswerError, entries_of, mined_by
from agent.sinks.rigmonitor.reports import Reports
from agent.sinks.rigmonitor.rig_records import Mined
from contract.clock import Clock
from contract.miner import Moving
from contract.rigmonitor.playbook import PlaybookEntry

EMPTY_AFTER: Final = 2  # answers in a row with an empty list, before it counts

UNTOLD: Final = "the monitor does not tell what it is to mine, so it mines what it did"
HELD_BACK: Final = "people work on it, as the monitor says: it mines what it did"
NOT_FOLLOWED: Final = "its playbooks are not followed"
NO_SERVICE: Final = "its playbooks are not carried out"
REFUSED: Final = "a playbook is refused by this host"
NOT_RUNNING: Final = "a program does not run"

log: Any = structlog.get_logger(__name__)


class Playbooks:
    """The playbooks of one rig: asked for at intervals, never twice at a time."""

    def __init__(
        self,
        client: MonitorClient,
        machine: MonitorMachine,
        reports: Reports,
        notes: Notes,
        clock: Clock,
        rng: random.Random,
        *,
        every_s: float,
        service: Callable[[], RigService],
        forbidden: Callable[[], str | None],
    ) -> None:
        """`service` opens a connection to it. `forbidden` says why nothing may be changed on this host now, in words,
        if so.
        """
        self._client = client
        self._machine = machine
        self._reports = reports
        self._notes = notes
        self._clock = clock
        self._rng = rng
        self._every_s = every_s
        self._service = service
        self._forbidden = forbidden
        self._failures = 0  # in a row
        self._empty = 0  # answers in a row
        self._accepted: dict[int, PlaybookEntry] = {}
        self._running: tuple[PlaybookEntry, ...] = ()
        self._troubled: dict[str, set[str]] = {REFUSED: set(), NOT_RUNNING: set()}

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._clock.sleep(self._rng.uniform(0.0, FIRST_WITHIN_S))
        while True:
            try:
                await self.poll()
            except Exception:
                # `poll` handles all that can really come, so this is a bug of ours. Raised on, it would end the asking,
                # and through the task groups above it the agent. A cancellation passes.
                log.exception("rigmonitor.bug", miner=self._machine.key)
            await self._clock.sleep(about_s(self._rng, self._every_s))

    async def poll(self) -> None:
        """Ask once, and hand on what a good answer says."""
        if self._reports.refused_s(self._machine):
            self._empty = 0
            return
        entries = await self._fetch()
        if entries is None:
            self._empty = 0
            return
        self._empty = 0 if entries else self._empty + 1
        if not entries and self._empty < EMPTY_AFTER:
            log.info("rigmonitor.no_playbooks", miner=self._machine.key, times=self._empty)
            return
        if not self._is_trouble(NOT_FOLLOWED, self._forbidden()):
            await self._hand_on(entries)

    def mined(self, moving: Moving) -> Mapping[str, Mined]:
        """What the playbooks that run say of what a reading shows, by slot."""
        return mined_by(self._running, moving)

    # --- private ---

    async def _fetch(self) -> tuple[PlaybookEntry, ...] | None:
        """`None`: nothing is known of what is wished."""
        key = self._machine.key
        try:
            entries = entries_of(await self._client.playbooks(self._machine.code))
        except UnknownCodeError:
            self._reports.refused(self._machine)
            return None
        except HeldBackError:
            self._reports.accepted(self._machine)
            self._notes.trouble(HELD_BACK, key)
            return None
        except AwayError as error:
            self._notes.no_answer(str(error))
            self._failures += 1
            if self._failures >= ALONE_AFTER and not self._notes.is_away:
                self._notes.trouble(UNTOLD, key, str(error))
            return None
        except (InvalidError, RejectedError, OddAnswerError) as error:
            self._notes.answered()
            self._notes.trouble(UNTOLD, key, str(error))
            return None
        self._failures = 0
        self._reports.accepted(self._machine)
        self._notes.cleared(HELD_BACK, key)
        self._notes.cleared(UNTOLD, key)
        return entries

    async def _hand_on(self, entries: tuple[PlaybookEntry, ...]) -> None:
        """The whole list, be it that of the last time: the service may have been started since."""
        try:
            async with self._service() as service:
                verdicts = await service.apply(entries)
                status = await service.status()
        except (NoRigServiceError, RigRefusedError, RigServiceLostError) as error:
            self._notes.trouble(NO_SERVICE, self._machine.key, str(error))
            return
        self._notes.cleared(NO_SERVICE, self._machine.key)
        self._take(entries, verdicts, status)

    def _take(
        self,
        entries: tuple[PlaybookEntry, ...],
        verdicts: tuple[PlaybookVerdict, ...],
        status: RigStatus,
    ) -> None:
        """What became of them. Of one that is refused goes on what ran before, so that is kept."""
        accepted = {
            entry.id: entry
            for entry, verdict in zip(entries, verdicts, strict=False)
            if verdict.accepted
        }
        known = self._accepted | accepted
        running = [each for each in status.programs if each.state is ProgramState.RUNNING]
        self._running = tuple(
            known[each.playbook_id] for each in running if each.playbook_id in known
        )
        self._accepted = {each.id: each for each in self._running} | accepted
        self._note(
            REFUSED,
            {each.software_name: each.reason or "" for each in verdicts if not each.accepted},
        )
        self._note(
            NOT_RUNNING,
            {
                each.software_name: each.last_end or ""
                for each in status.programs
                if each.state is ProgramState.WAITING
            },
        )

    def _note(self, kind: str, programs: Mapping[str, str]) -> None:
        """That it is so of these programs, and of no others any more."""
        for name in self._troubled[kind] - programs.keys():
            self._notes.cleared(kind, f"{self._machine.key} {name}")
        for name, reason in programs.items():
            self._notes.trouble(kind, f"{self._machine.key} {name}", reason)
        self._troubled[kind] = set(programs)

    def _is_trouble(self, kind: str, reason: str | None) -> bool:
        if reason is None:
            self._notes.cleared(kind, self._machine.key)
            return False
        self._notes.trouble(kind, self._machine.key, reason)
        return True
