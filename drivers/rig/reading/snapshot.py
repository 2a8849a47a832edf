"""The parts of a rig put together: its sensors and what its programs tell, joined by PCI bus id.

A card that was there once, or that a program names, and that no sensor shows, stays in the list and is a fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from contract.miner import (
    Board,
    BoardState,
    MinerFault,
    Moving,
    Pool,
    RigPart,
    RigWork,
    UptimeKind,
)
from contract.rigs import main_work
from drivers.reading.boards import doubt_fault, doubt_of
from drivers.rig.protocol.figures import total
from drivers.rig.protocol.report import CARDS_CAP, ProgramCard, ProgramReport, ProgramWork
from drivers.rig.reading.cards import CardLook, CardSensors, SeenCard, SensorState
from drivers.rig.reading.host import HostFacts

_Card = TypeVar("_Card")


class RigSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `seen` are all cards that were ever there, by bus id."""

    moving: Moving
    faults: tuple[MinerFault, ...]
    seen: dict[str, SeenCard]


def seen_with(seen: Mapping[str, SeenCard], looks: Iterable[CardLook]) -> dict[str, SeenCard]:
    """Those of before and those of these looks, at most CARDS_CAP."""
    found = dict(seen)
    for look in looks:
        for card in look.cards:
            if card.bus_id in found or len(found) < CARDS_CAP:
                found[card.bus_id] = SeenCard(source=look.source, name=card.name)
    return found


def snapshot_of(
    host: HostFacts,
    looks: Sequence[CardLook],
    reports: Sequence[ProgramReport],
    seen: Mapping[str, SeenCard],
    cpu_name: str | None,
    ignored: Collection[str] = (),
) -> RigSnapshot:
    """Join them. The rates of a program whose whole and parts contradict each other are not believed. `ignored` are bus
    ids of cards that are none of the rig's.
    """
    doubted = [(report, _doubt(report)) for report in reports]
    doubts = [doubt for _, doubt in doubted if doubt is not None]
    reports = [report if doubt is None else _unrated(report) for report, doubt in doubted]
    sensors = {card.bus_id: card for look in looks for card in look.cards}
    told = _without(_joined(reports, sensors), ignored)
    sensors = _without(sensors, ignored)
    all_seen = _without(seen_with(seen, looks), ignored)
    lost = _lost(looks, sensors, told, all_seen).difference(ignored)
    shown = sorted(all_seen) + sorted({*sensors, *lost, *told} - all_seen.keys())
    bus_ids = sorted(shown[:CARDS_CAP])
    lost.intersection_update(bus_ids)
    works = tuple(_works(reports))
    slots = max((work.slot for work in works if work.part is RigPart.GPU), default=0)
    boards = [
        _board(index, bus_id, sensors.get(bus_id), told.get(bus_id), all_seen.get(bus_id),
               is_lost=bus_id in lost, slots=slots)
        for index, bus_id in enumerate(bus_ids)
    ]  # fmt: skip
    nameless = [*_without_bus(reports)][: CARDS_CAP - len(boards)]
    boards += [_of_program(len(boards) + at, card) for at, card in enumerate(nameless)]
    of_cpu = next((work for work in works if work.part is RigPart.CPU), None)
    if of_cpu is not None:
        boards.append(
            Board(
                index=len(boards),
                part=RigPart.CPU,
                name=cpu_name,
                hashrate_hs=of_cpu.hashrate_hs,
                temp_chip_c=host.temp_cpu_c,
                state=BoardState.OFF if of_cpu.paused else None,
            )
        )
    main = main_work(works)
    rate_hs = None if main is None else main.hashrate_hs
    moving = Moving(
        hashrate_hs=rate_hs,
        hashrate_doubt=doubts[0] if doubts and not rate_hs else None,
        power_w=_power(boards),
        temp_chip_c=_highest(board.temp_chip_c for board in boards),
        temp_cpu_c=host.temp_cpu_c,
        uptime_s=host.uptime_s,
        uptime_kind=None if host.uptime_s is None else UptimeKind.BOOT,
        accepted=total(work.accepted for work in works),
        rejected=total(work.rejected for work in works),
        boards=tuple(boards),
        pools=_pools(works, reports),
        works=works,
    )
    faults = (
        *_lost_faults(lost, all_seen, told),
        *_trouble(looks),
        *(doubt_fault(doubt) for doubt in doubts),
    )
    return RigSnapshot(moving=moving, faults=faults, seen=all_seen)


