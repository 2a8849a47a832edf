"""Reports of CPU/GPU rigs as the readings of every other miner: H/s, W, degC, Hz, s. Pure.

A graphics card is a board, the processor one where it mines. Rates of two algorithms have no sum: the rate of the rig
is that of the first that is mined, the cards' before the processor's. Solutions count as hashes; by its algorithm one
sees which they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from cloud.rigmonitor.figures import (
    CLOCK,
    FAN,
    PERCENT,
    POWER,
    RATE,
    TEMPERATURE,
    UPTIME,
    Limits,
    ReportFigures,
    most,
)
from contract.miner import (
    Board,
    BoardState,
    Make,
    MinerFault,
    Moving,
    Pool,
    RigPart,
    RigWork,
    Slow,
    Static,
    UptimeKind,
)
from contract.rigmonitor.rig import ALGORITHMS, GPUS, RigLog, RigSpec
from contract.rigmonitor.shared import hashrate_hs, uptime_s
from contract.rigs import main_work, rig_algorithm, rig_model

_OF_A_CARD: Final = (
    *("core_temp", "mem_temp", "hashrate_1", "hashrate_2"),
    *("core_clock", "mem_clock", "power", "fan"),
)
_SHOWN_CHARS: Final = 80
_PROGRAM: Final = "unknown"  # MRM tells none
_RAM_MOST: Final = 1 << 50
_ANY_CASE: Final = re.ASCII | re.IGNORECASE  # of ours: else the sign of the kelvin is a `k`
_RAM: Final = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?) ?([KMGT])i?B", _ANY_CASE)
# As `uptime -p` has it, which is what the official client sends: `up 1 week, 2 days, 3 hours, 4 minutes`.
_UPTIME_PART: Final = re.compile(r"([0-9]{1,6}) (year|week|day|hour|minute|second)s?", _ANY_CASE)
_UPTIME_S: Final = {
    "year": 31_536_000,
    "week": 604_800,
    "day": 86_400,
    "hour": 3600,
    "minute": 60,
    "second": 1,
}


def normalised(log: RigLog) -> RigLog:
    """With one name for the wallet of the processor, where the published text and the server have two."""
    wallet = log.cpu_wallet if log.cpu_wallet_address is None else log.cpu_wallet_address
    return msgspec.structs.replace(log, cpu_wallet=None, cpu_wallet_address=wallet)


def static_of(spec: RigSpec | None, log: RigLog | None = None) -> Static:
    """What it is; what it mines tells only a log."""
    works = () if log is None else _works(_RigFigures(log))
    first = main_work(works)
    algorithm = None if first is None else rig_algorithm(first.algorithm)
    if spec is None:
        return Static(make=Make.RIG, algorithm=algorithm)
    return Static(
        make=Make.RIG,
        model=rig_model(_card_names(spec), spec.cpu_name),
        control_board=spec.motherboard_name,
        cpu_name=spec.cpu_name,
        ram_bytes=_ram_bytes(spec.ram_size),
        algorithm=algorithm,
    )


def state_of(log: RigLog, spec: RigSpec | None) -> tuple[Moving, Slow]:
    """What it does, and the faults of what it says. Cards have the names that the specs gave them."""
    figures = _RigFigures(log)
    boards = (*_cards(figures, spec), *_processor(figures, spec))
    works = _works(figures)
    first = main_work(works)
    temp_cpu_c = figures.within("cpu_temp", TEMPERATURE)
    moving = Moving(
        hashrate_hs=None if first is None else first.hashrate_hs,
        power_w=figures.total(["cpu_power", *_of_cards("power")], POWER),
        temp_chip_c=most(board.temp_chip_c for board in boards),
        temp_cpu_c=None if temp_cpu_c is None else float(temp_cpu_c),
        fan_rpm=figures.fans_rpm(),
        uptime_s=figures.uptime(),
        uptime_kind=UptimeKind.BOOT,
        boards=boards,
        pools=tuple(_pools(log, works)),
        works=works,
    )
    return moving, Slow(faults=tuple(figures.told()))


class _RigFigures(ReportFigures):
    """Each algorithm has a unit of its own, and the fans of all cards have one."""

    def __init__(self, log: RigLog) -> None:
        super().__init__(log)
        self.log: RigLog = log
        self._fan_unit = (log.gpu_fan_uom or "%").strip().lower()

    def told(self) -> Iterator[MinerFault]:
        """Each fault once, however often the figure was asked for."""
        yield from dict.fromkeys(self.faults)

    def rate(self, name: str, unit: str) -> float | None:
        """In H/s. Nothing but 0 is a rate without a unit."""
        value: int | None = getattr(self.log, name)
        uom = getattr(self.log, unit)
        if value and uom is None:
            self.fault(unit, "missing, so that no rate is known")
            return None
        if value is None:
            return None
        rate = hashrate_hs(value, uom or "H/s")
        checked: float | None = self.checked(name, math.inf if rate is None else rate, RATE)
        return checked

    def total_rate(self, names: list[str], unit: str) -> float | None:
        """Of all that are told; none where one of them is no rate."""
        given = [name for name in names if getattr(self.log, name) is not None]
        return _sum([self.rate(name, unit) for name in given])

    def total(self, names: list[str], limits: Limits) -> float | None:
        """Of all that are told; none where one of them cannot be."""
        given = [name for name in names if getattr(self.log, name) is not None]
        return _sum([self.within(name, limits) for name in given])

    def fan_percent(self, name: str) -> float | None:
        """Of a card whose fan is told in percent."""
        if self._fan_unit != "%":
            return None
        value: int | None = self.within(name, PERCENT)
        return None if value is None else float(value)

    def fans_rpm(self) -> tuple[int, ...]:
        """Of all cards, where they are told in revolutions."""
        names = [name for name in _of_cards("fan") if getattr(self.log, name) is not None]
        if names and self._fan_unit not in ("%", "rpm"):
            self.fault("gpu_fan_uom", f"{self._fan_unit[:20]!r} is no unit of a fan")
        if self._fan_unit != "rpm":
            return ()
        return tuple(rpm for name in names if (rpm := self.within(name, FAN)) is not None)

    def uptime(self) -> float | None:
        """In seconds. Of words that are no time there is none."""
        text = self.log.uptime
        if text is None:
            return None
        seconds = uptime_s(text)
        if seconds is None and (parts := _UPTIME_PART.findall(text)):
            seconds = float(sum(int(number) * _UPTIME_S[word.lower()] for number, word in parts))
        value: float | None = self.checked("uptime", seconds, UPTIME)
        return value


def _cards(figures: _RigFigures, spec: RigSpec | None) -> Iterator[Board]:
    """Those that the log tells of, and those of the specs that it does not tell of any more beside others."""
    log = figures.log
    told = {number for number in range(1, GPUS + 1) if _is_told(log, number)}
    for number in range(1, GPUS + 1):
        name = None if spec is None else getattr(spec, f"gpu_{number}_name")
        if number in told:
            yield _card(figures, number, name)
        elif told and name is not None:
            figures.faults.append(
                MinerFault(
                    code="gpu_missing",
                    text=f"graphics board {number} ({name[:_SHOWN_CHARS]}) is in the specs, and not in the log",
                )
            )
            yield Board(index=number - 1, part=RigPart.GPU, name=name, state=BoardState.BAD)


def _card(figures: _RigFigures, number: int, name: str | None) -> Board:
    def clock(what: str) -> float | None:
        mhz: int | None = figures.within(f"gpu_{number}_{what}_clock", CLOCK)
        return None if mhz is None else mhz * 1e6

    return Board(
        index=number - 1,
        part=RigPart.GPU,
        name=name,
        hashrate_hs=figures.rate(f"gpu_{number}_hashrate_1", "gpu_hashrate_uom_1"),
        hashrate_2_hs=figures.rate(f"gpu_{number}_hashrate_2", "gpu_hashrate_uom_2"),
        frequency_hz=clock("core"),
        memory_hz=clock("mem"),
        temp_chip_c=figures.within(f"gpu_{number}_core_temp", TEMPERATURE),
        temp_memory_c=figures.within(f"gpu_{number}_mem_temp", TEMPERATURE),
        fan_percent=figures.fan_percent(f"gpu_{number}_fan"),
        power_w=figures.within(f"gpu_{number}_power", POWER),
    )


def _processor(figures: _RigFigures, spec: RigSpec | None) -> Iterator[Board]:
    """Where it mines."""
    if figures.log.cpu_hashrate is None:
        return
    yield Board(
        index=GPUS,
        part=RigPart.CPU,
        name=None if spec is None else spec.cpu_name,
        hashrate_hs=figures.rate("cpu_hashrate", "cpu_hashrate_uom"),
        temp_chip_c=figures.within("cpu_temp", TEMPERATURE),
        power_w=figures.within("cpu_power", POWER),
    )


def _works(figures: _RigFigures) -> tuple[RigWork, ...]:
    """One for each algorithm, those of the cards first."""
    log = figures.log
    found = []
    for slot in range(1, ALGORITHMS + 1):
        algorithm: str | None = getattr(log, f"gpu_algorithm_{slot}")
        rate = figures.total_rate(_of_cards(f"hashrate_{slot}"), f"gpu_hashrate_uom_{slot}")
        if algorithm is None and rate is None:
            continue
        found.append(
            RigWork(
                part=RigPart.GPU,
                slot=slot,
                program=_PROGRAM,
                algorithm=algorithm,
                pool=getattr(log, f"gpu_pool_address_{slot}"),
                hashrate_hs=rate,
            )
        )
    if log.cpu_hashrate is not None:
        found.append(
            RigWork(
                part=RigPart.CPU,
                program=_PROGRAM,
                algorithm=log.cpu_algorithm,
                pool=log.cpu_pool_address,
                hashrate_hs=figures.rate("cpu_hashrate", "cpu_hashrate_uom"),
            )
        )
    return tuple(found)


def _pools(log: RigLog, works: tuple[RigWork, ...]) -> Iterator[Pool]:
    """A pool is in use when something is mined for it; whether it is alive MRM does not tell."""
    hashing = {work.pool for work in works if work.hashrate_hs}
    for index, (address, wallet) in enumerate(
        (
            (log.gpu_pool_address_1, log.gpu_wallet_address_1),
            (log.gpu_pool_address_2, log.gpu_wallet_address_2),
            (log.cpu_pool_address, log.cpu_wallet_address),
        )
    ):
        if address is not None:
            pool = Pool(index=index, url=address, user=wallet)
            yield msgspec.structs.replace(pool, active=pool.url in hashing)


def _card_names(spec: RigSpec) -> list[str]:
    names = (getattr(spec, f"gpu_{number}_name") for number in range(1, GPUS + 1))
    return [name for name in names if name is not None]


def _ram_bytes(text: str) -> int | None:
    match = _RAM.fullmatch(text.strip())
    if match is None:
        return None
    size = int(float(match[1]) * 1024 ** (" KMGT".index(match[2].upper())))
    return size if 0 < size <= _RAM_MOST else None


def _is_told(log: RigLog, number: int) -> bool:
    return any(getattr(log, f"gpu_{number}_{what}") is not None for what in _OF_A_CARD)


def _of_cards(what: str) -> list[str]:
    return [f"gpu_{number}_{what}" for number in range(1, GPUS + 1)]


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(sum(known)) if known and len(known) == len(values) else None
