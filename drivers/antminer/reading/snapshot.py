"""What the replies of one look mean, in SI units. Two shapes: the legacy one of every poll, and the newer API's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.miner import Board, BoardState, MinerFault, Moving, Pool, PowerMode, UptimeKind
from drivers.antminer.models import GIGA, KILO, MEGA, OLD, TERA, AntminerSpec
from drivers.antminer.protocol.replies import AntminerPool
from drivers.antminer.reading.figures import (
    ago_s,
    hottest,
    number,
    rate_hs,
    scaled,
    temps_c,
    text_of,
    unit_hs,
    watts,
    whole,
)
from drivers.protocol.values import names_unit
from drivers.reading.boards import believed, doubt_of

CHAINS: Final = 16
FANS: Final = 8
POOLS: Final = 16  # more than any firmware has; a reading must stay small whatever a miner sends
RATIO_CAP: Final = 1.3  # a mean over its ideal by more than this: one of the two has another unit
RATIO_FLOOR: Final = 0.002  # a thousandth, likewise
SLEEPING: Final = 254  # the S17 family's word for it in `Mode`
Row = Mapping[str, Any]


class AntminerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Moving facts, and what of the same replies belongs to slower records."""

    moving: Moving
    ideal_hs: float | None = None
    has_doubtful_unit: bool = False
    is_powered_down: bool = False  # boards are there and every chip of them is off
    is_empty: bool = False  # its process answers, with lists of nothing
    mode_number: int | None = None  # of the S17 family


def snapshot_of(
    summary: Row | None,
    stats: Row | None,
    pools: list[AntminerPool] | None,
    spec: AntminerSpec | None,
    generation: str | None,
) -> AntminerSnapshot:
    """Moving facts out of legacy replies. Rows that were empty or not given (a sleeping miner) are `None`."""
    one = summary or _NOTHING
    two = stats or _NOTHING
    scale = _unit(one, two, spec)
    rate, ideal, mean, half = _rates(one, two, scale)
    boards = _boards(two, spec, scale)
    is_liquid = spec is not None and spec.fans == 0
    doubt = doubt_of(
        (rate, mean),
        (board.hashrate_hs for board in boards),
        expected=spec.boards if spec else None,
    )
    is_doubtful = _is_doubtful(rate, mean, ideal)
    shown = pools_of(pools or [])
    uptime = number(one.get("Elapsed", two.get("Elapsed")))
    errors = whole(one.get("Hardware Errors"))
    moving = Moving(
        hashrate_hs=rate,
        hashrate_30m_hs=half,
        hashrate_avg_hs=mean,
        power_w=watts(two.get("chain_power")),
        temp_chip_c=_extreme([board.temp_chip_c for board in boards]),
        temp_board_c=_extreme([board.temp_pcb_c for board in boards]),
        temp_inlet_c=_extreme([board.temp_inlet_c for board in boards]) if is_liquid else None,
        temp_outlet_c=_extreme([board.temp_outlet_c for board in boards]) if is_liquid else None,
        fan_rpm=_fans(two, spec, generation),
        uptime_s=uptime,
        uptime_kind=None if uptime is None else UptimeKind.PROCESS,
        accepted=_total(one.get("Accepted"), [pool.accepted for pool in shown]),
        rejected=_total(one.get("Rejected"), [pool.rejected for pool in shown]),
        stale=_total(one.get("Stale"), [pool.stale for pool in shown]),
        hw_errors=whole(two.get("no_matching_work")) if errors is None else errors,
        boards=boards,
        pools=shown,
    )
    return AntminerSnapshot(
        moving=believed(moving, doubt),
        ideal_hs=None if is_doubtful or doubt else ideal,
        has_doubtful_unit=is_doubtful,
        is_powered_down=bool(boards) and all(board.state is BoardState.OFF for board in boards),
        mode_number=number_of_mode(two.get("Mode"), generation),
    )


def number_of_mode(value: Any, generation: str | None) -> int | None:
    """The power mode in `Mode`, on the old generation alone: the newer write a constant 2 there, which is none."""
    return value if generation == OLD and value.__class__ is int else None


