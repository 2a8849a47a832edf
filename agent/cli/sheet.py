"""A CSV file of miners, as spreadsheets and people write it: which address stands on which line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import IO, Final

import msgspec

from agent.cli.targets import one_address
from contract.miner import Identity, normalize_mac
from contract.sheets import FORMULA, SheetError, sheet_rows

ROWS_MAX: Final = 65_536
BYTES_MAX: Final = 16 * 2**20
NAMES_MAX: Final = 256  # names of hosts, each of which is looked up
# What a column may be called, the one that says most surely which miner is meant first.
ADDRESS_COLUMNS: Final = ("ip", "address", "host")
COLUMNS: Final = (*ADDRESS_COLUMNS, "mac", "serial")
_FAULTS_SHOWN: Final = 10
_CELL_SHOWN: Final = 60


class Row(msgspec.Struct, frozen=True):
    """One miner of the file. `mac`: what the file says besides its address."""

    line: int
    address: str
    mac: str | None = None


class Sheet(msgspec.Struct, frozen=True):
    """The miners of a file, each address once, and how many rows said one again."""

    rows: tuple[Row, ...]
    duplicates: int


def read_sheet(name: str, known: Mapping[str, Identity]) -> Sheet:
    """The miners that a file names (`-`: standard input); by MAC or serial number those of them that are `known`, by
    address. Raises SheetError.
    """
    try:
        if name == "-":
            return parse_sheet(sys.stdin.buffer, known)
        with Path(name).open("rb") as file:
            return parse_sheet(file, known)
    except SheetError as error:
        raise SheetError(f"--csv {name}: {error}") from None
    except OSError as error:
        raise SheetError(f"--csv {name}: {(error.strerror or str(error)).lower()}") from None


def parse_sheet(file: IO[bytes], known: Mapping[str, Identity]) -> Sheet:
    """The same for what such a file holds."""
    cells = list(sheet_rows(file, rows_max=ROWS_MAX, bytes_max=BYTES_MAX))
    if not cells:
        raise SheetError("it holds no rows")
    header = [each.strip().lower() for each in cells[0][1]]
    columns: dict[str, int] = {name: header.index(name) for name in COLUMNS if name in header}
    if columns:
        del cells[0]
        if not cells:
            raise SheetError("below its header there are no rows")
    if len(cells) > ROWS_MAX:
        raise SheetError(f"it has more than {ROWS_MAX:,} rows; take it in parts")
    return _Reader(columns or {"address": 0}, known).read(cells)


class _Reader:
    """Makes addresses of the cells; gathers what is wrong with them, so that all of it is told at once."""

    def __init__(self, columns: Mapping[str, int], known: Mapping[str, Identity]) -> None:
        self._columns = columns
        self._kind = next(iter(columns))
        self._by: dict[str, list[str]] = {}  # the addresses that show a MAC or serial number
        for ip, identity in known.items():
            key = identity.serial if self._kind == "serial" else identity.mac
            self._by.setdefault(key or "", []).append(ip)
        self._names = 0
        self._faults: list[str] = []

    def read(self, cells: Iterable[tuple[int, list[str]]]) -> Sheet:
        rows: dict[str, Row] = {}
        duplicates = 0
        for line, each in cells:
            try:
                row = self._row(line, each)
            except ValueError as error:
                self._faults.append(f"line {line}: {error}")
                continue
            duplicates += row.address in rows
            rows.setdefault(row.address, row)
        if self._faults:
            more = len(self._faults) - _FAULTS_SHOWN
            shown = self._faults[:_FAULTS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
            raise SheetError("; ".join(shown))
        return Sheet(tuple(rows.values()), duplicates)

    def _row(self, line: int, cells: list[str]) -> Row:
        cell = self._cell(cells, self._kind)
        if not cell:
            raise ValueError(f"there is no {self._kind}")
        if self._kind not in ADDRESS_COLUMNS:
            return Row(line, self._address_of(cell))
        mac = self._cell(cells, "mac") if "mac" in self._columns else ""
        return Row(line, self._address(cell), _mac(mac) if mac else None)

    def _cell(self, cells: list[str], column: str) -> str:
        """What stands there; empty where the row is too short."""
        number = self._columns[column]
        cell = cells[number].strip() if number < len(cells) else ""
        if cell.startswith(FORMULA):
            raise ValueError(f"{_shown(cell)} begins like a formula, which is no {column}")
        return cell

    def _address(self, cell: str) -> str:
        try:
            return str(IPv4Address(cell))
        except AddressValueError:
            pass
        if not any(each.isalpha() for each in cell):  # a range, or a slip of the pen
            raise ValueError(f"{_shown(cell)} is not one IPv4 address")
        self._names += 1
        if self._names > NAMES_MAX:
            raise ValueError(f"{_shown(cell)}: more than {NAMES_MAX} names; give addresses")
        return one_address(cell)

    def _address_of(self, cell: str) -> str:
        """Where the miner with this MAC or serial number is, as far as the agent of this host knows."""
        found = self._by.get(_mac(cell) if self._kind == "mac" else cell)
        if found is None:
            raise ValueError(
                f"no miner with the {self._kind} {_shown(cell)} is known to the agent of this host: give its address"
            )
        if len(found) > 1:
            where = " and ".join(sorted(found)[:2])
            raise ValueError(
                f"the {self._kind} {_shown(cell)} is shown at {where}: give an address"
            )
        return found[0]


def _mac(cell: str) -> str:
    mac = normalize_mac(cell)
    if mac is None:
        raise ValueError(f"{_shown(cell)} is not the MAC address of a device")
    return mac


def _shown(cell: str) -> str:
    return ascii(cell[:_CELL_SHOWN])
