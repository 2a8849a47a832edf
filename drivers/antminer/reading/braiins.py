"""What Braiins OS says of an AntMiner: read only, and shaped otherwise than stock (no `stats`; MHS; fans apart)."""

from __future__ import annotations

from typing import Any, Final

from contract.miner import Board, Moving, UptimeKind
from drivers.antminer.protocol.replies import AntminerJoined, AntminerReply
from drivers.antminer.reading.figures import number, whole
from drivers.antminer.reading.snapshot import AntminerSnapshot, pools_of
from drivers.protocol.values import names_unit
from drivers.reading.boards import believed, doubt_of

COMMANDS: Final = ("summary", "pools", "devs", "temps", "fans")
_MEGA: Final = 1e6
_ROWS: Final = 32  # boards, sensors, fans: more than there can be


def snapshot_of(joined: AntminerJoined) -> AntminerSnapshot:
    """Moving facts out of the five replies; each may be missing."""
    summary = _first(joined.part("summary"))
    devs = _rows(joined.part("devs"), "DEVS")
    temps = {whole(row.get("ID")): row for row in _rows(joined.part("temps"), "TEMPS")}
    fans = _rows(joined.part("fans"), "FANS")
    pools = joined.part("pools")
    boards = tuple(_board(at, row, temps) for at, row in enumerate(devs)) or tuple(
        _board(at, row, temps) for at, row in enumerate(temps.values())
    )
    uptime = number(summary.get("Elapsed"))
    chips = [board.temp_chip_c for board in boards if board.temp_chip_c is not None]
    pcbs = [board.temp_pcb_c for board in boards if board.temp_pcb_c is not None]
    ideals = [board.hashrate_ideal_hs for board in boards if board.hashrate_ideal_hs]
    rate, mean = _mega(summary.get("MHS 5s")), _mega(summary.get("MHS av"))
    doubt = doubt_of((rate, mean), (board.hashrate_hs for board in boards))
    moving = Moving(
        hashrate_hs=rate,
        hashrate_5m_hs=_mega(summary.get("MHS 5m")),
        hashrate_avg_hs=mean,
        temp_chip_c=max(chips, default=None),
        temp_board_c=max(pcbs, default=None),
        fan_rpm=tuple(rpm for row in fans if (rpm := whole(row.get("RPM")))),
        uptime_s=uptime,
        uptime_kind=None if uptime is None else UptimeKind.PROCESS,
        accepted=whole(summary.get("Accepted")),
        rejected=whole(summary.get("Rejected")),
        stale=whole(summary.get("Stale")),
        hw_errors=whole(summary.get("Hardware Errors")),
        boards=boards,
        pools=pools_of(pools.POOLS or []) if pools else (),
    )
    ideal = sum(ideals) if ideals and doubt is None else None
    return AntminerSnapshot(moving=believed(moving, doubt), ideal_hs=ideal)


# --- private -------------------------------------------------------------------------------------


def _rows(reply: AntminerReply | None, name: str) -> list[dict[str, Any]]:
    return (getattr(reply, name) or [])[:_ROWS] if reply else []


def _first(reply: AntminerReply | None) -> dict[str, Any]:
    rows = _rows(reply, "SUMMARY")
    return rows[0] if rows else {}


def _mega(value: Any) -> float | None:
    found = None if names_unit(value) else number(value)
    return None if found is None or found < 0 else found * _MEGA


def _board(at: int, row: dict[str, Any], temps: dict[int | None, dict[str, Any]]) -> Board:
    """One row of `devs` or `temps`; both count boards by `ID`. A temperature of 0 is not measured."""
    slot = whole(row.get("ID"))
    heat = temps.get(slot, {})
    return Board(
        index=at if slot is None else slot,
        hashrate_hs=_mega(row.get("MHS 5s")),
        hashrate_ideal_hs=_mega(row.get("Nominal MHS")),
        temp_chip_c=number(heat.get("Chip")) or None,
        temp_pcb_c=number(heat.get("Board")) or None,
        hw_errors=whole(row.get("Hardware Errors")),
    )