def pools_of(rows: list[AntminerPool]) -> tuple[Pool, ...]:
    """The slots that are set. In use is the one alive on stratum whose priority comes first."""
    used = [row for row in rows[:POOLS] if row.url]
    active: AntminerPool | None = None
    for row in used:
        is_live = row.stratum_active is True or row.stratum_active in {"true", "True"}
        if (
            is_live
            and (row.status or "").lower() == "alive"
            and (active is None or _priority(row) < _priority(active))
        ):
            active = row
    knows = any(row.stratum_active is not None for row in used)
    return tuple(
        Pool(
            index=_index(row, at),
            url=row.url or "",
            user=str(row.user) if row.user not in {None, ""} else None,
            status=row.status.lower() if row.status else None,
            active=row is active if knows else None,
            priority=whole(row.priority),
            accepted=whole(row.accepted),
            rejected=whole(row.rejected),
            stale=whole(row.stale),
            difficulty=scaled(row.diff),
            last_share_s=ago_s(row.last_share),
        )
        for at, row in enumerate(used)
    )


class NewApiSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What only the newer API tells: board serials by board number, the running mode, the fault list, on some builds
    the watts.
    """

    serials: dict[int, str] = {}
    mode_number: int | None = None
    faults: tuple[MinerFault, ...] = ()
    power_w: float | None = None
    moving: Moving | None = None
    ideal_hs: float | None = None


def new_api_snapshot_of(
    summary: Row | None, stats: Row | None, spec: AntminerSpec | None
) -> NewApiSnapshot:
    """The newer API's `summary` and `stats`, also as the web side prints them."""
    one = summary or _NOTHING
    two = stats or _NOTHING
    source = two if "rate_5s" in two else one
    scale = unit_hs(source.get("rate_unit")) or (spec.unit_hs if spec else GIGA)
    boards = _new_boards(two, spec, scale)
    mode = number(two.get("miner-mode"))
    ideal = _scaled(source.get("rate_ideal"), scale)
    mean = _scaled(source.get("rate_avg"), scale)
    rate = _scaled(source.get("rate_5s"), scale)
    doubt = doubt_of(
        (rate, mean),
        (board.hashrate_hs for board in boards),
        expected=spec.boards if spec else None,
    )
    uptime = number(source.get("elapsed"))
    fans = two.get("fan")
    rpm = (
        tuple(r for each in fans[:FANS] if (r := whole(each)) is not None)
        if isinstance(fans, list)
        else ()
    )
    moving = Moving(
        hashrate_hs=rate,
        hashrate_30m_hs=_scaled(source.get("rate_30m"), scale),
        hashrate_avg_hs=mean,
        power_w=_watts(two),
        temp_chip_c=_extreme([board.temp_chip_c for board in boards]),
        temp_board_c=_extreme([board.temp_pcb_c for board in boards]),
        temp_inlet_c=_extreme([board.temp_inlet_c for board in boards]),
        temp_outlet_c=_extreme([board.temp_outlet_c for board in boards]),
        fan_rpm=rpm if any(rpm) else (),
        uptime_s=uptime,
        uptime_kind=None if uptime is None else UptimeKind.PROCESS,
        hw_errors=whole(one.get("hw_all")),
        boards=boards,
    )
    return NewApiSnapshot(
        serials={board.index: board.serial for board in boards if board.serial},
        mode_number=None if mode is None else int(mode),
        faults=_faults(one.get("status")),
        power_w=_watts(two),
        moving=believed(moving, doubt) if source else None,
        ideal_hs=None if _is_doubtful(rate, mean, ideal) or doubt else ideal,
    )


def mode_of(word: object, generation: str | None) -> PowerMode | None:
    """The mode behind a `miner-mode` or `bitmain-work-mode` value. Empty means normal; unknown numbers `None`."""
    if word is None:
        return None
    text = str(word).strip()
    if generation == OLD:
        return PowerMode.SLEEP if text == str(SLEEPING) else PowerMode.NORMAL
    return _MODES.get(text)


# --- private -------------------------------------------------------------------------------------

_NOTHING: Final[Row] = {}
# 2 is the high-efficiency mode: less power than normal, on images that have no 3 as well as on some that do.
_MODES: Final = {
    "": PowerMode.NORMAL,
    "0": PowerMode.NORMAL,
    "1": PowerMode.SLEEP,
    "2": PowerMode.LOW,
    "3": PowerMode.LOW,
}
_WATT_KEYS: Final = ("power", "watt")  # L9; L11 and S23 Hyd
_UNITS: Final = (1.0, KILO, MEGA, GIGA, TERA)
# A figure, and the same once more with its unit.
_TWICE: Final = (
    ("GHS av", "AV HASHRATE"),
    ("total_rateideal", "THEORY HASHRATE"),
    ("GHS 5s", "RT HASHRATE"),
)
_FAN_KEYS: Final = tuple(f"fan{n}" for n in range(1, FANS + 1))
_CHAIN_KEYS: Final = tuple(
    (
        n,
        f"chain_acs{n}",
        f"chain_acn{n}",
        f"chain_rate{n}",
        f"CHAIN AVG HASHRATE{n}",
        f"chain_rateideal{n}",
        f"chain_hw{n}",
        (f"temp_chip{n}", f"temp_in_chip_{n}", f"temp_out_chip_{n}"),
        f"temp2_{n}",
        (f"temp_pcb{n}", f"temp_in_pcb_{n}", f"temp_out_pcb_{n}"),
        f"temp{n}",
        f"temp_pic{n}",
        (f"freq{n}", f"freq_avg{n}", f"frequency{n}"),
    )
    for n in range(1, CHAINS + 1)
)


