"""Asks the monitor what it expects, and hands each answer on. No answer is no wish."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import structlog

from agent.sinks.rigmonitor.client import (
    AwayError,
    InvalidError,
    MonitorClient,
    RejectedError,
    UnknownCodeError,
)
from agent.sinks.rigmonitor.machines import MonitorMachine
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.pacing import about_s
from agent.sinks.rigmonitor.reports import Reports
from agent.sinks.rigmonitor.wishes import ASIC, LIGHT, Wish, fault_in, wished
from contract.clock import Clock
from contract.rigmonitor.asic import BULK_CALLS_PER_S, BULK_MAX, Switch

# Between two bulk calls: another agent may be behind the same address.
PAUSE_S: Final = 2 / BULK_CALLS_PER_S
STRANGE: Final = "what the monitor expects is neither on nor off"
ABSENT: Final = "the monitor's list leaves it out"

log: Any = structlog.get_logger(__name__)

Consider = Callable[[MonitorMachine, Switch | None, Switch | None], Awaitable[None]]


class Expectations:
    """One poll after the other: a single call for one machine, bulk calls for more, never two at a time."""

    def __init__(
        self,
        client: MonitorClient,
        machines: tuple[MonitorMachine, ...],
        reports: Reports,
        notes: Notes,
        clock: Clock,
        rng: random.Random,
        *,
        every_s: float,
        consider: Consider,
    ) -> None:
        """`consider` gets, for each miner and each poll, the wish for its light and that for its mining."""
        self._client = client
        self._machines = machines
        self._reports = reports
        self._notes = notes
        self._clock = clock
        self._rng = rng
        self._every_s = every_s
        self._consider = consider
        self._wishes = {machine.key: (Wish(), Wish()) for machine in machines}

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self._clock.sleep(about_s(self._rng, self._every_s))
            try:
                await self.poll()
            except Exception:
                # `poll` handles all that can really come, so this is a bug of ours. Raised on, it would end the asking,
                # and through the task groups above it the agent. A cancellation passes.
                log.exception("rigmonitor.bug")

    async def poll(self) -> None:
        """Ask once, of every machine whose code the monitor knows."""
        if len(self._machines) == 1:
            await self._single(self._machines[0])
            return
        asked = [machine for machine in self._machines if not self._reports.is_refused(machine)]
        for number, part in enumerate(_parts(asked)):
            if number:
                await self._clock.sleep(PAUSE_S)
            await self._bulk(part)
        for machine in self._machines:
            if self._reports.is_refused(machine):
                await self._heard(machine, None)

    async def _single(self, machine: MonitorMachine) -> None:
        expected = None
        if not self._reports.refused_s(machine):
            try:
                expected = await self._client.expected(machine.code)
                self._reports.accepted(machine)
            except UnknownCodeError:
                self._reports.refused(machine)
            except (AwayError, InvalidError, RejectedError) as error:
                self._notes.no_answer(str(error))
        await self._heard(machine, expected)

    async def _bulk(self, machines: tuple[MonitorMachine, ...]) -> None:
        try:
            found = await self._client.expected_bulk(tuple(machine.code for machine in machines))
        except (AwayError, InvalidError, RejectedError, UnknownCodeError) as error:
            self._notes.no_answer(str(error))
            for machine in machines:
                await self._heard(machine, None)
            return
        self._notes.answered()
        for machine in machines:
            expected = found.get(machine.code.text)
            if machine.code.text in found:
                self._notes.cleared(ABSENT, machine.key)
            else:
                self._notes.trouble(ABSENT, machine.key)
            await self._heard(machine, expected)

    async def _heard(self, machine: MonitorMachine, expected: Any) -> None:
        """`None`: this poll told nothing of it."""
        if expected is not None:
            odd = fault_in(expected) if isinstance(expected, dict) else "it is no object"
            if odd is None:
                self._notes.cleared(STRANGE, machine.key)
            else:
                self._notes.trouble(STRANGE, machine.key, odd)
        light, asic = self._wishes[machine.key]
        wish = light.heard(wished(expected, LIGHT)), asic.heard(wished(expected, ASIC))
        try:
            await self._consider(machine, *wish)
        except Exception:
            # `consider` asks nobody, so this is a bug of ours with one miner: the wishes for all others are still heard
            log.exception("rigmonitor.bug", miner=machine.key)


def _parts(machines: list[MonitorMachine]) -> Iterator[tuple[MonitorMachine, ...]]:
    for start in range(0, len(machines), BULK_MAX):
        yield tuple(machines[start : start + BULK_MAX])
