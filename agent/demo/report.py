"""The demo in figures: what is shown as a table and printed as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

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


def joined(reports: Sequence[BatchReport]) -> BatchReport:
    """Batches of the same kind, that ran side by side, as one."""
    first = reports[0]
    statuses = {each.status for each in reports}
    return BatchReport(
        first.task_name,
        first.note,
        first.status if len(statuses) == 1 else "partial_succeed",
        sum(each.task_count for each in reports),
        sum(each.succeed_count for each in reports),
        sum(each.failed_count for each in reports),
        max(each.seconds for each in reports),
        _counted(each.why for each in reports),
        _counted(each.skipped for each in reports),
        tuple(text for each in reports for text in each.surprises),
    )


class Special(msgspec.Struct, frozen=True):
    """A miner with a part of its own, and what the cloud said of its tasks, by error code (`succeed` for none)."""

    ip: str
    model: str
    role: str
    said: dict[str, int]


class PlaybookReport(msgspec.Struct, frozen=True):
    """What came of a wish for the rig that is the agent's host: the rate that was read of it then, `None` for no
    mining, and the process that mines.
    """

    note: str
    hashrate_hs: float | None
    pid: int | None
    seconds: float


class SubscriptionReport(msgspec.Struct, frozen=True, kw_only=True):
    """A class of work that was left: why its next batch waited (tasks by reason), and how it ended once the class was
    taken again, with what it comes to.
    """

    task_name: str
    task_small_id: int
    batch_id: str
    held: dict[str, int]
    status: str
    amount: str | None
    seconds: float

    @property
    def is_as_scripted(self) -> bool:
        return set(self.held) == {"not_subscribed"} and self.status == "succeed"


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
    playbook: tuple[PlaybookReport, ...] = ()
    subscription: SubscriptionReport | None = None

    def to_json(self) -> str:
        """One JSON document on one line."""
        return msgspec.json.encode(self).decode()


def _counted(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)
