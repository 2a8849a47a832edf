"""One rig: who it is and what it does now. What its files, sensors and programs tell is joined in `reading/`.

A program or a kind of sensor that fails is a fault of the rig; the rest of the reading stands. Only a rig whose files
tell nothing is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import (
    Board,
    Firmware,
    Identity,
    Make,
    MinerFault,
    PowerMode,
    Reading,
    RigPart,
    Slow,
    Static,
)
from contract.rigs import main_work, rig_algorithm, rig_model
from drivers.base import Change, Depth, FirmwareUpdate, Light, Mode, Pools, Who
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor, MinerDriver
from drivers.rig.generations import LINUX
from drivers.rig.nvml import NvmlReader, find_nvml
from drivers.rig.processes import process_of
from drivers.rig.programs import ask
from drivers.rig.protocol.nvidia_smi import ARGV
from drivers.rig.protocol.report import ProgramReport
from drivers.rig.reach.base import FileTexts
from drivers.rig.reading import amd, host, nvidia
from drivers.rig.reading.cards import CardLook, SeenCard, SensorState
from drivers.rig.reading.host import HostFacts, host_of
from drivers.rig.reading.snapshot import RigSnapshot, seen_with, snapshot_of
from drivers.rig.spec import LocalSpec, ProgramSpec
from drivers.rig.wire import RigWire

_NOBODY: Final = (
    "it tells neither the MAC of its default route nor a machine-id, so that it cannot be told from another: "
    "check the root of its files"
)
_NO_MODES: Final = (
    "rigs have no power modes; set a power limit (of NVIDIA cards), or switch its mining off"
)
_NO_NVIDIA: Final = CardLook(source=nvidia.NVIDIA, state=SensorState.ABSENT)
_DRIVER_GONE: Final = CardLook(
    source=nvidia.NVIDIA, state=SensorState.FAILED, trouble="its driver does not answer any more"
)
# Of the time of one read, for all programs together: a look has three, and files and sensors may take one each.
_PROGRAMS_SHARE: Final = 0.8
_LOOK_AGAIN_S: Final = 600.0  # for NVIDIA cards where there was no sign of any
_LONGEST_TEXT: Final = 300  # of a fault
_STAYS: Final = ("motherboard", "cpu_name", "ram_bytes", "kernel", "hostname")
_HANGS_S: Final = (
    3600.0  # so long an nvidia-smi that hung is not begun again: each stays on the rig
)


class _Hang(msgspec.Struct, frozen=True, kw_only=True):
    """An nvidia-smi that did not end, until when that is held against it, and in which boot of the rig it was."""

    look: CardLook
    until_mono: float
    boot_id: str | None


class RigDriver(MinerDriver):
    """A driver bound to one rig."""

    make = "rig"
    why_not: ClassVar[Mapping[type[Change], str]] = {
        Light: "a computer has no light that could be told to blink; look for it by its name and address",
        Mode: _NO_MODES,
        Pools: "the pools of a rig are in the command of its mining program: change its playbook",
        FirmwareUpdate: "a rig has no firmware; its system and its programs are updated by whoever installs them",
    }

    def __init__(
        self, ways: Ways[RigDriver], wire: RigWire, credentials: CredentialsFor, identity: Identity
    ) -> None:
        super().__init__(ways, wire, credentials, identity)
        self.rig_wire = wire
        is_local = isinstance(wire.spec.reach, LocalSpec)
        nvml = find_nvml() if is_local else None
        self._nvml = NvmlReader(nvml) if nvml is not None else None
        self._no_nvidia_until_mono = 0.0
        self._hang: _Hang | None = None
        self._host = HostFacts()
        self._seen: dict[str, SeenCard] = {}
        self._has_seen_cards = False
        # The names of cards that no sensor shows, by the last look at which the programs told: `None` before that.
        self._told_cards: tuple[str | None, ...] | None = None
        self._told: Static | None = None

    @property
    def seen(self) -> Mapping[str, SeenCard]:
        """All cards that were ever there, by bus id: one of them that is gone is a fault."""
        return self._seen

    def expect(self, seen: Mapping[str, SeenCard]) -> None:
        """Miss these cards, too, where they are gone: another process saw them, or they were at another address."""
        self._seen = dict(seen) | self._seen

    async def identify(self) -> Identity:
        """Ask afresh; the first time for its cards as well, by which it is named. Raises MalformedError when it is no
        Linux host, and as `RigReach.read_texts`.
        """
        if self._has_seen_cards:
            told = await self.rig_wire.read_texts((*host.MOVING, *host.STATIC))
            return self._known_by(self._host_in(told.texts), told.missed)
        told = await self.rig_wire.read_texts((*host.MOVING, *host.STATIC, *amd.FILES))
        facts = self._host_in(told.texts)
        self._known_by(facts, told.missed)
        self._see(seen_with(self._seen, (await self._nvidia(), self._amd(told))))
        return self._known_by(facts, told.missed)

    async def who(self) -> Who:
        """See `MinerDriver.who`."""
        facts = host_of((await self.rig_wire.read_texts(host.WHO)).texts)
        return Who(mac=facts.mac, serial=facts.serial, needs_both=True)

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        """Look once: its files, then its sensors, then its programs, one after another. Raises as `identify`."""
        is_new = self._host.motherboard is None and self._host.cpu_name is None
        files = (*host.MOVING, *amd.FILES)
        if depth is Depth.FULL or is_new:
            files = (*files, *host.STATIC)
        told = await self.rig_wire.read_texts(files)
        read_at = self.clock.now()
        facts = self._host_in(told.texts)
        self._known_by(facts, told.missed)
        looks = (await self._nvidia(), self._amd(told))
        reports, faults, rest = await self._programs(depth)
        faults.extend(_unread(told.missed))
        ignored = self.rig_wire.spec.ignored_cards
        look = snapshot_of(facts, looks, reports, self._seen, facts.cpu_name, ignored)
        self._see(look.seen)
        self._name_cards(look.moving.boards, reports)
        self._known_by(facts, told.missed)
        return Reading(
            read_at=read_at,
            moving=look.moving,
            mac=facts.mac,
            slow=None
            if depth is Depth.MOVING
            else _slow(look, faults, rests=rest == len(self.rig_wire.spec.programs) > 0),
            static=self._static(facts, look, depth),
        )

    # --- private ---------------------------------------------------------------------------------

    def _see(self, cards: Mapping[str, SeenCard]) -> None:
        ignored = self.rig_wire.spec.ignored_cards
        self._seen = {bus_id: card for bus_id, card in cards.items() if bus_id not in ignored}
        self._has_seen_cards = True

    def _name_cards(self, boards: Sequence[Board], reports: Sequence[ProgramReport]) -> None:
        """A program that rests, or is away, has no word on whether its cards are gone."""
        cards = (each for each in boards if each.part is RigPart.GPU)
        names = tuple(each.name for each in cards if each.bus_id not in self._seen)
        is_whole = len(reports) == len(self.rig_wire.spec.programs)
        if names or (is_whole and not any(each.paused for each in reports)):
            self._told_cards = names

    def _host_in(self, texts: dict[str, str]) -> HostFacts:
        """With what stays, as read earlier, where this look did not ask for it."""
        found = host_of(texts)
        if found.uptime_s is None and found.boot_id is None:
            raise MalformedError(
                f"{self.rig_wire.spec.name} shows no /proc of a Linux host: check the root of its files"
            )
        kept = {name: getattr(self._host, name) for name in _STAYS if getattr(found, name) is None}
        self._host = msgspec.structs.replace(found, **kept)
        return self._host

    def _known_by(self, facts: HostFacts, missed: frozenset[str]) -> Identity:
        """Who it is. Files that were not read do not make it another one; another one has other cards."""
        known = self._identity if missed.intersection(host.WHO) else Identity(make=Make.RIG)
        is_other = None not in (facts.mac, self._identity.mac) and facts.mac != self._identity.mac
        if is_other:
            self._seen, self._has_seen_cards, self._told_cards = {}, False, None
        model = None if is_other else self._identity.model
        # Until its programs told, one without sensors may still be named by their cards.
        is_named = model is not None and not self._seen and self._told_cards is None
        if self._has_seen_cards and not is_named:
            cards = [self._seen[bus_id].name for bus_id in sorted(self._seen)]
            model = rig_model((*cards, *(self._told_cards or ())), facts.cpu_name)
        self._identity = Identity(
            make=Make.RIG,
            model=model,
            firmware=Firmware.OTHER,
            firmware_version=facts.kernel,
            generation=LINUX,
            mac=facts.mac or known.mac,
            serial=facts.serial or known.serial,
            hostname=facts.hostname,
        )
        is_known = self._identity.mac is not None or self._identity.serial is not None
        self._identity = msgspec.structs.replace(
            self._identity, drivable=is_known, reason=None if is_known else _NOBODY
        )
        return self._identity

    def _amd(self, told: FileTexts) -> CardLook:
        """Where there never was a card of AMD, files that were not read miss none."""
        found = amd.look_of(told.texts, told.missed)
        is_known = any(card.source == amd.AMD for card in self._seen.values())
        return (
            found
            if is_known or found.cards
            else msgspec.structs.replace(found, state=SensorState.ABSENT)
        )

    async def _nvidia(self) -> CardLook:
        """By the library where we have it, else by nvidia-smi. Where there is no sign of NVIDIA, it is asked seldom;
        where there was, a driver that is gone is a failure.
        """
        if self.clock.mono() < self._no_nvidia_until_mono:
            return _NO_NVIDIA
        found = await self._ask_nvidia()
        if found.state is not SensorState.ABSENT:
            return found
        if any(card.source == nvidia.NVIDIA for card in self._seen.values()):
            return _DRIVER_GONE
        self._no_nvidia_until_mono = self.clock.mono() + _LOOK_AGAIN_S
        return found

    async def _ask_nvidia(self) -> CardLook:
        if self._nvml is not None:
            return await self._nvml.look(deadline_s=self.timing.read_s)
        began_mono, boot_id, hang = self.clock.mono(), self._host.boot_id, self._hang
        if hang is not None and began_mono < hang.until_mono and boot_id == hang.boot_id:
            return hang.look
        self._hang = None
        try:
            ran = await self.rig_wire.run(ARGV)
        except UnsupportedError:
            return _NO_NVIDIA
        except (UnreachableError, WrongDeviceError):
            raise
        except MinerError as error:
            look = CardLook(
                source=nvidia.NVIDIA, state=SensorState.FAILED, trouble=str(error)[:200]
            )
            if self.clock.mono() - began_mono >= self.timing.read_s:
                until_mono = began_mono + _HANGS_S
                self._hang = _Hang(look=look, until_mono=until_mono, boot_id=boot_id)
            return look
        return nvidia.look_of(ran.status, ran.output, ran.errors)

    async def _programs(self, depth: Depth) -> tuple[list[ProgramReport], list[MinerFault], int]:
        """What they tell, a fault for each that does not, and how many rest: by their own word, or since they were
        ended, which is no fault.
        """
        reports: list[ProgramReport] = []
        faults: list[MinerFault] = []
        rest = 0
        end_mono = self.clock.mono() + _PROGRAMS_SHARE * self.timing.read_s
        for spec in self.rig_wire.spec.programs:
            if self.clock.mono() >= end_mono:
                text = f"{spec.kind} was not asked: those before it took too long to answer"
                faults.append(MinerFault(code="program_unread", text=text))
                continue
            try:
                reports.append(await ask(self.rig_wire, spec, end_mono=end_mono))
            except WrongDeviceError:
                raise
            except MinerError as error:
                is_away = isinstance(error, UnreachableError)
                if is_away and depth is not Depth.MOVING and await self._was_ended(spec, end_mono):
                    rest += 1
                    continue
                faults.append(
                    MinerFault(
                        code="program_away" if is_away else "program_unread",
                        text=f"{spec.kind} does not tell what it mines: {error}"[:_LONGEST_TEXT],
                    )
                )
            else:
                rest += reports[-1].paused is True
                if reports[-1].pool_lost:
                    faults.append(
                        MinerFault(
                            code="pool_lost",
                            text=f"{reports[-1].name} has no connection to its pool",
                            severity="warning",
                        )
                    )
        return reports, faults, rest

    async def _was_ended(self, spec: ProgramSpec, end_mono: float) -> bool:
        """Whether systemd or the service was told to end it. One that died was not."""
        if (left_s := end_mono - self.clock.mono()) <= 0:
            return False
        try:
            process = await process_of(self.rig_wire, spec, deadline_s=left_s)
        except (MalformedError, RefusedError, UnsupportedError):
            return False
        return process.is_up is False and not process.has_failed

    def _static(self, facts: HostFacts, look: RigSnapshot, depth: Depth) -> Static | None:
        """With what it mined last, while it rests. Once told, it is told again when it mines something else."""
        main, told = main_work(look.moving.works), self._told
        known = None if told is None else told.algorithm
        mined = known if main is None else rig_algorithm(main.algorithm) or known
        if depth is not Depth.FULL and (told is None or mined is known):
            return None
        self._told = self._static_facts(
            control_board=facts.motherboard,
            cpu_name=facts.cpu_name,
            ram_bytes=facts.ram_bytes,
            algorithm=mined,
        )
        return self._told


def _unread(missed: frozenset[str]) -> Iterator[MinerFault]:
    """Those of the cards are told with their sensors."""
    if of_host := sorted(missed.intersection((*host.MOVING, *host.STATIC))):
        yield MinerFault(
            code="files_unread",
            text=f"the rig does not answer for {', '.join(of_host)}: left out, and asked again later"[
                :_LONGEST_TEXT
            ],
            severity="warning",
        )


def _slow(look: RigSnapshot, faults: list[MinerFault], *, rests: bool) -> Slow:
    return Slow(mode=PowerMode.SLEEP if rests else None, faults=(*look.faults, *faults))
