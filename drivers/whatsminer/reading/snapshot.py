"""What the replies of port 4028 mean, in SI units, in each of its shapes.

One word means two units here: `MHS` counts MH/s, but in the boards of firmware with API v3 it counts TH/s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from contract.miner import Board, Moving, Pool, PowerMode, Psu
from drivers.protocol.values import number, text_of, whole
from drivers.reading.boards import believed, doubt_of, fullest
from drivers.whatsminer.models import Cooling
from drivers.whatsminer.protocol.api import DevRow, WhatsminerJoined, WhatsminerReply
from drivers.whatsminer.reading.faults import Code, codes_of_summary
from drivers.whatsminer.reading.figures import (
    GIGA,
    MEGA,
    TERA,
    ago_s,
    fans,
    first,
    highest,
    ideal,
    lower,
    positive,
    scaled,
    state_of,
    temp,
    total,
    truth,
    uptime_kind,
    version,
)

BOARDS_CAP: Final = 16
POOLS_CAP: Final = 16
Row = Mapping[str, Any]
_BOARD_TERA_BELOW: Final = 10_000.0  # no board makes less than 0.01 TH/s in MH/s, or more in TH/s


class WhatsminerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Moving facts, and what of the same replies belongs to slower records."""

    moving: Moving
    row: Row = {}  # the summary as the miner wrote it
    ideal_hs: float | None = None
    elapsed_s: float | None = None  # since the mining process began
    boot_s: float | None = None  # since the control board began
    power_limit_w: float | None = None
    power_percent: int | None = None
    power_share: float | None = None
    mode_word: str | None = None
    is_ramping: bool = False
    is_liquid: bool | None = None
    process_is_down: bool = False
    is_off: bool | None = None  # told to stop, where this look shows it
    codes: tuple[Code, ...] = ()
    mac: str | None = None
    control_board: str | None = None
    firmware_version: str | None = None


def snapshot_of(joined: WhatsminerJoined, cooling: Cooling | None) -> WhatsminerSnapshot:
    """A look through port 4028; `joined` has at least a summary."""
    reply = joined.part("summary")
    one: Row = (reply.summary if reply else None) or _NOTHING
    rate = _rate_now(one)
    devs = joined.part("edevs")
    rows = devs.DEVS if devs and devs.DEVS else []
    in_tera = reply is not None and reply.has_msg_summary
    boards, is_ramping = boards_of(rows, rate_hs=rate, in_tera=in_tera)
    listed = joined.part("pools")
    pools = pools_of(listed, reply.when_s if reply else None) if listed else ()
    is_liquid = _is_liquid(one, cooling)
    elapsed, boot = positive(one.get("Elapsed")), positive(one.get("Uptime"))
    env = temp(one.get("Env Temp"))
    moving = Moving(
        hashrate_hs=rate,
        hashrate_1m_hs=scaled(one.get("MHS 1m"), MEGA),
        hashrate_5m_hs=scaled(one.get("MHS 5m"), MEGA),
        hashrate_15m_hs=scaled(one.get("MHS 15m"), MEGA),
        hashrate_avg_hs=scaled(one.get("MHS av"), MEGA),
        power_w=first(positive(one.get("Power_RT")), positive(one.get("Power"))),
        temp_chip_c=temp(one.get("Chip Temp Max")),
        temp_board_c=first(
            temp(one.get("Temperature")), highest(board.temp_pcb_c for board in boards)
        ),
        temp_inlet_c=env if is_liquid else None,
        temp_env_c=env,
        fan_rpm=fans(one.get("Fan Speed In"), one.get("Fan Speed Out"), is_liquid),
        fan_psu_rpm=_known(one.get("Power Fanspeed")),
        uptime_s=boot if elapsed is None else elapsed,
        uptime_kind=uptime_kind(elapsed, boot),
        accepted=total(one.get("Accepted"), [pool.accepted for pool in pools]),
        rejected=total(one.get("Rejected"), [pool.rejected for pool in pools]),
        stale=total(one.get("Stale"), [pool.stale for pool in pools]),
        hw_errors=whole(one.get("Hardware Errors")),
        boards=boards,
        pools=pools,
    )
    return WhatsminerSnapshot(
        moving=believed(moving, _doubt(one, rows, in_tera=in_tera)),
        row=one,
        ideal_hs=ideal(one.get("Factory GHS"), GIGA) or _sum_of_ideals(boards),
        elapsed_s=elapsed,
        boot_s=boot,
        power_limit_w=positive(one.get("Power Limit")) or None,
        mode_word=text_of(one.get("Power Mode")),
        is_ramping=is_ramping,
        is_liquid=is_liquid,
        codes=codes_of_summary(one) if "Error Code Count" in one else (),
        mac=text_of(one.get("MAC")),
        control_board=text_of(one.get("CB Platform")),
        firmware_version=version(one.get("Firmware Version")),
    )


