"""Tables that people keep in files, as spreadsheets write them: CSV by RFC 4180, with commas, semicolons or tabs."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain
from typing import IO, Final

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for one begins so
_DELIMITERS: Final = ",;\t"
_LINE_MAX: Final = 256 * 1024  # characters


class SheetError(ValueError):
    """The file cannot be taken, and nothing of it is; in words."""


def sheet_rows(
    file: IO[bytes], *, rows_max: int, bytes_max: int
) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the line that it begins in. Raises SheetError, also for more rows (beside
    one, which may be a header) or bytes than may be, once they come.
    """
    line = 0
    with closing(_lines(file, bytes_max)) as lines:
        try:
            first = next(lines, "")
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
            for line, row in _not_blank(reader, rows_max):
                yield line, row
        except csv.Error as error:
            raise SheetError(f"line {reader.line_num}: it is not CSV ({error})") from None
        except UnicodeDecodeError:
            where = f"after line {line}: " if line else ""
            raise SheetError(f"{where}it is not text in UTF-8; save it as CSV UTF-8") from None


def _not_blank(reader: Iterable[list[str]], rows_max: int) -> Iterator[tuple[int, list[str]]]:
    line, found = 1, 0
    for row in reader:
        if any(cell.strip() for cell in row):
            found += 1
            if found > rows_max + 1:
                raise SheetError(f"it has more than {rows_max:,} rows; take it in parts")
            yield line, row
        line = getattr(reader, "line_num", line) + 1


def _lines(file: IO[bytes], bytes_max: int) -> Generator[str]:
    """Without the mark that some programs set at the beginning. Lines may end in any way."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    left = bytes_max
    try:
        while line := text.readline(_LINE_MAX + 1):
            left -= len(line)
            if len(line) > _LINE_MAX:
                raise SheetError(f"it has a line of more than {_LINE_MAX} characters")
            if left < 0:
                raise SheetError(f"it has more than {bytes_max // 2**20} MiB; take it in parts")
            yield line
    finally:
        with suppress(ValueError):  # it is closed already
            text.detach()  # the file is the caller's to close
