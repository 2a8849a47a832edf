"""A scan on the terminal: a bar, its rows as they come or as a table, and what is said of all the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from enum import Enum, auto
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from agent.cli.render import table_text
from agent.ports import (
    AddressVerdict,
    FoundMiner,
    OtherAddresses,
    ScanProgress,
    ScanRow,
    ScanSummary,
)
from agent.scan.report.rows import ROWS_SHOWN, counts_line, other_lines, row_line
from contract.scan import change_lines

_COLUMNS = ("address", "MAC", "make", "model", "firmware", "version", "note")


class RowsShown(Enum):
    """When rows are printed."""

    AT_THE_END = auto()
    AS_THEY_COME = auto()
    AS_JSON = auto()  # each a line of its own, as it comes


class ScanView:
    """A progress bar on stderr while a scan runs, its rows on stdout, and the rest afterwards."""

    def __init__(
        self,
        in_words: Callable[[str], str] = str,
        *,
        quiet: bool,
        rows: RowsShown = RowsShown.AT_THE_END,
    ) -> None:
        """`in_words`: a note as the operator is told it."""
        self._in_words = in_words
        self._rows = rows
        # Both on one terminal: it has to know of the rows, which would stand behind the bar.
        is_shared = rows is RowsShown.AS_THEY_COME and sys.stdout.isatty()
        self._progress = Progress(
            TextColumn("scanning"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[found]} miners"),
            console=Console() if is_shared else Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
            transient=True,
            redirect_stdout=False,
        )
        self._console = self._progress.console if is_shared else None
        self._bar = self._progress.add_task("scan", total=None, found=0)
        self._printed: set[str] = set()

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

    async def progress(self, now: ScanProgress) -> None:
        """Move the bar, and show the rows that came."""
        self._progress.update(self._bar, completed=now.done, total=now.total, found=now.found)
        self._show(now.rows)

    def told(self, row: ScanRow) -> ScanRow:
        """With its note as the operator is told it."""
        if row.note is None:
            return row
        return msgspec.structs.replace(row, note=self._in_words(row.note))

    def text(self, summary: ScanSummary) -> str:
        """All that was not printed on the way."""
        own = [each for each in summary.others if _has_own_row(each)]
        every: list[ScanRow] = [*summary.miners, *own]
        rows = [each for each in every if _place(each) not in self._printed]
        parts = []
        if self._rows is RowsShown.AT_THE_END:
            rows.sort(key=lambda each: tuple(map(int, _place(each).split("-")[0].split("."))))
            if rows:
                parts.append(table_text(_COLUMNS, map(_cells, map(self.told, rows))).rstrip("\n"))
        else:
            parts += [row_line(self.told(each)) for each in rows]
        parts += other_lines(summary.others)
        if summary.others_left_out:
            parts.append(f"and {summary.others_left_out} more ranges")
        if summary.changes is not None:
            parts += change_lines(summary.changes, ROWS_SHOWN)
        return "\n".join([*parts, *summary.notes, counts_line(summary, is_by_hand=True)])

    def _show(self, rows: tuple[ScanRow, ...]) -> None:
        if self._rows is RowsShown.AT_THE_END:
            return
        self._printed.update(map(_place, rows))
        for line in self._lines(map(self.told, rows)):
            if self._console is None:
                sys.stdout.write(f"{line}\n")
            else:
                self._console.print(Text(line), soft_wrap=True)
        if rows:
            sys.stdout.flush()

    def _lines(self, rows: Iterator[ScanRow]) -> Iterator[str]:
        if self._rows is RowsShown.AS_THEY_COME:
            return map(row_line, rows)
        return (json.dumps(msgspec.to_builtins(each)) for each in rows)


def _has_own_row(row: OtherAddresses) -> bool:
    return row.verdict in (AddressVerdict.UNKNOWN, AddressVerdict.FAILED)


def _place(row: ScanRow) -> str:
    return row.ip if isinstance(row, FoundMiner) else row.range


def _cells(row: ScanRow) -> tuple[object, ...]:
    if isinstance(row, FoundMiner):
        shown = (row.mac, row.make, row.model, row.firmware, row.firmware_version, row.note)
        return (row.ip, *shown)
    banner = None if row.banner is None else f"it says {row.banner!r}"
    note = "; ".join(filter(None, (row.note, banner)))
    return (row.range, None, None, None, None, None, note)