# --- private -------------------------------------------------------------------------------------


def _without(cards: Mapping[str, _Card], ignored: Collection[str]) -> dict[str, _Card]:
    return {bus_id: card for bus_id, card in cards.items() if bus_id not in ignored}


def _doubt(report: ProgramReport) -> str | None:
    """Why its rates are not believed; see `doubt_of`."""
    for work in report.works:
        if work.part is RigPart.GPU:
            at = work.slot - 1
            parts = [card.rates_hs[at] for card in report.cards if len(card.rates_hs) > at]
            if (doubt := doubt_of((work.hashrate_hs,), parts)) is not None:
                return f"{report.name}: {doubt}"
    return None


def _unrated(report: ProgramReport) -> ProgramReport:
    """The same without rates."""
    replace = msgspec.structs.replace
    return replace(
        report,
        works=tuple(replace(work, hashrate_hs=None) for work in report.works),
        cards=tuple(replace(card, rates_hs=(None,) * len(card.rates_hs)) for card in report.cards),
    )


def _joined(
    reports: Iterable[ProgramReport], sensors: Mapping[str, CardSensors]
) -> dict[str, ProgramCard]:
    """What programs tell of cards, by the bus ids of the sensors where they have one. A program that tells the bus
    alone means the one card there; of several on one bus as many in their order as it tells.
    """
    found: dict[str, ProgramCard] = {}
    for report in reports:
        by_bus: dict[str, list[ProgramCard]] = {}
        for card in report.cards:
            if card.bus_id is not None:
                by_bus.setdefault(card.bus_id, []).append(card)
        for bus_id, cards in by_bus.items():
            there = [each for each in sorted(sensors) if each.startswith(bus_id)]
            names = there if len(there) == len(cards) else [_assumed(bus_id)] * len(cards)
            for name, card in zip(names, cards, strict=True):
                found[name] = _better(found.get(name), card)
    return found


def _assumed(bus_id: str) -> str:
    """A card has its bus to itself, nearly everywhere."""
    return bus_id if "." in bus_id else f"{bus_id}:00.0"


def _better(one: ProgramCard | None, other: ProgramCard) -> ProgramCard:
    """Of two programs that know one card the one that mines on it."""
    return one if one is not None and any(one.rates_hs) else other


def _lost(
    looks: Sequence[CardLook],
    sensors: Mapping[str, CardSensors],
    told: Mapping[str, ProgramCard],
    seen: Mapping[str, SeenCard],
) -> set[str]:
    """Cards that ought to be there and are not. Where sensors fail as a whole nothing is known of their cards, and
    where there are none at all a program's word is no contradiction.
    """
    failed = {look.source for look in looks if look.state is SensorState.FAILED}
    is_read = any(look.state is SensorState.READ for look in looks)
    lost = {bus_id for look in looks for bus_id in look.lost}
    lost |= {bus_id for bus_id, card in seen.items() if card.source not in failed}
    if is_read and not failed:
        lost |= set(told)
    return lost - sensors.keys()


