"""What the scans of an order found, in words: `agent.scan.create` is the one task whose answer is not a yes or no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from cloud.cli.api import Api
from contract.scan import ScanChanges, change_lines
from contract.texts import counted, printable

_SCAN: Final = "agent.scan.create"
_COUNTS: Final = ("unknown", "failed", "refused", "silent", "skipped", "not_asked")
_SHOWN: Final = 20  # changes of a kind


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
    changes: ScanChanges | None = None
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
        yield from change_lines(scan.changes, _SHOWN)
    yield from scan.notes
