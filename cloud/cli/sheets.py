"""Tables of miners as files: CSV by RFC 4180, of which no cell is a formula to whoever opens it in a spreadsheet."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import msgspec

from contract.keys import shown_key, unknown_key

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
_LINE_MAX: Final = 64 * 1024
_TAGS_BETWEEN: Final = ";"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_QUOTE: Final = "'"


class SheetError(ValueError):
    """It is no sheet of miners; in words."""


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
    reader = csv.reader(_text(file), strict=True)
    try:
        return _rows(_lines_of(reader), ignored, rows_max)
    except csv.Error as error:
        raise SheetError(f"line {reader.line_num}: {error}") from None
    except UnicodeDecodeError:
        raise SheetError(
            f"after line {reader.line_num}: it is no UTF-8; save it as CSV UTF-8"
        ) from None


def _text(file: IO[bytes]) -> Iterator[str]:
    """The lines of a file, without the mark that some programs set at its beginning. Raises SheetError for too much."""
    left, encoding = BYTES_MAX, "utf-8-sig"
    while line := file.readline(_LINE_MAX + 1):
        left -= len(line)
        if len(line) > _LINE_MAX:
            raise SheetError(f"it has a line of more than {_LINE_MAX} bytes")
        if left < 0:
            raise SheetError(f"it has more than {BYTES_MAX // 2**20} MiB; take it in parts")
        yield line.decode(encoding)
        encoding = "utf-8"


def _lines_of(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line that it begins in."""
    line = 1
    for row in reader:
        if any(cell.strip() for cell in row):
            yield line, row
        line = reader.line_num + 1


def _rows(
    lines: Iterator[tuple[int, list[str]]], ignored: Sequence[str], rows_max: int
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
        if len(found) == rows_max:
            raise SheetError(f"it has more than {rows_max:,} rows; take it in parts")
        if len(row) != len(columns):
            faults = [f"it has {len(row)} cells, and the first line {len(columns)}"]
            found.append(SheetRow(line, {}, faults))
            continue
        found.append(_row(line, dict(zip(columns, row, strict=True)), called_by, told))
    return found, passed


def _columns(names: list[str], ignored: Sequence[str]) -> list[str]:
    known = (*REFERENCES, *PLACES, *ignored)
    if len(names) == 1 and any(each in names[0] for each in (";", "\t")):
        raise SheetError("its cells have no commas between them; save it as CSV with commas")
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
        elif cell.startswith(_FORMULA):
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
    if isinstance(cell, str) and cell.startswith((*_FORMULA, _QUOTE)):
        return _QUOTE + cell
    return cell


def _unguarded(cell: str) -> str:
    text = cell.strip(" ")
    guarded = text.startswith(_QUOTE) and text[1:].startswith((*_FORMULA, _QUOTE))
    return text[1:] if guarded else text
