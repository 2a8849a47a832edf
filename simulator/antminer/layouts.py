"""How each family lays out STATS[1] of the legacy `stats`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from simulator.antminer.catalogue import Shape

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

Row = dict[str, Any]
_OLD_SLOTS: Final = range(1, 17)


def stats_row(miner: AntminerDevice) -> Row:
    """What follows the counters every family has."""
    return _SHAPES[miner.spec.shape](miner)


@cache
def chip_text(chips: int, group: int, mark: str) -> str:
    """Chip states as the firmware prints them: groups, each after a blank."""
    full, rest = divmod(chips, group)
    return (" " + mark * group) * full + (" " + mark * rest if rest else "")


def _stats_classic(miner: AntminerDevice) -> Row:
    process, spec = miner.process, miner.spec
    row = _rates(miner, text=True)
    row |= {"miner_count": len(miner.boards()), "frequency": str(spec.frequency)}
    if spec.algorithm == "ethash":
        row["frequency"] = f"{spec.frequency}M"
    row |= {"fan_num": len(spec.fans)} | _fans(miner, 8)
    boards = {spec.chains[index]: index for index in miner.boards()}
    slots = sorted({*boards, *range(1, 17 if spec.stats_id == "BC50" else 5)})
    row["temp_num"] = len(boards)
    temps = {n: miner.board_temps(i) for n, i in boards.items()}
    chips = {n: miner.chip_temps(i) for n, i in boards.items()}
    row |= {f"temp{n}": max(temps[n]) if n in boards else 0 for n in slots}
    row |= {f"temp2_{n}": max(chips[n]) if n in boards else 0 for n in slots}
    if spec.stats_id == "L30":
        row |= {f"temp3{n}": 0 for n in slots}
    else:
        row |= {f"temp3_{n}": 0 for n in slots}
    row["temp_max"] = max((max(t) for t in temps.values()), default=0)
    row |= {"Device Hardware%": 0.0, "no_matching_work": process.hardware_errors()}
    row |= _chains(miner, slots)
    if spec.stats_id == "BC50":
        row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _stats_soc(miner: AntminerDevice) -> Row:
    process, spec = miner.process, miner.spec
    asleep = process.asleep
    boards = {} if asleep else {spec.chains[index]: index for index in miner.boards()}
    row = _rates(miner, text=True)
    row["GHS 30m"] = miner.units.legacy(process.rate_30m())
    row["Mode"] = process.running_mode if len(spec.modes) > 1 else "H"
    if asleep:
        row["Ex Hash Rate"] = 0
    row |= {"miner_count": len(miner.boards()), "frequency": ""}
    row["fan_num"] = 0 if asleep else len(spec.fans)
    row |= dict.fromkeys((f"fan{n}" for n in _OLD_SLOTS), 0) if asleep else _fans(miner, 16)
    row["temp_num"] = len(miner.boards())
    for name, temps in (("temp{}", miner.board_temps), ("temp2_{}", miner.chip_temps)):
        row |= {name.format(n): max(temps(boards[n])) if n in boards else 0 for n in _OLD_SLOTS}
    row |= {f"temp3_{n}": row[f"temp2_{n}"] for n in _OLD_SLOTS}
    row |= {f"temp_pcb{n}": _dashed(miner.board_temps, boards.get(n)) for n in _OLD_SLOTS}
    row |= {f"temp_chip{n}": _dashed(miner.chip_temps, boards.get(n)) for n in _OLD_SLOTS}
    row["total_rateideal"] = 0.0 if asleep else miner.units.legacy_ideal(miner.ideal_hs())
    if unit := miner.units.legacy_name():
        row["rate_unit"] = unit
    row |= {
        "total_freqavg": 0.0,
        "total_acn": len(boards) * spec.chips,
        "total_rate": miner.units.legacy(process.rate_5s()),
    }
    row |= {f"chain_rateideal{n}": 0.0 for n in _OLD_SLOTS}
    row["temp_max"] = max((row[f"temp{n}"] for n in _OLD_SLOTS), default=0)
    row["no_matching_work"] = process.hardware_errors()
    row |= _chains(miner, _OLD_SLOTS, hidden=asleep)
    row |= {f"freq{n}": spec.frequency if n in boards else 0 for n in _OLD_SLOTS}
    row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _stats_bm(miner: AntminerDevice) -> Row:
    process, spec = miner.process, miner.spec
    slots = range(1, max(4, len(spec.chains)) + 1)
    boards = {spec.chains[index]: index for index in miner.boards()}
    row = _rates(miner, text=False)
    row |= {
        "rate_30m": miner.units.legacy(process.rate_30m()),
        "Mode": 2,
        "miner_count": len(boards),
        "frequency": spec.frequency,
        "fan_num": 4 if spec.fans else 0,
    }
    row |= _fans(miner, 4)
    row["temp_num"] = len(boards)
    for number, index in boards.items():  # no key at all for a board that is not there
        row[f"temp{number}"] = max(miner.board_temps(index))
        row[f"temp2_{number}"] = max(miner.chip_temps(index))
    row |= {f"temp_pcb{n}": _dashed(miner.board_temps, boards.get(n)) for n in slots}
    row |= {f"temp_chip{n}": _dashed(miner.chip_temps, boards.get(n)) for n in slots}
    row |= {f"temp_pic{n}": _dashed(miner.pic_temps, boards.get(n)) for n in slots}
    row |= {
        "total_rateideal": miner.units.legacy_ideal(miner.ideal_hs()),
        "rate_unit": miner.units.legacy_name(),
        "total_freqavg": spec.frequency,
        "total_acn": len(boards) * spec.chips,
        "total rate": miner.units.legacy(process.rate_avg()),
        "temp_max": 0,
        "no_matching_work": process.hardware_errors(),
    }
    if "chain_power" in miner.faults:
        row["chain_power"] = f"{process.power_w():.0f} W"
    row |= _chains(miner, slots)
    row |= {f"freq{n}": spec.frequency if n in boards else 0 for n in slots}
    row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _stats_god(miner: AntminerDevice) -> Row:
    process, spec = miner.process, miner.spec
    boards = {spec.chains[index]: index for index in miner.boards()}
    row = _rates(miner, text=False)
    if unit := miner.units.legacy_name():
        row["rate_unit"] = unit
    row |= {
        "rate_30m": miner.units.legacy(process.rate_30m()),
        "total_rateideal": miner.units.legacy_ideal(miner.ideal_hs()),
        "total_rate": miner.units.legacy(process.rate_5s()),
        "miner_count": len(boards),
        "frequency": spec.frequency,
        "fan_num": len(spec.fans),
    }
    row |= _fans(miner, 4)
    row["temp_num"] = len(boards)
    for number, index in boards.items():
        pcb, chip = miner.board_temps(index), miner.chip_temps(index)
        row |= {
            f"temp{number}": max(pcb),
            f"temp2_{number}": max(chip),
            f"temp_in_pcb_{number}": f"{pcb[0]}-{pcb[0]}-{pcb[2]}-{pcb[2]}",
            f"temp_out_pcb_{number}": f"{pcb[1]}-{pcb[1]}-{pcb[3]}-{pcb[3]}",
            f"temp_in_chip_{number}": f"{chip[0]}-{chip[0]}-{chip[2]}-{chip[2]}",
            f"temp_out_chip_{number}": f"{chip[1]}-{chip[1]}-{chip[3]}-{chip[3]}",
            f"CHAIN AVG HASHRATE{number}": (
                f"{miner.units.legacy(miner.board_rate(index)):.2f} {miner.units.legacy_word()}"
            ),
        }
    row["temp_max"] = max((max(miner.chip_temps(i)) for i in boards.values()), default=0)
    row |= {"no_matching_work": process.hardware_errors(), "total_acn": len(boards) * spec.chips}
    row |= _chains(miner, spec.chains)
    if spec.algorithm == "ethash":  # these chains count in GH/s beside MH/s totals
        row |= {f"chain_rate{n}": miner.board_rate(i) / 1e9 for n, i in boards.items()}
    if "no_rate_texts" in miner.faults:
        row = {key: value for key, value in row.items() if not key.startswith("CHAIN AVG")}
    row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _rates(miner: AntminerDevice, *, text: bool) -> Row:
    now = miner.units.legacy(miner.process.rate_5s())
    return {
        "GHS 5s": f"{now:.2f}" if text else now,
        "GHS av": miner.units.legacy(miner.process.rate_avg()),
    }


def _fans(miner: AntminerDevice, slots: int) -> dict[str, int]:
    spinning = miner.spec.fans
    return {
        f"fan{slot}": miner.process.fan_rpm(slot) if slot in spinning else 0
        for slot in range(1, slots + 1)
    }


def _chains(miner: AntminerDevice, slots: Sequence[int], *, hidden: bool = False) -> Row:
    spec, process = miner.spec, miner.process
    boards = {} if hidden else {spec.chains[index]: index for index in miner.boards()}
    states = chip_text(spec.chips, spec.group, "x" if process.powered_down else "o")
    errors = process.hardware_errors() // max(1, len(boards))
    row: Row = {f"chain_acn{n}": spec.chips if n in boards else 0 for n in slots}
    row |= {f"chain_acs{n}": states if n in boards else "" for n in slots}
    row |= {f"chain_hw{n}": errors if n in boards else 0 for n in slots}
    row |= {
        f"chain_rate{n}": f"{miner.units.legacy(miner.board_rate(boards[n])):.2f}"
        if n in boards
        else ""
        for n in slots
    }
    return row


def _dashed(temps: Any, index: int | None) -> str:
    return "0-0-0-0" if index is None else "-".join(str(temp) for temp in temps(index))


_SHAPES: Final[dict[Shape, Callable[[AntminerDevice], Row]]] = {
    Shape.CLASSIC: _stats_classic,
    Shape.SOC: _stats_soc,
    Shape.BM: _stats_bm,
    Shape.GOD: _stats_god,
}
