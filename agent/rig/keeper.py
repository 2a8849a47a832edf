"""All programs of the rig: what is decided of them, by playbooks and by hand; it is on disk before it is done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from agent.rig.config import RigServiceConfig
from agent.rig.playbooks import MiningOrder, PlaybookRefusedError, order_of
from agent.rig.program import KeptProgram, ProgramDecision, uninterrupted
from agent.rig.shapes import ENTRIES_MAX, PlaybookVerdict, ProgramState, ProgramStatus
from agent.rig.state import ProgramRecord, ProgramWish, RigStateFile
from contract.clock import Clock
from contract.hiding import quoted
from contract.rigmonitor.playbook import MiningWish, PlaybookEntry

log: Any = structlog.get_logger(__name__)
_KILLED_S: Final = 10.0  # in which what was killed ends, unless a driver holds it
_BUG_S: Final = 60.0


class NotDoneError(Exception):
    """A request that is refused: nothing was changed. The message says why and what would work."""


class RigKeeper:
    """Owns the programs of one state folder. Between `open` and `close`; what runs then runs on."""

    def __init__(self, config: RigServiceConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._file = RigStateFile(config.state_dir)
        self._programs: dict[str, KeptProgram] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._deciding = asyncio.Lock()  # from what is known until it is followed
        self._writing = asyncio.Lock()
        self._settle_s = config.stop_grace_s + _KILLED_S

    async def open(self) -> None:
        """Adopt what an earlier run of the service left running, and go on. Raises OSError."""
        records = await asyncio.to_thread(self._file.read)
        records |= await asyncio.to_thread(self._unrecorded, records)
        for name, record in records.items():
            program = self._make(name, record)
            program.follow(self._decision(record))
            await asyncio.to_thread(program.adopt)
        try:
            await self._save()
        except OSError as error:  # what is found out once more after the next start
            log.warning("rig.not_saved", error=str(error))
        for program in self._programs.values():
            self._keep(program)

    async def close(self) -> None:
        """Let go of all; what runs runs on."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for program in self._programs.values():
            program.close()

    async def apply(self, entries: Sequence[PlaybookEntry]) -> tuple[PlaybookVerdict, ...]:
        """Have the rig mine by these playbooks, and by no others. Raises NotDoneError."""
        judged = [self._judge(each, entries) for each in entries]
        async with self._deciding:
            decisions = self._decisions(entries, judged)
            await self._commit(decisions)
        await self._settled(decisions)
        return tuple(map(self._verdict, entries, judged))

    def status(self) -> tuple[ProgramStatus, ...]:
        """By name."""
        every = (self._programs[name].status() for name in sorted(self._programs))
        return tuple(each for each in every if each is not None)

    async def start(self, name: str) -> ProgramStatus:
        """Take back that it was stopped by hand. Raises NotDoneError."""
        async with self._deciding:
            decision, wish = self._known(name)
            if wish.entry.expected_status is MiningWish.STOP:
                raise NotDoneError(
                    f"the playbook of {name} says stop; set expected_status to mining at the monitor"
                )
            if decision.order is None:
                raise NotDoneError(
                    f"the playbook of {name} is not allowed here: {decision.refused}"
                )
            started = _with(decision, wish=ProgramWish(entry=wish.entry), at_once=True)
            await self._commit({name: started})
        await self._settled((name,))
        return self._known_status(name)

    async def stop(self, name: str) -> ProgramStatus:
        """End it, until it is started by hand or its playbook changes; one whose playbook was lost, until the monitor
        tells of it again. Raises NotDoneError.
        """
        if (program := self._programs.get(name)) is not None and not program.decision.is_known:
            return await self._stop_unknown(program)
        async with self._deciding:
            decision, wish = self._known(name)
            held = ProgramWish(entry=wish.entry, is_stopped_by_hand=True)
            await self._commit({name: _with(decision, wish=held)})
        await self._settled((name,))
        return self._known_status(name)

    async def _stop_unknown(self, program: KeptProgram) -> ProgramStatus:
        """Raises NotDoneError."""
        before = program.status()
        if before is None:
            self._known(program.name)
        assert before is not None
        async with self._deciding:
            if not program.decision.is_known:  # else the monitor has told of it meanwhile
                await self._commit({program.name: ProgramDecision()})
        await self._settled((program.name,))
        return program.status() or msgspec.structs.replace(
            before, state=ProgramState.STOPPED, pid=None
        )

    def trim_outputs(self) -> None:
        """Keep what the programs wrote small. Blocks."""
        for program in tuple(self._programs.values()):
            program.output.trim()

    def _decisions(
        self,
        entries: Sequence[PlaybookEntry],
        judged: Sequence[MiningOrder | PlaybookRefusedError | None],
    ) -> dict[str, ProgramDecision]:
        """By name; a program that is told to go on as it does is among them."""
        self._forget()
        decisions: dict[str, ProgramDecision] = {}
        for entry, found in zip(entries, judged, strict=True):
            name = entry.software_name
            if isinstance(found, PlaybookRefusedError):
                if (program := self._programs.get(name)) is not None:
                    decisions.setdefault(name, _with(program.decision, refused=str(found)))
            elif found is not None or name in self._programs:
                decisions[name] = self._accepted(entry, found)
        if len(entries) <= ENTRIES_MAX:
            named = {each.software_name for each in entries}
            decisions |= {each: ProgramDecision() for each in self._programs.keys() - named}
        return decisions

    def _judge(
        self, entry: PlaybookEntry, entries: Sequence[PlaybookEntry]
    ) -> MiningOrder | PlaybookRefusedError | None:
        """What it has started; None: it says stop."""
        if len(entries) > ENTRIES_MAX:
            return PlaybookRefusedError(
                f"this answer has {len(entries)} playbooks; {ENTRIES_MAX} are the most"
            )
        if Counter(each.software_name for each in entries)[entry.software_name] > 1:
            return PlaybookRefusedError(
                f"software_name: {quoted(entry.software_name)} has more than one playbook; give it one"
            )
        if entry.expected_status is MiningWish.STOP:
            return None
        try:
            return order_of(entry, self._config)
        except PlaybookRefusedError as error:
            return error

    def _accepted(self, entry: PlaybookEntry, order: MiningOrder | None) -> ProgramDecision:
        """A program that was stopped by hand stays so while its playbook is the same."""
        program = self._programs.get(entry.software_name)
        held = False
        if program is not None and (wish := program.decision.wish) is not None:
            is_same = _gist(wish.entry) == _gist(entry) and program.decision.order == order
            held = wish.is_stopped_by_hand and is_same
        wish = ProgramWish(entry=entry, is_stopped_by_hand=held)
        return ProgramDecision(wish=wish, order=order)

    def _decision(self, record: ProgramRecord) -> ProgramDecision:
        """By today's config, of what was accepted by that of another day."""
        if (wish := record.wish) is None:
            return ProgramDecision(is_known=record.is_wish_known)
        found = self._judge(wish.entry, (wish.entry,))
        if isinstance(found, PlaybookRefusedError):
            return ProgramDecision(wish=wish, refused=str(found))
        return ProgramDecision(wish=wish, order=found)

    def _verdict(
        self, entry: PlaybookEntry, judged: MiningOrder | PlaybookRefusedError | None
    ) -> PlaybookVerdict:
        if isinstance(judged, PlaybookRefusedError):
            return PlaybookVerdict(
                id=entry.id, software_name=entry.software_name, accepted=False, reason=str(judged)
            )
        program = self._programs.get(entry.software_name)
        status = None if program is None else program.status()
        pid = None
        reason: str | None = "it is to be stopped, and is"
        if status is not None:
            pid, reason = status.pid, _why_not_running(status)
        return PlaybookVerdict(
            id=entry.id, software_name=entry.software_name, accepted=True, reason=reason, pid=pid
        )

    def _known(self, name: str) -> tuple[ProgramDecision, ProgramWish]:
        self._forget()
        program = self._programs.get(name)
        if program is None or program.decision.wish is None:
            known = ", ".join(
                each for each in sorted(self._programs) if self._programs[each].decision.wish
            )
            there = f"there is one for {known}" if known else "there is none for any program"
            raise NotDoneError(f"no playbook came for {quoted(name)}; {there}")
        return program.decision, program.decision.wish

    def _known_status(self, name: str) -> ProgramStatus:
        """Raises NotDoneError where its playbook went meanwhile."""
        self._known(name)
        status = self._programs[name].status()
        assert status is not None
        return status

    def _unrecorded(self, known: Mapping[str, ProgramRecord]) -> dict[str, ProgramRecord]:
        """Programs that have a folder, and of which nothing is written down: the file was lost, or damaged."""
        folders = self._config.state_dir / "programs"
        names = {each.name for each in folders.iterdir()} if folders.is_dir() else set[str]()
        unknown = ProgramRecord(wish=None, run=None, is_wish_known=False)
        return dict.fromkeys(names - known.keys(), unknown)

    async def _commit(self, decisions: Mapping[str, ProgramDecision]) -> None:
        """On disk first, then followed. Raises NotDoneError."""
        async with self._writing:
            try:
                await self._write(decisions)
            except OSError as error:
                raise NotDoneError(
                    f"{self._config.state_dir} cannot be written: {error.strerror}"
                ) from None
            for name, decision in decisions.items():
                program = self._programs.get(name)
                if program is None:
                    program = self._make(name, ProgramRecord(wish=None, run=None))
                program.follow(decision)
                self._keep(program)

    async def _save(self) -> None:
        """Write down which processes run. Raises OSError."""
        async with self._writing:
            await self._write({})

    async def _write(self, decisions: Mapping[str, ProgramDecision]) -> None:
        """All, with these decisions in place of those that are followed now. Raises OSError."""
        records: dict[str, ProgramRecord] = {}
        for name in self._programs.keys() | decisions.keys():
            program = self._programs.get(name)
            run = None if program is None else program.run
            decision = decisions.get(name) or self._programs[name].decision
            if decision.wish is not None or run is not None:
                records[name] = ProgramRecord(
                    wish=decision.wish, run=run, is_wish_known=decision.is_known
                )
        await uninterrupted(asyncio.to_thread(self._file.write, records))

    async def _settled(self, names: Sequence[str] | Mapping[str, Any]) -> None:
        there = [self._programs[name] for name in names if name in self._programs]
        await asyncio.gather(*(each.settled(self._settle_s) for each in there))

    def _make(self, name: str, record: ProgramRecord) -> KeptProgram:
        program = KeptProgram(name, record.run, self._config, self._clock, self._save)
        self._programs[name] = program
        return program

    def _keep(self, program: KeptProgram) -> None:
        task = self._tasks.get(program.name)
        if task is None or task.done():
            self._tasks[program.name] = asyncio.create_task(
                self._live(program), name=f"rig-{program.name}"
            )

    async def _live(self, program: KeptProgram) -> None:
        while True:
            try:
                await program.live()
                return
            except Exception:
                log.exception("rig.bug", program=program.name)
                await self._clock.sleep(_BUG_S)

    def _forget(self) -> None:
        """Programs that are over."""
        for name in [each for each, task in self._tasks.items() if task.done()]:
            del self._tasks[name], self._programs[name]


def _gist(entry: PlaybookEntry) -> tuple[Any, ...]:
    """What a person means who stops "this"."""
    return (entry.id, entry.software_version, entry.command_argument, entry.expected_status)


def _with(decision: ProgramDecision, **changes: Any) -> ProgramDecision:
    return msgspec.structs.replace(decision, **{"at_once": False} | changes)


def _why_not_running(status: ProgramStatus) -> str | None:
    if status.state is ProgramState.RUNNING:
        return None
    if status.state is ProgramState.ENDING:
        return f"process {status.pid} was told to end, and has not yet"
    if status.state is ProgramState.WAITING:
        wait = f"; next try in {status.retry_in_s:.0f} s" if status.retry_in_s else ""
        return f"{status.last_end or 'it is about to be started'}{wait}"
    if status.is_stopped_by_hand:
        name = status.software_name
        return f"stopped by hand; this takes it back: miner-agent-rig start {name}"
    return status.refused or "it is to be stopped, and is"