def _unit(one: Row, two: Row, spec: AntminerSpec | None) -> float:
    """What one of the figures without a unit counts: what they say themselves, else what a figure shows that godminer
    writes both without and with its unit, else what the model is known for.

    The scrypt models changed theirs: images of 2026 count GH/s where those before counted MH/s.
    """
    if (named := unit_hs(two.get("rate_unit"))) is not None:
        return named
    for key, text in _TWICE:
        bare, told = number(two.get(key, one.get(key))), rate_hs(one.get(text))
        if not bare or not told or bare < 0:
            continue
        for unit in _UNITS:
            if 0.1 < bare * unit / told < 10.0:  # the two may be some seconds apart
                return unit
    return spec.unit_hs if spec else GIGA


def _rates(
    one: Row, two: Row, scale: float
) -> tuple[float | None, float | None, float | None, float | None]:
    """Now, ideal, mean since the process began, mean of 30 minutes.

    Godminer writes the same figures once more as text with their unit: those cannot be mistaken.
    """
    now = rate_hs(one.get("RT HASHRATE"))
    ideal = rate_hs(one.get("THEORY HASHRATE"))
    mean = rate_hs(one.get("AV HASHRATE"))
    if now is None:
        now = _scaled(two.get("GHS 5s", one.get("GHS 5s")), scale)
    if now is None:  # Braiins
        now = _scaled(one.get("MHS 5s"), 1e6)
    if mean is None:
        mean = _scaled(two.get("GHS av", one.get("GHS av")), scale)
    if mean is None:
        mean = _scaled(one.get("MHS av"), 1e6)
    if ideal is None:
        ideal = _scaled(two.get("total_rateideal"), scale) or None  # 0 while it sleeps: not said
    half = two.get("rate_30m", two.get("GHS 30m", one.get("GHS 30m")))
    return now, ideal, mean, _scaled(half, scale)


def _scaled(value: Any, scale: float) -> float | None:
    """A rate >= 0 that counts in `scale`, unless it names a unit of its own."""
    if names_unit(value):
        found = rate_hs(value)
    else:
        figure = number(value)
        found = None if figure is None else figure * scale
    return None if found is None or found < 0 else found


def _is_doubtful(rate: float | None, mean: float | None, ideal: float | None) -> bool:
    """Whether the ideal has another unit than the rates. A mean that is low is what one shows that had no work for
    long, so the present rate has to be as low.
    """
    if not mean or not ideal:
        return False
    lowest = RATIO_FLOOR * ideal
    return mean > RATIO_CAP * ideal or (mean < lowest and 0 < (rate or 0.0) < lowest)


def _boards(two: Row, spec: AntminerSpec | None, scale: float) -> tuple[Board, ...]:
    boards: list[Board] = []
    unit = (spec.board_unit_hs if spec else None) or scale
    for n, acs, acn, rate, mean, ideal, hw, chips, chip, pcbs, pcb, pic, freqs in _CHAIN_KEYS:
        states = two.get(acs)
        given = two.get(acn)
        if not states and not given:
            continue
        count = whole(given)
        if not count and not text_of(states):
            continue
        good, bad = _marks(states)
        own = rate_hs(two.get(mean))
        frequency = next((f for key in freqs if (f := number(two.get(key)))), None)
        if frequency is None:
            frequency = number(two.get("frequency"))
        sensors = temps_c(two.get(pic)) if spec and spec.fans == 0 else []
        boards.append(
            Board(
                index=n,
                hashrate_hs=_scaled(two.get(rate), unit) if own is None else own,
                hashrate_ideal_hs=_scaled(two.get(ideal), unit) or None,
                chips=count,
                chips_expected=spec.chips if spec else None,
                chips_bad=bad if states else None,
                frequency_hz=frequency * 1e6 if frequency else None,
                temp_chip_c=_hottest(two, chips) or hottest(two.get(chip)),
                temp_pcb_c=_hottest(two, pcbs) or hottest(two.get(pcb)),
                temp_inlet_c=_side(sensors, 0),
                temp_outlet_c=_side(sensors, 1),
                hw_errors=whole(two.get(hw)),
                state=_state(good, bad) if states else None,
            )
        )
    return tuple(boards)


