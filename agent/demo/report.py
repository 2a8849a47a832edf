"""The demo in figures: what is shown as a table and printed as JSON."""

from __future__ import annotations

import msgspec

from agent.demo.audit import Audit


class BatchReport(msgspec.Struct, frozen=True):
    """How one batch ended. `why` counts its error codes, `skipped` the miners without a task by
    reason; `surprises` tells tasks that ended otherwise than scripted.
    """

    task_name: str
    note: str
    status: str
    task_count: int
    succeed_count: int
    failed_count: int
    seconds: float
    why: dict[str, int]
    skipped: dict[str, int]
    surprises: tuple[str, ...] = ()


class Special(msgspec.Struct, frozen=True):
    """A miner with a part of its own, and what the cloud said of its tasks, by error code (`succeed` for none)."""

    ip: str
    model: str
    role: str
    said: dict[str, int]


class Report(msgspec.Struct, frozen=True):
    """The demo in figures."""

    miners: int
    readings: int
    batches: tuple[BatchReport, ...]
    ledger: Audit
    seconds: float
    ok: bool
    specials: tuple[Special, ...] = ()
    monitored: int = 0  # machines that the monitor was told of, and shows

    def to_json(self) -> str:
        """One JSON document on one line."""
        return msgspec.json.encode(self).decode()
