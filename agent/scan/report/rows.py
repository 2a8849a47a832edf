"""What a scan found, in the words of people and in those of a task's result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from agent.ports import (
    AddressVerdict,
    FoundMiner,
    OtherAddresses,
    ScanRow,
    ScanSummary,
)
from contract.scan import CHANGES, ScanChanges
from contract.texts import counted, printable

ROWS_SHOWN: Final = 500  # of each kind in the result of a task
_LINES_MOST: Final = 20  # of rows that came since the last progress
_RANGES_SHOWN: Final = 12  # of which the same is said


def scan_counts(summary: ScanSummary) -> dict[str, Any]:
    """The numbers alone."""
    named = (
        *("addresses", "silent", "refused", "unknown", "failed", "found", "new", "skipped"),
        *("not_asked", "seconds", "first_pass_s", "connects"),
    )
    return {name: getattr(summary, name) for name in named}


def scan_result(summary: ScanSummary, most: int = ROWS_SHOWN) -> dict[str, Any]:
    """As a task's result holds it: what is left out is counted."""
    shown: dict[str, Any] = {**scan_counts(summary), "manner": summary.manner}
    shown["miners"] = msgspec.to_builtins(summary.miners[:most])
    if len(summary.miners) > most:
        shown["miners_left_out"] = len(summary.miners) - most
    shown["others"] = msgspec.to_builtins(summary.others[:most])
    left_out = max(0, len(summary.others) - most) + summary.others_left_out
    if left_out:
        shown["others_left_out"] = left_out
    shown["changes"] = None if summary.changes is None else _changes(summary.changes, most)
    shown["notes"] = list(summary.notes)
    return shown


def counts_line(summary: ScanSummary, *, is_by_hand: bool = False) -> str:
    """`254 addresses in 1.3 s: 12 miners (2 new), 3 unknown devices, ...`. Who scans by hand knows no miner before, and
    is told nothing of new ones.
    """
    new = f" ({summary.new} new)" if summary.new and not is_by_hand else ""
    parts = [counted(summary.found, "miner") + new]
    if summary.failed:
        parts.append(f"{counted(summary.failed, 'address', 'addresses')} failed")
    if summary.unknown:
        parts.append(counted(summary.unknown, "unknown device"))
    if summary.refused:
        parts.append(f"{counted(summary.refused, 'address', 'addresses')} refused the connection")
    parts.append(f"{summary.silent} silent")
    if summary.skipped:
        parts.append(f"{summary.skipped} skipped")
    if summary.not_asked:
        parts.append(f"{summary.not_asked} not asked")
    addresses = counted(summary.addresses, "address", "addresses")
    return f"{addresses} in {summary.seconds:.1f} s: {', '.join(parts)}"


def row_line(row: ScanRow) -> str:
    """One row as it came."""
    if isinstance(row, FoundMiner):
        version = " ".join(filter(None, (row.firmware, row.firmware_version)))
        facts = (row.mac, row.make, row.model, version, row.note)
        return printable("  ".join([f"{row.ip:<15}", *filter(None, facts)]))
    said = row.note or at_ports(row)
    banner = f"  {row.banner!r}" if row.banner else ""
    return printable(f"{row.range:<15}  {said}{banner}")


def scan_lines(rows: Sequence[ScanRow]) -> Iterator[str]:
    """The rows that came since the last progress, as many as a log is to hold."""
    yield from map(row_line, rows[:_LINES_MOST])
    if len(rows) > _LINES_MOST:
        yield f"and {len(rows) - _LINES_MOST} more"


def other_lines(others: Iterable[OtherAddresses]) -> Iterator[str]:
    """What is said of whole ranges, each once: `silent at 80, 4028 (40): 10.0.0.1-10.0.0.40`. Those that have something
    of their own to say are not among them.
    """
    groups: dict[str, list[OtherAddresses]] = {}
    for each in others:
        if each.verdict not in (AddressVerdict.UNKNOWN, AddressVerdict.FAILED):
            groups.setdefault(at_ports(each), []).append(each)
    for said, rows in groups.items():
        where = ", ".join(each.range for each in rows[:_RANGES_SHOWN])
        if len(rows) > _RANGES_SHOWN:
            where += f", and {len(rows) - _RANGES_SHOWN} more ranges"
        yield f"{said} ({sum(each.addresses for each in rows)}): {where}"


def at_ports(row: OtherAddresses) -> str:
    """`silent at 80, 4028`; `skipped: denied by ...`."""
    words = row.verdict.value.replace("_", " ")
    if row.ports:
        words += f" at {', '.join(map(str, row.ports))}"
    return f"{words}: {row.note}" if row.note else words


def _changes(changes: ScanChanges, most: int) -> dict[str, Any]:
    shown: dict[str, Any] = {"since": changes.since}
    for name in CHANGES:
        rows = getattr(changes, name)
        shown[name] = [
            {key: value for key, value in msgspec.to_builtins(each).items() if value is not None}
            for each in rows[:most]
        ]
        if len(rows) > most:
            shown[f"{name}_left_out"] = len(rows) - most
    return shown