def _hottest(two: Row, keys: tuple[str, str, str]) -> float | None:
    """All sensors of one field, or of the two that godminer has in its place."""
    whole_board, inner, outer = keys
    if (value := two.get(whole_board)) is not None:
        return hottest(value)
    return hottest(two.get(inner), two.get(outer)) if inner in two else None


def _marks(states: Any) -> tuple[int, int]:
    """Chips that work and chips that do not; godminer writes some of these as capitals."""
    if states.__class__ is not str:
        return 0, 0
    return states.count("o"), states.count("x") + states.count("X")


def _state(good: int, bad: int) -> BoardState:
    if bad and not good:
        return BoardState.OFF  # powered down: asleep, or stopped by its own protection
    return BoardState.BAD if bad else BoardState.OK


def _side(sensors: list[float], side: int) -> float | None:
    """Liquid cooling: of four board sensors the even ones sit at the inlet, the odd ones at the outlet."""
    return max(sensors[side::2]) if len(sensors) == 4 else None


def _new_boards(two: Row, spec: AntminerSpec | None, scale: float) -> tuple[Board, ...]:
    chain = two.get("chain")
    boards: list[Board] = []
    for row in chain[:CHAINS] if isinstance(chain, list) else ():
        if not isinstance(row, dict):
            continue
        at = whole(row.get("index"))
        states = text_of(row.get("asic"))
        good, bad = _marks(states)
        frequency = number(row.get("freq_avg"))
        sensors = temps_c(row.get("temp_pic")) if spec and spec.fans == 0 else []
        boards.append(
            Board(
                index=(len(boards) if at is None else at)
                + 1,  # counted from 0 here, from 1 elsewhere
                serial=text_of(row.get("sn")),
                hashrate_hs=_scaled(row.get("rate_real"), scale),
                hashrate_ideal_hs=_scaled(row.get("rate_ideal"), scale),
                chips=whole(row.get("asic_num")),
                chips_expected=spec.chips if spec else None,
                chips_bad=bad if states else None,
                frequency_hz=frequency * 1e6 if frequency else None,
                temp_chip_c=hottest(row.get("temp_chip")),
                temp_pcb_c=hottest(row.get("temp_pcb")),
                temp_inlet_c=_side(sensors, 0),
                temp_outlet_c=_side(sensors, 1),
                hw_errors=whole(row.get("hw")),
                state=_state(good, bad) if states else None,
            )
        )
    return tuple(boards)


def _watts(two: Row) -> float | None:
    """By whichever name the build has for it. One that hashes at 0 W does not know."""
    told = (watts(two.get(key), may_be_bare=True) for key in _WATT_KEYS)
    return next((found for found in told if found and found > 0), None)


def _fans(two: Row, spec: AntminerSpec | None, generation: str | None) -> tuple[int, ...]:
    """Old control boards leave slots empty between fans, so a 0 there means nothing. Newer ones count through, and
    a 0 among their first is a fan that stands.
    """
    speeds = [whole(two.get(key)) or 0 for key in _FAN_KEYS]
    if generation == OLD or not spec or not spec.fans:
        return tuple(rpm for rpm in speeds if rpm)
    count = whole(two.get("fan_num")) or 0
    if not any(key in two for key in _FAN_KEYS):
        return ()
    return tuple(speeds[: max(min(count, FANS), _last(speeds))])


def _last(speeds: list[int]) -> int:
    return max((at + 1 for at, rpm in enumerate(speeds) if rpm), default=0)


def _faults(rows: Any) -> tuple[MinerFault, ...]:
    faults: list[MinerFault] = []
    for row in rows[:32] if isinstance(rows, list) else ():
        if not isinstance(row, dict) or str(row.get("status", "s")).lower() == "s":
            continue
        kind = text_of(row.get("type")) or "unknown"
        code = text_of(str(row.get("code", "")))
        faults.append(
            MinerFault(
                code=kind if code in {None, "0"} else f"{kind}:{code}"[:40],
                text=(text_of(row.get("msg")) or kind)[:200],
            )
        )
    return tuple(faults)


def _total(value: Any, parts: list[int | None]) -> int | None:
    found = whole(value)
    if found is not None:
        return found
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _extreme(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _priority(row: AntminerPool) -> int:
    found = whole(row.priority)
    return 1 << 30 if found is None else found


def _index(row: AntminerPool, at: int) -> int:
    found = whole(row.pool)
    return at if found is None else found