def _board(
    index: int,
    bus_id: str,
    sensors: CardSensors | None,
    told: ProgramCard | None,
    seen: SeenCard | None,
    *,
    is_lost: bool,
    slots: int,
) -> Board:
    """One card: its sensors first, the program's word where they have none. One that no program mines on, while some
    program tells its rates, has a rate of 0.
    """
    here = sensors or CardSensors(bus_id=bus_id)
    card = told or ProgramCard(rates_hs=() if is_lost else (0.0,) * slots)
    rates = (*card.rates_hs, None, None)
    return Board(
        index=index,
        part=RigPart.GPU,
        name=(seen.name if seen else None) or card.name,
        bus_id=bus_id,
        hashrate_hs=rates[0],
        hashrate_2_hs=rates[1],
        frequency_hz=_first(here.core_hz, card.core_hz),
        memory_hz=_first(here.memory_hz, card.memory_hz),
        temp_chip_c=_first(here.temp_c, card.temp_c),
        temp_memory_c=_first(here.temp_memory_c, card.temp_memory_c),
        fan_percent=_first(here.fan_percent, card.fan_percent),
        power_w=_first(here.power_w, card.power_w),
        state=BoardState.BAD if is_lost else None if sensors is None else BoardState.OK,
    )


def _of_program(index: int, card: ProgramCard) -> Board:
    """A card whose bus no program tells."""
    rates = (*card.rates_hs, None, None)
    return Board(
        index=index,
        part=RigPart.GPU,
        name=card.name,
        hashrate_hs=rates[0],
        hashrate_2_hs=rates[1],
        frequency_hz=card.core_hz,
        memory_hz=card.memory_hz,
        temp_chip_c=card.temp_c,
        temp_memory_c=card.temp_memory_c,
        fan_percent=card.fan_percent,
        power_w=card.power_w,
    )


def _without_bus(reports: Iterable[ProgramReport]) -> Iterator[ProgramCard]:
    return (card for report in reports for card in report.cards if card.bus_id is None)


def _works(reports: Iterable[ProgramReport]) -> Iterator[RigWork]:
    for report in reports:
        for work in report.works:
            yield _work(report, work)


def _work(report: ProgramReport, work: ProgramWork) -> RigWork:
    return RigWork(
        part=work.part,
        slot=work.slot,
        program=report.name,
        program_version=report.version,
        algorithm=work.algorithm,
        pool=work.pool,
        hashrate_hs=work.hashrate_hs,
        paused=report.paused,
        uptime_s=report.uptime_s,
        accepted=work.accepted,
        rejected=work.rejected,
    )


def _power(boards: Iterable[Board]) -> float | None:
    """What the cards draw together, where each of them tells."""
    told = [
        board.power_w
        for board in boards
        if board.part is RigPart.GPU and board.state is not BoardState.BAD
    ]
    known = [each for each in told if each is not None]
    return sum(known) if known and len(known) == len(told) else None


def _pools(works: Iterable[RigWork], reports: Iterable[ProgramReport]) -> tuple[Pool, ...]:
    lost = {report.name for report in reports if report.pool_lost}
    found = [
        Pool(
            index=index,
            url=work.pool,
            status="dead" if work.program in lost else "alive" if work.hashrate_hs else None,
            active=work.program not in lost,
            accepted=work.accepted,
            rejected=work.rejected,
        )
        for index, work in enumerate(work for work in works if work.pool)
        if work.pool
    ]
    return tuple(found)


def _lost_faults(
    lost: Iterable[str], seen: Mapping[str, SeenCard], told: Mapping[str, ProgramCard]
) -> Iterator[MinerFault]:
    for bus_id in sorted(lost):
        name = (
            seen[bus_id].name if bus_id in seen else told[bus_id].name if bus_id in told else None
        )
        yield MinerFault(
            code="gpu_lost",
            text=f"{name or 'a graphics card'} at PCI {bus_id} is not there any more: it fell off the bus. "
            "Restart the rig; if it happens again, look at its riser, its power cables and its clocks; if it was taken "
            "out, name it in ignored_cards of the rig",
        )


def _trouble(looks: Iterable[CardLook]) -> Iterator[MinerFault]:
    for look in looks:
        if look.state is SensorState.FAILED:
            yield MinerFault(
                code="gpu_sensors_failed",
                text=f"the sensors of its {look.source} cards do not tell: {look.trouble}",
                severity="warning",
            )


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _highest(values: Iterable[float | None]) -> float | None:
    return max((each for each in values if each is not None), default=None)
