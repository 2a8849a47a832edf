"""How results look to people: the scan's progress and table, a reading, a task's proof."""

from __future__ import annotations

import io
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from agent.ports import ScanSummary
from contract.errors import MinerError
from contract.miner import Reading
from drivers.base import Driver

_WIDTH = 150


class ScanView:
    """A progress bar on stderr while a scan runs, and its table afterwards."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("scanning"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[found]} miners"),
            console=Console(stderr=True),
            disable=quiet,
            transient=True,
        )
        self._bar = self._progress.add_task("scan", total=None, found=0)
        self._hits: dict[str, tuple[Driver | None, str | None]] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def hit(self, ip: str, driver: Driver | None, problem: str | None) -> None:
        """An address where something answered."""
        self._hits[ip] = (driver, problem)

    async def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        found = sum(driver is not None for driver, _ in self._hits.values())
        self._progress.update(self._bar, completed=done, total=total, found=found)

    def table(self, summary: ScanSummary) -> str:
        """Every address that answered, and the counts of all."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("address", "MAC", "make", "model", "firmware", "version", "note"):
            table.add_column(name, overflow="fold")
        for ip in sorted(self._hits, key=lambda each: tuple(map(int, each.split(".")))):
            driver, problem = self._hits[ip]
            identity = driver.identity if driver else None
            table.add_row(
                *_cells(
                    ip,
                    identity and identity.mac,
                    identity and identity.make,
                    identity and identity.model,
                    identity and identity.firmware,
                    identity and identity.firmware_version,
                    problem,
                )
            )
        counts = (
            f"{summary.addresses} addresses in {summary.seconds:.1f} s: {summary.found} miners, "
            f"{summary.failed} failed, {summary.unknown} unknown, {summary.refused} other hosts, "
            f"{summary.silent} silent"
        )
        return (_drawn(table) if self._hits else "") + counts


def reading_text(driver: Driver, reading: Reading, problem: MinerError | None) -> str:
    """One reading, facts that are absent left out."""
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
    row("firmware", f"{identity.firmware} {identity.firmware_version or ''}".strip())
    row("MAC", identity.mac)
    row("serial", identity.serial)
    row("driven", "yes" if identity.drivable else f"read only: {identity.reason or 'unknown'}")
    row("hashrate", _rate(moving.hashrate_hs))
    row("ideal", _rate(reading.static.hashrate_ideal_hs if reading.static else None))
    row("power", moving.power_w, " W")
    row("chips", moving.temp_chip_c, " degC")
    row("fans", ", ".join(map(str, moving.fan_rpm)), " rpm")
    row("uptime", None if moving.uptime_s is None else f"{moving.uptime_s:.0f} s")
    if reading.slow is not None:
        row("mode", reading.slow.mode or reading.slow.mode_raw)
        if reading.slow.light_on is not None:
            row("light", "on" if reading.slow.light_on else "off")
        for fault in reading.slow.faults:
            row("fault", f"{fault.severity} {fault.code}: {fault.text}")
    for board in moving.boards:
        chips = f"{board.chips}/{board.chips_expected or '?'} chips" if board.chips else ""
        temp = f"{board.temp_chip_c:.0f} degC" if board.temp_chip_c is not None else ""
        row(
            f"board {board.index}", "  ".join(filter(None, (_rate(board.hashrate_hs), chips, temp)))
        )
    for pool in moving.pools:
        row(f"pool {pool.index}", f"{pool.url}  {pool.user or ''}  {pool.status or ''}".rstrip())
    if problem is not None:
        row("not read", f"{problem.code}: {problem}")
    return _drawn(table)


def result_text(name: str, host: str, result: dict[str, Any]) -> str:
    """What became of one task, with its proof."""
    lines = [f"{name} at {host}: {result.get('outcome')}"]
    error = result.get("error")
    if error:
        lines.append(f"  {error.get('code')}: {error.get('message')}")
    evidence = result.get("evidence") or {}
    if evidence:
        verified = "verified" if result.get("verified") else "not verified"
        lines.append(
            f"  {verified} by {evidence.get('signal')} after {evidence.get('seconds') or 0:.1f} s"
        )
        lines += [
            f"  {word}: {evidence[word]}" for word in ("before", "after") if evidence.get(word)
        ]
    if result.get("file"):
        lines.append(f"  file: {result['file'].get('path') or result['file'].get('name')}")
    return "\n".join(lines)


def _cells(*values: object) -> Iterable[Text]:
    # what miners say of themselves is text, never markup
    return (Text("" if value is None else str(value)) for value in values)


def _rate(hashrate_hs: float | None) -> str | None:
    if hashrate_hs is None:
        return None
    for size, word in ((1e15, "PH/s"), (1e12, "TH/s"), (1e9, "GH/s"), (1e6, "MH/s"), (1e3, "kH/s")):
        if hashrate_hs >= size:
            return f"{hashrate_hs / size:.2f} {word}"
    return f"{hashrate_hs:.0f} H/s"


def _drawn(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=_WIDTH, no_color=True, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
