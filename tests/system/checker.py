"""The one checker of the crash tests: ledger, journal and cloud held against each other.

    lost           a task the cloud took that did not end, or that the journal ended and the cloud does not show so
    twice          a one-shot that reached its miner more than once, or a setting that changed it more than once
    false_succeed  `succeed` in the cloud that the ledger does not back
    false_not_done `not_done` in the cloud of a one-shot that the ledger shows as done before it said so, or without a
                   later word of it
    unclaimed      something reached a miner without an intent that was on disk before
    torn           an order of many miners of which only a part is there
    early          what waits for those that go first, let go without their proof and nobody's leave, or handed out or begun
                   before it was let go

The clocks of agent and simulator are the same host's; only an intent is written before what it allows, so the
windows need no slack at their beginning but the resolution of the stamps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from contract.task import SPECS, Kind, TaskName
from tests.system.facts import Origin, satisfies
from tests.system.witness import Entry, Group, Kill, Row, Shown

CAUSES: Final[Mapping[str, tuple[TaskName, ...]]] = {
    "reboot": (TaskName.REBOOT, TaskName.FIRMWARE),  # old firmware wants a reboot after its update
    "light": (TaskName.LIGHT,),
    "mode": (TaskName.POWER_MODE, TaskName.MINING),
    "power_off": (TaskName.MINING,),
    "power_on": (TaskName.MINING, TaskName.POWER_MODE),  # a mode wakes first
    "power_limit": (TaskName.POWER_LIMIT,),
    "power_percent": (TaskName.POWER_LIMIT,),
    "pools": (TaskName.POOLS,),
    "pools as they were": (TaskName.POOLS, TaskName.POWER_MODE, TaskName.MINING),
    "firmware": (TaskName.FIRMWARE,),
    "pause": (TaskName.MINING,),
    "resume": (TaskName.MINING,),
    "stop": (TaskName.MINING,),
    "start": (TaskName.MINING,),
}
# Which of the two switches may give an order to a program of a rig. One that cannot be resumed is ended and started again.
_SWITCHED: Final[Mapping[str, tuple[str, ...]]] = {
    "pause": ("off",),
    "resume": ("on",),
    "stop": ("off", "on"),
    "start": ("on",),
}
# Old IceRivers store pools, fan and mode by one form: with a mode come the pools they have.
_AS_THEY_WERE: Final = {"pools": "pools as they were"}
# What a task says of its miner, in a word of the ledger or in one of its own.
OWN_ACTION: Final = {
    TaskName.REBOOT: "reboot",
    TaskName.LIGHT: "light",
    TaskName.POWER_MODE: "mode",
    TaskName.MINING: "mining",
    TaskName.POWER_LIMIT: "power_limit",
    TaskName.POOLS: "pools",
    TaskName.FIRMWARE: "firmware",
}
_ENDED: Final = ("settled", "reported")
_TICK_S: Final = 0.002  # what rounding and the two writes' order may take
_GRACE_S: Final = 0.25  # bytes that were under way when their sender was killed
UNKNOWN_SHARE: Final = 0.30
INTENT_SHARE: Final = 0.20


class Figures(msgspec.Struct):
    """What the checker prints. `findings` tells each wrong thing in a sentence."""

    tasks: int = 0
    effects: int = 0
    rig_effects: dict[str, int] = msgspec.field(default_factory=dict)
    kills: int = 0
    kills_in_intent: int = 0
    in_flight: int = 0
    unknown: int = 0
    lost: int = 0
    twice: int = 0
    false_succeed: int = 0
    false_not_done: int = 0
    unclaimed: int = 0
    torn: int = 0
    early: int = 0
    groups: int = 0
    held: int = 0
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)
    findings: list[str] = msgspec.field(default_factory=list)

    @property
    def wrongs(self) -> int:
        """Everything that must be 0."""
        claims = self.false_succeed + self.false_not_done + self.unclaimed
        return self.lost + self.twice + claims + self.torn + self.early

    @property
    def unknown_share(self) -> float:
        return self.unknown / self.in_flight if self.in_flight else 0.0

    @property
    def intent_share(self) -> float:
        return self.kills_in_intent / self.kills if self.kills else 0.0

    def add(self, kind: str, finding: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        self.findings.append(f"{kind}: {finding}")

    def table(self, title: str) -> str:
        """The figures for a log."""
        rows = [
            ("tasks", self.tasks),
            ("effects at miners", self.effects),
            ("  of these at rigs", sum(self.rig_effects.values())),
            ("kills of the agent", self.kills),
            (
                "  of these with a task in intent",
                f"{self.kills_in_intent} ({self.intent_share:.0%})",
            ),
            ("tasks in flight at a kill", self.in_flight),
            ("  of these unknown", f"{self.unknown} ({self.unknown_share:.0%})"),
            ("groups of batches", self.groups),
            ("  tasks that had to wait", self.held),
            ("lost", self.lost),
            ("twice", self.twice),
            ("false succeed", self.false_succeed),
            ("false not_done", self.false_not_done),
            ("unclaimed", self.unclaimed),
            ("torn", self.torn),
            ("early", self.early),
        ]
        words = ", ".join(f"{key} {count}" for key, count in sorted(self.outcomes.items()))
        lines = [title, *(f"  {name:<36} {value}" for name, value in rows), f"  outcomes: {words}"]
        return "\n".join([*lines, *(f"  ! {each}" for each in self.findings[:40])])


def check(
    ledger: Sequence[Entry],
    journal: Iterable[Row],
    cloud: Iterable[Shown],
    kills: Sequence[Kill] = (),
    promised: Mapping[str, int] | None = None,
    gone: Iterable[Row] = (),
    groups: Iterable[Group] = (),
    put_back_t: Sequence[float] = (),
    origin: Origin | None = None,
) -> Figures:
    """Hold them against each other. `promised` are batches the cloud acknowledged, with how many tasks; `gone` what
    stood in journals that were put back to an older copy of themselves, oldest first; `put_back_t` when the cloud's
    database was, oldest first; `origin` what miners come with.
    """
    rows = {row.task_id: _placed(row, ledger) for row in journal}
    tasks = {task.task_id: task for task in cloud}
    case = _Case(
        ledger, rows, tasks, [_placed(row, ledger) for row in gone], kills, origin or Origin()
    )
    case.lost(promised or {})
    case.twice()
    case.false_outcomes()
    case.unclaimed()
    for group in groups:
        case.group(group, put_back_t)
    case.share_of_unknown()
    return case.figures


def _placed(row: Row, ledger: Sequence[Entry]) -> Row:
    """A task of the site may know its miner by the address alone; no miner of this farm ever moves."""
    if row.mac is not None or row.ip is None:
        return row
    macs = {each.miner for each in ledger if each.ip == row.ip}
    return msgspec.structs.replace(row, mac=macs.pop()) if len(macs) == 1 else row


class _Case:
    def __init__(
        self,
        ledger: Sequence[Entry],
        rows: Mapping[str, Row],
        tasks: Mapping[str, Shown],
        gone: Sequence[Row],
        kills: Sequence[Kill],
        origin: Origin,
    ) -> None:
        self._origin = origin
        self._rows, self._tasks, self._kills = rows, tasks, kills
        self._killed = [kill.t for kill in kills]
        # What was on disk as begun at each kill, and at the end.
        self._begun = [kill.begun for kill in kills]
        self._begun.append({row.task_id: row.intent_t for row in rows.values()})
        # What every journal knew of a task, the one that is there now last.
        self._known: dict[str, list[Row]] = defaultdict(list)
        for row in (*gone, *rows.values()):
            self._known[row.task_id].append(row)
        self._by_miner: dict[str, list[Entry]] = defaultdict(list)
        for entry in ledger:
            self._by_miner[entry.miner].append(entry)
        self._claims: dict[tuple[str, str], list[Row]] = defaultdict(list)
        begun = {(row.task_id, row.intent_t): row for row in (*gone, *rows.values())}
        for row in sorted(begun.values(), key=lambda each: each.intent_t or 0.0):
            if row.mac is not None and row.intent_t is not None:
                for action, names in CAUSES.items():
                    if row.name in names and _may_order(row, action):
                        self._claims[row.mac, action].append(row)
        # What each task has to answer for: see `_claimant`. An effect is that of its order, however late it comes.
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        self._nobodys: list[Entry] = []
        ordered: dict[tuple[str, str, str | None], Row | None] = {}
        for entry in ledger:
            if entry.action not in CAUSES or entry.phase not in ("received", "applied"):
                continue
            if entry.is_own:
                continue
            key = (entry.miner, entry.action, entry.part)
            if entry.phase == "applied" and entry.before == entry.after:
                continue
            claimant = self._claimant(entry)
            if entry.phase == "received":
                ordered[key] = claimant
                if entry.action == "firmware":  # a boot follows, which nobody orders
                    ordered[entry.miner, "reboot", None] = claimant
            else:
                claimant = _later(claimant, ordered.pop(key, None))
            if claimant is None:
                self._nobodys.append(entry)
            else:
                self._entries[claimant.task_id].append(entry)
        self.figures = Figures(
            tasks=len(tasks),
            effects=sum(entry.changed and not entry.is_own for entry in ledger),
            rig_effects=dict(
                Counter(
                    entry.action
                    for entry in ledger
                    if entry.changed and not entry.is_own and entry.miner in origin.rigs
                )
            ),
            outcomes=dict(
                Counter(
                    f"{task.name.removeprefix('miner.')} {task.outcome or task.status}"
                    for task in tasks.values()
                )
            ),
        )

    def lost(self, promised: Mapping[str, int]) -> None:
        counts = Counter(task.batch_id for task in self._tasks.values())
        for batch_id, count in promised.items():
            for _ in range(count - counts[batch_id]):
                self.figures.add("lost", f"batch {batch_id} was taken with more tasks than it has")
        for task in self._tasks.values():
            if not task.is_terminal:
                self.figures.add("lost", f"{_name(task)} is {task.status} for ever")
        for task_id, known in self._known.items():
            self._lost(known, self._tasks.get(task_id))

    def _lost(self, known: Sequence[Row], told: Shown | None) -> None:
        """One task of the journals, what each of them knew of it in the order of time."""
        row, is_gone = known[-1], known[-1].task_id not in self._rows
        if told is None and (is_gone or row.state in _ENDED):
            self.figures.add(
                "lost", f"{row.name} {row.task_id} was in a journal, and is not in the cloud"
            )
        if told is None or not told.is_terminal or _was_late(told):
            return
        # The first end that was acknowledged stands. One before it may have been taken, its acknowledgement lost.
        may_be: set[str | None] = set()
        for each in known:
            if each.state in _ENDED:
                may_be.add(each.status)
            if each.state == "reported":
                break
        is_known = any(each.state == "reported" for each in known)
        if (is_known or (not is_gone and row.state in _ENDED)) and told.status not in may_be:
            words = " or ".join(sorted(map(str, may_be)))
            self.figures.add(
                "lost", f"{_name(told)} is {words} in the journal, {told.status} in the cloud"
            )

    def twice(self) -> None:
        for row in (rows[-1] for rows in self._known.values()):
            own = OWN_ACTION.get(TaskName(row.name))
            if own is None:
                continue
            entries = self._entries[row.task_id]
            once = SPECS[TaskName(row.name)].kind is Kind.ONE_SHOT
            for action, part in {(each.action, each.part) for each in entries}:
                same = [each for each in entries if (each.action, each.part) == (action, part)]
                for _ in range(_orders(same, only_changes=not once) - 1):
                    of_part = "" if part is None else f" of {part}"
                    self.figures.add(
                        "twice", f"{action}{of_part} of {row.ip} for {row.name} {row.task_id}"
                    )

    def false_outcomes(self) -> None:
        for task in self._tasks.values():
            name = TaskName(task.name)
            known = self._known.get(task.task_id, [])
            own = OWN_ACTION.get(name)
            if task.status == "succeed" and task.outcome != "done":
                self.figures.add("false_succeed", f"{_name(task)} succeeds as {task.outcome}")
            elif task.status == "succeed" and own is not None:
                # Which of its journals told the cloud is not known: one of them has to be right.
                reasons = [self._unbacked(row, own) for row in known] or ["no journal knows it"]
                if None not in reasons:
                    self.figures.add("false_succeed", f"{_name(task)}: {reasons[-1]}")
            elif (
                task.status == "succeed"
                and name is TaskName.LOG
                and not (task.result or {}).get("file")
            ):
                self.figures.add("false_succeed", f"{_name(task)} brought no file")
            elif task.outcome == "not_done" and own is not None and self._was_done(task, own):
                self.figures.add("false_not_done", f"{_name(task)}, but the miner did it")

    def _was_done(self, task: Shown, own: str) -> bool:
        """Whether a one-shot that ended as not done was done by then, or is shown without what is known of it since. A
        database that is put back to an older copy, and then to a newer one, has ended what was done in between.
        """
        if SPECS[TaskName(task.name)].kind is not Kind.ONE_SHOT or task.task_id not in self._known:
            return False
        done = [each for each in self._entries[task.task_id] if each.changed and each.action == own]
        was_by_then = any(task.ended_t is None or each.t <= task.ended_t for each in done)
        return was_by_then or (bool(done) and not _was_late(task))

    def _unbacked(self, row: Row, own: str) -> str | None:
        """Why this success is none; `None` if the ledger backs it."""
        if row.mac is None or row.intent_t is None or row.settled_t is None:
            return "it was never begun"
        if SPECS[TaskName(row.name)].kind is Kind.ONE_SHOT:
            done = [
                each
                for each in self._entries[row.task_id]
                if each.action == own
                and each.phase == "applied"
                and each.t <= row.settled_t + _TICK_S
            ]
            return None if done else f"no {own} happened before it was settled"
        entries = self._by_miner[row.mac]
        return satisfies(row, own, entries, row.settled_t + _TICK_S, self._origin)

    def unclaimed(self) -> None:
        for entry in self._nobodys:
            self.figures.add("unclaimed", f"{_where(entry)} before any intent that allows it")
        for task_id, entries in self._entries.items():
            ends = [row.settled_t for row in self._known[task_id]]
            end = None if None in ends else max(each for each in ends if each is not None)
            for entry in entries:
                if entry.phase != "received":
                    continue
                # The first picture of the disk taken after it: its intent must be in there. Or in the one before, for
                # bytes that were under way when that was taken, of a journal that was put back afterwards.
                place = bisect_right(self._killed, entry.t)
                pictures = self._begun[max(0, place - 1) : place + 1]
                if place < len(self._kills) and not any(task_id in each for each in pictures):
                    self.figures.add("unclaimed", f"{_where(entry)} while no intent was on disk")
                elif end is not None and entry.t > end + _GRACE_S:
                    self.figures.add("unclaimed", f"{_where(entry)} after its task had ended")

    def group(self, group: Group, put_back_t: Sequence[float]) -> None:
        """What was ordered as one: whole, and nobody begins before it is his turn."""
        name, parts = f"group {group.group_id}", group.parts
        self.figures.groups += 1
        if not len(parts) == group.counted == group.ordered:
            self.figures.add(
                "torn",
                f"{name} was ordered with {group.ordered} tasks, counts {group.counted}, has {len(parts)}",
            )
        if group.canary is None:
            return
        first = [part for part in parts if part.goes_first]
        later = [part for part in parts if not part.goes_first]
        let_go_t = group.released_t
        self.figures.held += len(later)
        if len(first) != min(group.canary, len(parts)):
            self.figures.add("early", f"{len(first)} of {name} go first, not {group.canary}")
        if let_go_t is not None and not group.released_by_somebody:
            ends = [part.ended_t for part in first if part.proven and part.ended_t is not None]
            if len(ends) < len(first) or max(ends, default=0.0) > let_go_t + _TICK_S:
                self.figures.add("early", f"{name} was let go unproven")
        for part in later:
            known = [row.intent_t for row in self._known.get(part.task_id, ())]
            for t in (part.handed_t, *known):
                # A database that was put back may have been told once already that it is proven.
                if t is None or any(group.made_t < each for each in put_back_t):
                    continue
                if let_go_t is None or t < let_go_t - _TICK_S:
                    self.figures.add("early", f"{part.task_id} of {name} did not wait")
                    break

    def share_of_unknown(self) -> None:
        self.figures.kills = len(self._kills)
        self.figures.kills_in_intent = sum(bool(kill.in_flight) for kill in self._kills)
        flying = {task_id for kill in self._kills for task_id in kill.in_flight}
        self.figures.in_flight = len(flying)
        self.figures.unknown = sum(
            task_id in self._tasks and self._tasks[task_id].outcome == "unknown"
            for task_id in flying
        )

    def _claimant(self, entry: Entry) -> Row | None:
        """The latest task begun before an entry that may cause it, of those that the journal of that time knew as
        begun: a task of a journal that is gone begins later, or not at all, in the copy that was put in its place.
        """
        action = entry.action
        if entry.before and entry.before == entry.after:
            action = _AS_THEY_WERE.get(action, action)
        rows = self._claims[entry.miner, action]
        key: Callable[[Row], float] = lambda row: row.intent_t or 0.0  # noqa: E731
        before = rows[: bisect_right(rows, entry.t + _TICK_S, key=key)]
        place = bisect_right(self._killed, entry.t)
        journals = [self._begun[place]]
        if place and entry.t <= self._killed[place - 1] + _GRACE_S:
            journals.append(self._begun[place - 1])
        for row in reversed(before):
            if any(begun.get(row.task_id) == row.intent_t for begun in journals):
                return row
        return before[-1] if before else None


def _may_order(row: Row, action: str) -> bool:
    """Whether a task of the right name is also the right way round."""
    ways = _SWITCHED.get(action)
    return ways is None or row.params.get("action") in ways


def _orders(entries: Sequence[Entry], *, only_changes: bool) -> int:
    """How often a miner was asked (one-shots), or was changed (settings).

    A setting that undid itself meanwhile (a light that went out) may be changed again: that is what it is wished for.
    """
    changes = [each for each in entries if each.changed]
    if only_changes:
        undone = sum(b.before != a.after for a, b in pairwise(changes))
        return len(changes) - undone
    return max(sum(each.phase == "received" for each in entries), len(changes))


def _later(one: Row | None, other: Row | None) -> Row | None:
    """Of two tasks the one that began later."""
    return max(
        (each for each in (one, other) if each is not None),
        key=lambda each: each.intent_t or 0.0,
        default=None,
    )


def _was_late(task: Shown) -> bool:
    return bool((task.result or {}).get("late"))


def _name(task: Shown) -> str:
    return f"{task.name} {task.task_id}"


def _where(entry: Entry) -> str:
    return f"{entry.action} {entry.phase} at {entry.ip} (line {entry.n})"