def boards_of(
    rows: Sequence[DevRow], *, rate_hs: float | None, in_tera: bool
) -> tuple[tuple[Board, ...], bool]:
    """The boards, and whether one still ramps up. `rate_hs` (of the whole miner) tells which unit the boards count in;
    `in_tera` is the guess where it does not.
    """
    rows = rows[:BOARDS_CAP]
    unit = _board_unit(rows, rate_hs, in_tera=in_tera)
    boards: list[Board] = []
    is_ramping = False
    for at, row in enumerate(rows):
        slot = whole(row.slot)
        if slot is None:
            slot = whole(row.asc)
        status = text_of(row.status)
        frequency = number(row.frequency)
        is_ramping = is_ramping or whole(row.ramped) == 0
        boards.append(
            Board(
                index=at if slot is None else slot,
                serial=text_of(row.serial),
                hashrate_hs=scaled(_board_rate(row), unit),
                hashrate_ideal_hs=first(ideal(row.factory_ghs, GIGA), ideal(row.factory, GIGA)),
                chips=whole(row.chips),
                frequency_hz=frequency * MEGA if frequency and frequency > 0 else None,
                temp_chip_c=temp(row.chip_max),
                temp_pcb_c=temp(row.temperature),
                hw_errors=whole(row.hw_errors),
                state=state_of(status),
            )
        )
    return tuple(boards), is_ramping


def pools_of(reply: WhatsminerReply, when_s: float | None = None) -> tuple[Pool, ...]:
    """The slots that are set. `when_s`: the device's clock, where the reply itself does not tell it."""
    own = reply.when_s
    when_s = when_s if own is None else own
    used = [row for row in (reply.POOLS or [])[:POOLS_CAP] if text_of(row.url)]
    return tuple(
        Pool(
            index=at if (index := whole(row.pool)) is None else index,
            url=text_of(row.url) or "",
            user=text_of(row.user),
            status=lower(row.status),
            active=truth(row.active),
            priority=whole(row.priority),
            accepted=whole(row.accepted),
            rejected=whole(row.rejected),
            stale=whole(row.stale),
            difficulty=positive(row.difficulty) or None,
            last_share_s=ago_s(row.last_share, when_s),
        )
        for at, row in enumerate(used)
    )


def psu_of(fields: Row) -> Psu | None:
    """The answer to `get_psu`: everything is text, -1 is unknown, mA and 10 mV."""
    milliamps, centivolts = _known(fields.get("iin")), _known(fields.get("vin"))
    psu = Psu(
        model=text_of(fields.get("model")) or text_of(fields.get("name")),
        serial=text_of(fields.get("serial_no")),
        version=text_of(fields.get("sw_version")),
        input_v=None if centivolts is None else centivolts / 100.0,
        input_a=None if milliamps is None else milliamps / 1000.0,
        fan_rpm=_known(fields.get("fan_speed")),
        temp_c=temp(fields.get("temp0")),
    )
    return psu if psu != Psu() else None


def supply_of(psu: Psu | None, summary: Row) -> Psu | None:
    """The supply's record, completed by what the summary of older firmware tells: V, A, 10 mV."""
    output = positive(summary.get("Voltage"))
    found = psu or Psu()
    found = msgspec.structs.replace(
        found,
        input_v=first(found.input_v, positive(summary.get("Power Voltage Input"))),
        input_a=first(found.input_a, positive(summary.get("Power Current Input"))),
        output_v=first(found.output_v, output / 100.0 if output else None),
    )
    return found if found != Psu() else None


class ReportedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `status`."""

    is_off: bool | None = None
    mode_word: str | None = None
    firmware_version: str | None = None
    power_limit_w: float | None = None
    stored_limit: Any = None  # as it writes it: empty is none
    percent: Any = None


def status_of(fields: Row) -> ReportedStatus:
    """Both spellings of its keys are understood."""
    off = fields.get("mineroff", fields.get("btmineroff"))
    return ReportedStatus(
        is_off=truth(off),
        mode_word=text_of(fields.get("power_mode")),
        firmware_version=version(fields.get("FirmwareVersion", fields.get("Firmware Version"))),
        power_limit_w=positive(fields.get("power_limit_set")) or None,
        stored_limit=fields.get("power_limit_set"),
        percent=fields.get("power_pct"),
    )


def mode_of(word: str | None) -> PowerMode | None:
    """The mode behind the miner's word, `None` for one we do not know."""
    return _MODES.get(word.strip().lower()) if word else None


def light_of(ledstat: Any) -> bool | None:
    """Whether it blinks by hand: any state but `auto`. `None` where it is not said."""
    text = text_of(ledstat)
    return None if text is None else text.lower() != "auto"


# --- private -------------------------------------------------------------------------------------

_NOTHING: Final[Row] = {}
# A rate of the summary, and the field of a board's row that tells the same.
_WINDOWS: Final = (
    ("HS RT", "rate_now"),
    ("MHS 1m", "rate_1m"),
    ("MHS 5s", "rate_5s"),
    ("MHS av", "rate_mean"),
)
_MODES: Final = {
    "low": PowerMode.LOW,
    "normal": PowerMode.NORMAL,
    "high": PowerMode.HIGH,
}


def _rate_now(one: Row) -> float | None:
    """Its own real-time rate; older ones have none, and their 5 s rate jumps by a fifth."""
    for key in ("HS RT", "MHS 1m", "MHS 5s", "MHS av"):
        if (rate := scaled(one.get(key), MEGA)) is not None:
            return rate
    return None


def _board_rate(row: DevRow) -> Any:
    for value in (row.rate_now, row.rate_1m, row.rate_5s, row.rate_mean):
        if value is not None:
            return value
    return None


def _doubt(one: Row, rows: Sequence[DevRow], *, in_tera: bool) -> str | None:
    """See `drivers.reading.boards.doubt_of`: of one window that the whole and its boards tell. While it ramps up, two
    windows differ by more than a unit could be told from.
    """
    unit = _board_unit(rows, _rate_now(one), in_tera=in_tera)
    whole_hs, parts = fullest(
        (
            scaled(one.get(key), MEGA),
            [scaled(getattr(row, name), unit) for row in rows[:BOARDS_CAP]],
        )
        for key, name in _WINDOWS
    )
    return doubt_of((whole_hs,), parts)


def _board_unit(rows: Sequence[DevRow], rate_hs: float | None, *, in_tera: bool) -> float:
    """MH/s or TH/s: whichever makes the boards' sum come out nearer to the whole."""
    rates = [found for row in rows if (found := positive(_board_rate(row)))]
    if not rates:
        return TERA if in_tera else MEGA
    if rate_hs:
        ratio = sum(rates) * MEGA / rate_hs  # 1 in MH/s, a millionth in TH/s
        return TERA if ratio < 1e-3 else MEGA
    return TERA if in_tera and max(rates) < _BOARD_TERA_BELOW else MEGA


def _sum_of_ideals(boards: tuple[Board, ...]) -> float | None:
    known = [board.hashrate_ideal_hs for board in boards if board.hashrate_ideal_hs]
    return sum(known) if known and len(known) == len(boards) else None


def _is_liquid(one: Row, cooling: Cooling | None) -> bool | None:
    """The miner's own word, or its model's."""
    told = truth(one.get("Liquid Cooling"))
    if told or cooling is None:
        return told
    return cooling is not Cooling.AIR


def _known(value: Any) -> int | None:
    """A whole number, of which -1 and nothing are unknown."""
    found = number(value)
    return None if found is None or found < 0 else int(found)
