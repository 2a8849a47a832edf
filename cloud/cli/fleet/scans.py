"""What the scans of an order found, in words: `agent.scan.create` is the one task whose answer is not a yes or no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from cloud.cli.api import Api
from contract.texts import counted, printable

_SCAN: Final = "agent.scan.create"
_CHANGES: Final = ("new", "lost", "moved", "replaced")
_COUNTS: Final = ("unknown", "failed", "refused", "silent", "skipped", "not_asked")
_SHOWN: Final = 20  # changes of a kind


class _Moved(msgspec.Struct, frozen=True):
    """A miner that is elsewhere than the scan before met it."""

    ip: str
    mac: str | None = None
    make: str | None = None
    model: str | None = None
    was_at: str | None = None
    was: str | None = None
    now: str | None = None


class _ChangesTold(msgspec.Struct, frozen=True):
    """Against the scan before; what is left out is counted."""

    since: str
    new: tuple[_Moved, ...] = ()
    lost: tuple[_Moved, ...] = ()
    moved: tuple[_Moved, ...] = ()
    replaced: tuple[_Moved, ...] = ()
    new_left_out: int = 0
    lost_left_out: int = 0
    moved_left_out: int = 0
    replaced_left_out: int = 0


class _ScanTold(msgspec.Struct, frozen=True):
    """What of a scan's result is said here. Other versions of the agent may tell less."""

    addresses: int
    found: int
    seconds: float
    unknown: int = 0
    failed: int = 0
    refused: int = 0
    silent: int = 0
    skipped: int = 0
    not_asked: int = 0
    changes: _ChangesTold | None = None
    notes: tuple[str, ...] = ()


async def found_by(api: Api, path: str, batches: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of the scans among these batches, a few lines for each; `path` is where the farm's tasks stand."""
    lines: list[str] = []
    for batch in batches:
        if batch["task_name"] == _SCAN:
            for task in await api.every(f"{path}/batches/{batch['batch_id']}/tasks"):
                lines += map(printable, _lines((task["result"] or {}).get("scan")))
    return lines


def _lines(result: object) -> Iterator[str]:
    try:
        scan = msgspec.convert(result, _ScanTold)
    except msgspec.ValidationError:
        return  # it has not ended, or was told by an agent that knows another form
    parts = [
        f"{getattr(scan, name)} {name.replace('_', ' ')}" for name in _COUNTS if getattr(scan, name)
    ]
    addresses = counted(scan.addresses, "address", "addresses")
    yield f"{addresses} in {scan.seconds:.1f} s: {', '.join([counted(scan.found, 'miner'), *parts])}"
    if scan.changes is not None:
        yield from _changed(scan.changes)
    yield from scan.notes


def _changed(changes: _ChangesTold) -> Iterator[str]:
    rows: dict[str, tuple[_Moved, ...]] = {name: getattr(changes, name) for name in _CHANGES}
    numbers = {
        name: len(those) + getattr(changes, f"{name}_left_out") for name, those in rows.items()
    }
    counts = ", ".join(f"{number} {name}" for name, number in numbers.items())
    yield f"since the scan that ended at {changes.since[:19]}Z: {counts}"
    for name, those in rows.items():
        for each in those[:_SHOWN]:
            who = " ".join(filter(None, (each.mac, each.make, each.model)))
            words = [f"  {name:<8}", f"{each.ip:<15}", who]
            words += [f"was at {each.was_at}"] if each.was_at else []
            words += [f"in place of {each.was}"] if each.was else []
            words += [f"now {each.now}"] if each.now else []
            yield "  ".join(words)
        if numbers[name] > _SHOWN:
            yield f"  and {numbers[name] - _SHOWN} more {name}"
