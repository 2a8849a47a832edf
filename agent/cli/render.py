"""How results look to people: a table, a reading, a task's proof."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from contract.condition.anomalies import power_limit_w
from contract.miner import Make, Reading, Slow
from contract.texts import counted, printable
from drivers.base import Driver

_WIDTH = 150


def table_text(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Rows of what miners say of themselves, under the names of their columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*_cells(*row))
    return drawn(table)


def reading_text(driver: Driver, reading: Reading, problem: str | None) -> str:
    """One reading, facts that are absent left out; `problem` says why a part is missing."""
    identity, moving = driver.identity, reading.moving
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def row(name: str, value: object, unit: str = "") -> None:
        if value not in (None, "", ()):
            table.add_row(name, Text(f"{value}{unit}"))

    row("address", driver.endpoint.host)
    row("make", identity.make)
    row("model", identity.model)
    family = identity.generation if identity.make is Make.RIG else identity.firmware
    row("firmware", f"{family} {identity.firmware_version or ''}".strip())
    row("MAC", identity.mac)
    row("serial", identity.serial)
    row("driven", "yes" if identity.drivable else f"no: {identity.reason or 'it is only read'}")
    row("hashrate", _rate(moving.hashrate_hs))
    row("ideal", _rate(reading.static.hashrate_ideal_hs if reading.static else None))
    row("power", None if moving.power_w is None else f"{moving.power_w:.6g}", " W")
    row("chips", moving.temp_chip_c, " degC")
    row("boards", moving.temp_board_c, " degC")
    row("inlet", moving.temp_inlet_c, " degC")
    row("outlet", moving.temp_outlet_c, " degC")
    row("fans", ", ".join(map(str, moving.fan_rpm)), " rpm")
    row("uptime", _lasting(moving.uptime_s))
    if reading.slow is not None:
        row("mode", reading.slow.mode or reading.slow.mode_raw)
        row("limited to", _limited(reading.slow))
        if reading.slow.light_on is not None:
            row("light", "on" if reading.slow.light_on else "off")
        for fault in reading.slow.faults:
            row("fault", f"{fault.severity} {fault.code}: {fault.text}")
    for board in moving.boards:
        chips = f"{board.chips}/{board.chips_expected or '?'} chips" if board.chips else ""
        hottest = board.temp_chip_c if board.temp_chip_c is not None else board.temp_pcb_c
        temp = f"{hottest:.0f} degC" if hottest is not None else ""
        facts = (_rate(board.hashrate_hs), chips, temp)
        shown: tuple[str | None, ...] = (*facts, board.serial)
        if board.part:
            shown = (board.name, board.bus_id, *facts, board.state)
        row(f"{board.part or 'board'} {board.index}", "  ".join(filter(None, shown)))
    if reading.static is not None and (psu := reading.static.psu) is not None:
        row("supply", "  ".join(filter(None, (psu.model, psu.serial))))
    for work in moving.works:
        does = (work.algorithm, _rate(work.hashrate_hs), "paused" if work.paused else None)
        row(f"{work.program} {work.part} {work.slot}", "  ".join(filter(None, does)))
    for pool in moving.pools:
        words = (pool.url, pool.user, pool.status, "in use" if pool.active else None)
        row(f"pool {pool.index}", "  ".join(filter(None, words)))
    row("not read", problem)
    return drawn(table)


def result_text(name: str, host: str, result: dict[str, Any], advice: str = "") -> str:
    """What became of one task, with its proof, and what may be corrected."""
    lines = [f"{name} at {host}: {str(result.get('outcome')).replace('_', ' ')}"]
    error = result.get("error")
    if error:
        lines.append(f"  {error.get('code')}: {error.get('message')}")
    if advice:
        lines.append(f"  {advice}")
    evidence = result.get("evidence") or {}
    signal, seconds = evidence.get("signal"), evidence.get("seconds") or 0.0
    if signal and signal != "none":
        verified = "verified" if result.get("verified") else "not verified"
        lines.append(f"  {verified} by {signal} after {seconds:.1f} s")
    elif seconds:
        lines.append(f"  not verified after {seconds:.1f} s")
    for word in ("before", "after"):
        if evidence.get(word):
            lines += [f"  {word}:", *_facts(evidence[word], "    ")]
    if result.get("file"):
        lines.append(f"  file: {result['file'].get('path') or result['file'].get('name')}")
    return "\n".join(lines)


def _facts(facts: Any, indent: str) -> Iterable[str]:
    """`key: value`, one a line; what a miner says is cut to printable text."""
    if not isinstance(facts, dict):
        yield f"{indent}{_word(facts)}"
        return
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _facts(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and any(isinstance(each, dict) for each in value):
            for number, each in enumerate(value):
                inner = each.items() if isinstance(each, dict) else ((key, each),)
                words = ", ".join(f"{name}: {_word(fact)}" for name, fact in inner)
                yield f"{indent}{key} {number}: {words}"
        else:
            yield f"{indent}{key}: {_word(value)}"


def _word(value: Any) -> str:
    if value is None or value in ([], {}, ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_word, value))
    return printable(" ".join(str(value).splitlines()))


def _lasting(seconds: float | None) -> str | None:
    """`3 days 4 h`, `2 h 5 min`, `40 s`: the two coarsest units that say something."""
    if seconds is None:
        return None
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole % 86_400 // 3600, whole % 3600 // 60
    if days:
        return f"{counted(days, 'day')} {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _cells(*values: object) -> Iterable[Text]:
    # what miners say of themselves is text, never markup
    return (Text("" if value is None else printable(str(value))) for value in values)


def _limited(slow: Slow) -> str | None:
    """`2400 W, 67 % of its full power`; None where it is not limited."""
    if slow.power_share is None:
        return None
    limit_w = power_limit_w(slow)
    watts = "" if limit_w is None else f"{limit_w:.0f} W, "
    return f"{watts}{100 * slow.power_share:.0f} % of its full power"


def _rate(hashrate_hs: float | None) -> str | None:
    if hashrate_hs is None:
        return None
    for size, word in ((1e15, "PH/s"), (1e12, "TH/s"), (1e9, "GH/s"), (1e6, "MH/s"), (1e3, "kH/s")):
        if hashrate_hs >= size:
            return f"{hashrate_hs / size:.2f} {word}"
    return f"{hashrate_hs:.0f} H/s"


def drawn(table: RenderableType) -> str:
    """As text of one width, without colours."""
    out = io.StringIO()
    Console(file=out, width=_WIDTH, no_color=True, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
