"""A reading of a CPU/GPU rig as the monitor wants it: names, units and groups that both its text and server 5.0.0 take.

A group (coin, algorithm, unit, rates) is told whole or not at all. One unit serves all cards of an algorithm, and rates
are whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from agent.sinks.rigmonitor.figures import text, whole
from contract.miner import Board, Moving, RigPart, RigWork, Static
from contract.rigmonitor.rig import GPUS, RateUnit, RigLog, RigSpec
from contract.rigmonitor.shared import uptime_text

CPU: Final = "cpu"
GPU_1: Final = "gpu_1"
GPU_2: Final = "gpu_2"  # the second of two algorithms at once
# The three things that the monitor knows a rig to mine, and which work of a reading each of them is.
SLOTS: Final[dict[str, tuple[RigPart, int]]] = {
    CPU: (RigPart.CPU, 1),
    GPU_1: (RigPart.GPU, 1),
    GPU_2: (RigPart.GPU, 2),
}
UNKNOWN: Final = "unknown"  # for what the monitor insists on and the rig does not tell
SEVERAL: Final = "several algorithms at once, for which the monitor has one place"
NO_COIN: Final = "no coin is known; set its coin_name in [[rigmonitor.rig]]"

_LOST: Final = "bad"  # the state of a card that fell off its bus
_LEAST: Final = 1000  # of the highest rate, in the unit that is taken
_KIB: Final = 1024
# Where an algorithm has one coin that nearly all of its miners work for; by the names of programs, lower case.
_COINS: Final = {
    "rx/0": "Monero",
    "randomx": "Monero",
    "kawpow": "Ravencoin",
    "etchash": "Ethereum Classic",
    "kheavyhash": "Kaspa",
    "autolykos2": "Ergo",
    "octopus": "Conflux",
}


class Mined(msgspec.Struct, frozen=True, kw_only=True):
    """What is mined, where to and for whom, as far as somebody knows it."""

    coin_name: str | None = None
    algorithm: str | None = None
    pool_address: str | None = None
    wallet_address: str | None = None

    def or_else(self, other: Mined) -> Mined:
        """The same, with what `other` knows in place of what is open."""
        return Mined(
            coin_name=self.coin_name or other.coin_name,
            algorithm=self.algorithm or other.algorithm,
            pool_address=self.pool_address or other.pool_address,
            wallet_address=self.wallet_address or other.wallet_address,
        )


class RigRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A log, and why what is mined in some slots is not in it."""

    log: RigLog
    left_out: dict[str, str]


def cards_of(moving: Moving) -> list[Board]:
    """The graphics cards, `gpu_1` first: by their PCI bus, those without one last."""
    cards = [board for board in moving.boards if board.part is RigPart.GPU]
    return sorted(cards, key=lambda card: (card.bus_id is None, card.bus_id or "", card.index))


def cards_beyond(moving: Moving) -> str | None:
    """That the rig has more cards than the monitor is told of, in words for the operator; `None` where it has not."""
    number = len(cards_of(moving))
    if number <= GPUS:
        return None
    return f"it has {number} graphics cards, and a Mining Rig Monitor is told of the first {GPUS} by PCI bus id"


def rig_spec_of(static: Static, moving: Moving) -> RigSpec:
    """What the rig is. A card that fell off stays in it: the log leaves that card out."""
    names = {
        f"gpu_{number}_name": text(card.name)
        for number, card in enumerate(cards_of(moving)[:GPUS], start=1)
    }
    return RigSpec(
        motherboard_name=text(static.control_board) or UNKNOWN,
        cpu_name=text(static.cpu_name) or UNKNOWN,
        ram_size=_ram_size(static.ram_bytes),
        **names,
    )


def live_works(moving: Moving) -> dict[str, list[RigWork]]:
    """By slot, the works that count for it: of several programs in one those that hash."""
    found: dict[str, list[RigWork]] = {}
    for slot, place in SLOTS.items():
        works = [work for work in moving.works if (work.part, work.slot) == place]
        found[slot] = [work for work in works if work.hashrate_hs] or works
    return found


def rig_record_of(
    moving: Moving, mined: Mapping[str, Mined], *, lan_ip: str | None, wan_ip: str | None = None
) -> RigRecord:
    """What the rig does. `mined` says by slot what is known of it beside the reading; the reading tells the rest.

    A slot is left out that is paused, that tells no rate, that runs several algorithms, or whose coin nobody knows.
    """
    cards = cards_of(moving)[:GPUS]
    told: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for slot, works in live_works(moving).items():
        if not works or all(work.paused for work in works):
            continue
        group = _group(slot, works, cards, mined.get(slot, Mined()))
        if isinstance(group, str):
            left_out[slot] = group
        else:
            told |= group
    for number, card in enumerate(cards, start=1):
        told |= _card(number, card)
    if any(name.endswith("_fan") and value is not None for name, value in told.items()):
        told["gpu_fan_uom"] = "%"
    log = RigLog(
        cpu_temp=whole(moving.temp_cpu_c),
        lan_ip=text(lan_ip),
        wan_ip=text(wan_ip),
        uptime=_uptime(moving.uptime_s),
        **told,
    )
    return RigRecord(log=log, left_out=left_out)


