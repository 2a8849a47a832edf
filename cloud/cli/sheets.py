"""Tables of miners as files: CSV by RFC 4180, of which no cell is a formula to whoever opens it in a spreadsheet."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import msgspec

from contract.keys import shown_key, unknown_key
from contract.sheets import FORMULA, SheetError, sheet_rows

BYTES_MAX: Final = 64 * 1024 * 1024
REFERENCES: Final = (
    "id",
    "mac",
    "ip",
    "serial",
    "name",
)  # the first that a sheet has tells which miner
TEXTS: Final = ("name", "hall", "row", "rack")
PLACES: Final = (*TEXTS, "position", "tags")
CLEARS: Final = "-"  # a cell that takes away what there is; an empty one leaves it
_TAGS_BETWEEN: Final = ";"
_QUOTE: Final = "'"


class SheetRow(msgspec.Struct, frozen=True):
    """One row: its line in the file, which miner it is of and what is to be true of it, or why it cannot be taken."""

    line: int
    update: dict[str, Any]
    faults: list[str]


def written(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of a sheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in itertools.chain([columns], rows):
        writer.writerow([_guarded(cell) for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def joined_tags(tags: Sequence[str]) -> str:
    return _TAGS_BETWEEN.join(tags)


def read_sheet(
    file: IO[bytes], *, ignored: Sequence[str], rows_max: int
) -> tuple[list[SheetRow], list[str]]:
    """The rows that say something of a miner, and the columns that are passed over (those of `ignored`). A row that
    cannot be taken says so itself. Raises SheetError for a file that is no sheet or has more rows.
    """
    lines = sheet_rows(file, rows_max=rows_max, bytes_max=BYTES_MAX)
    return _rows(lines, ignored)


def _rows(
    lines: Iterator[tuple[int, list[str]]], ignored: Sequence[str]
) -> tuple[list[SheetRow], list[str]]:
    _, head = next(lines, (0, []))
    columns = _columns([cell.strip().lower() for cell in head], ignored)
    called_by = next(name for name in REFERENCES if name in columns)
    passed = [name for name in columns if name not in (*PLACES, called_by)]
    told = [name for name in PLACES if name in columns and name != called_by]
    if not told:
        raise SheetError(f"it changes nothing; give it a column of {', '.join(PLACES)}")
    found: list[SheetRow] = []
    for line, row in lines:
        if len(row) != len(columns):
            faults = [f"it has {len(row)} cells, and the first line {len(columns)}"]
            found.append(SheetRow(line, {}, faults))
            continue
        found.append(_row(line, dict(zip(columns, row, strict=True)), called_by, told))
    return found, passed


def _columns(names: list[str], ignored: Sequence[str]) -> list[str]:
    known = (*REFERENCES, *PLACES, *ignored)
    for name in names:
        if name not in known:
            words = unknown_key(name, dict.fromkeys(REFERENCES + PLACES), called="column")
            raise SheetError(f"{shown_key(name) or 'a column without a name'}: {words}")
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise SheetError(f"{doubled}: two columns are called so")
    if not set(REFERENCES) & set(names):
        raise SheetError(f"no column tells which miner; give it one of {', '.join(REFERENCES)}")
    return names


def _row(line: int, cells: Mapping[str, str], called_by: str, told: Sequence[str]) -> SheetRow:
    faults: list[str] = []
    update: dict[str, Any] = {"miner": _unguarded(cells[called_by])}
    if not update["miner"]:
        faults.append(f"{called_by}: it is empty, and tells which miner")
    for name in told:
        cell = cells[name].strip(" ")
        if not cell:
            continue
        if cell == CLEARS:
            update[name] = None
        elif name == "position":
            if cell.isascii() and cell.isdigit() and len(cell) < 11:
                update[name] = int(cell)
            else:
                faults.append(f"position: {cell[:40]!r} is no whole number")
        elif cell.startswith(FORMULA):
            faults.append(
                f"{name}: {cell[:40]!r} begins like a formula; if it is meant, write '{cell[:40]}"
            )
        elif name == "tags":
            tags = (tag.strip() for tag in _unguarded(cell).split(_TAGS_BETWEEN))
            update[name] = [tag for tag in tags if tag]
        else:
            update[name] = _unguarded(cell)
    return SheetRow(line, update, faults)


def _guarded(cell: Any) -> Any:
    """What a spreadsheet would take for a formula, with an apostrophe in front; and so what has one there already."""
    if isinstance(cell, str) and cell.startswith((*FORMULA, _QUOTE)):
        return _QUOTE + cell
    return cell


def _unguarded(cell: str) -> str:
    text = cell.strip(" ")
    guarded = text.startswith(_QUOTE) and text[1:].startswith((*FORMULA, _QUOTE))
    return text[1:] if guarded else text