# --- private -------------------------------------------------------------------------------------


def _group(
    slot: str, works: Sequence[RigWork], cards: Sequence[Board], known: Mined
) -> dict[str, Any] | str:
    """The fields of one group, all of them or none; why, where its rate is known and the rest is not."""
    if slot == CPU:
        rates = {"cpu_hashrate": _total(work.hashrate_hs for work in works)}
    else:
        rates = dict(_card_rates(slot, cards))
    unit = _unit(rates.values())
    if unit is None:
        return {}
    if len({work.algorithm for work in works}) > 1:
        return SEVERAL
    first = works[0]
    known = known.or_else(Mined(algorithm=first.algorithm, pool_address=first.pool))
    coin = known.coin_name or _COINS.get((first.algorithm or "").lower())
    fields = {
        "coin_name": text(coin),
        "algorithm": text(known.algorithm) or UNKNOWN,
        "hashrate_uom": unit,
        "pool_address": text(known.pool_address),
        "wallet_address": text(known.wallet_address),
    }
    if fields["coin_name"] is None:
        return NO_COIN
    size = _SIZES[unit]
    numbers = {name: whole(rate / size) for name, rate in rates.items() if rate is not None}
    if slot == CPU:
        if numbers["cpu_hashrate"] is None:
            return {}
        return numbers | _named("cpu_{}", fields) | {"cpu_wallet": fields["wallet_address"]}
    return numbers | _named(f"gpu_{{}}_{SLOTS[slot][1]}", fields)


def _named(pattern: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {pattern.format(name): value for name, value in fields.items()}


def _card_rates(slot: str, cards: Sequence[Board]) -> Iterator[tuple[str, float | None]]:
    """Of each card that is there. A card that mines nothing has a rate of 0 in its reading."""
    number_of_algorithm = SLOTS[slot][1]
    for number, card in enumerate(cards, start=1):
        rate = card.hashrate_hs if slot == GPU_1 else card.hashrate_2_hs
        if card.state != _LOST:
            yield f"gpu_{number}_hashrate_{number_of_algorithm}", _rate(rate)


def _card(number: int, card: Board) -> dict[str, Any]:
    """What one card's sensors tell; nothing of one that is not there."""
    if card.state == _LOST:
        return {}
    return {
        f"gpu_{number}_core_temp": whole(card.temp_chip_c),
        f"gpu_{number}_mem_temp": whole(card.temp_memory_c),
        f"gpu_{number}_core_clock": _mhz(card.frequency_hz),
        f"gpu_{number}_mem_clock": _mhz(card.memory_hz),
        f"gpu_{number}_power": whole(card.power_w),
        f"gpu_{number}_fan": whole(card.fan_percent),
    }


def _unit(rates: Iterable[float | None]) -> RateUnit | None:
    """The largest in which the highest rate still has four digits; `None` where no rate is told."""
    highest = max((rate for rate in rates if rate is not None), default=None)
    if highest is None:
        return None
    return next(
        (unit for unit, size in reversed(_SIZES.items()) if highest >= _LEAST * size), RateUnit.H
    )


_SIZES: Final = {unit: 1000.0**power for power, unit in enumerate(RateUnit)}


def _total(rates: Iterable[float | None]) -> float | None:
    told = [rate for each in rates if (rate := _rate(each)) is not None]
    return sum(told) if told else None


def _rate(rate_hs: float | None) -> float | None:
    """`None` for what is no rate."""
    if rate_hs is None or not math.isfinite(rate_hs) or rate_hs < 0:
        return None
    return rate_hs


def _mhz(rate_hz: float | None) -> int | None:
    return None if rate_hz is None else whole(rate_hz / 1e6)


def _ram_size(ram_bytes: int | None) -> str:
    """`16GB`. What the system shows lacks some that its devices took: rounded up to an even number, as modules are."""
    if not ram_bytes or ram_bytes < 0:
        return UNKNOWN
    gib = ram_bytes / _KIB**3
    return f"{2 * math.ceil(gib / 2) if gib > 1 else 1}GB"


def _uptime(seconds: float | None) -> str | None:
    return uptime_text(seconds) if seconds is not None and math.isfinite(seconds) else None
