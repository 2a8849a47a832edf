"""`python -m tests.agent.installer.sweep kills|cuts [STRIDE [STRIDE_OF_SECOND_KILLS]]`: an update that is ended at every
step of it, and what becomes of it then.

A process of its own, with one thread: it forks the ones that are killed.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from tests.agent.installer.disks import Cut, KillingDisk, RecordingDisk, UnsyncedDisk, cuts, replay
from tests.agent.installer.trial import OLD, Trial

SCENARIOS: Final[dict[str, dict[str, Any]]] = {
    "proves itself": {},
    "crash loop": {"dies_s": 1, "ready_s": None},
    "no link": {"linked_s": None},
    "self-test fails": {"self_test": "the journal cannot be read"},
}
_STEPS: Final = (
    "asked", "taken", "verified", "installed", "self_tested", "flipped", "proven", "going_back", "ended",
)  # fmt: skip
Row = tuple[str, str, str]  # scenario, step, verdict


class Sweep:
    """Counts how each trial ended; what is not as it has to be is a line of `wrongs`."""

    def __init__(self, place: Path) -> None:
        self.rows = Counter[Row]()
        self.wrongs: list[str] = []
        self.restarts_most = Counter[str]()  # of the old release, more than without an interruption
        self._place = place
        self._number = 0

    def kills(self, stride: int, second: int) -> None:
        """Killed before every nth operation, and then before every nth of what the next start does."""
        for name, does in SCENARIOS.items():
            made = self._made(name, does)
            for first in _counted(stride):
                trial = self._copy(made)
                if not _killed(trial, first):
                    self._end(name, trial, "not killed", trial.step, {}, 0)
                    break
                step = trial.step
                for again in _counted(second) if second else ():
                    twice = self._copy(trial)
                    told = _told(twice)
                    if not _killed(twice, again):
                        break
                    told |= _told(twice)
                    twice = Trial(twice.root)
                    twice.run(UnsyncedDisk(), tried=twice.quick_self_test)
                    self._end(name, twice, f"killed at {first} and {again}", step, told, 2)
                told = _told(trial)
                trial = Trial(trial.root)
                trial.run(UnsyncedDisk(), tried=trial.quick_self_test)
                self._end(name, trial, f"killed at {first}", step, told, 1)

    def cuts(self, stride: int) -> None:
        for name, does in SCENARIOS.items():
            made = self._made(name, does)
            whole = self._copy(made)
            disk = RecordingDisk(whole.root, self._place / f"trees {name}", lambda w=whole: w.step)
            disk.beside.mkdir()
            whole.run(disk, tried=whole.quick_self_test)
            for cut in cuts(disk.record):
                if cut.after % stride == 0:
                    self._cut(name, made, disk, cut)

    def _cut(self, name: str, made: Trial, disk: RecordingDisk, cut: Cut) -> None:
        seen = self._copy(made)
        replay(disk.record, cut._replace(lost=frozenset()), seen.root)
        told = _told(seen)
        seen.root.rename(self._place / "seen")
        trial = self._copy(made)
        replay(disk.record, cut, trial.root)
        step = disk.record[cut.after].step if cut.after < len(disk.record) else "ended"
        trial.system.boot()
        trial.system.advance(1)
        trial.run(UnsyncedDisk(), tried=trial.quick_self_test)
        self._end(name, trial, f"cut at {cut.after}, {cut.how} {sorted(cut.lost)}", step, told, 1)
        _remove(self._place / "seen")

    def _end(
        self, name: str, trial: Trial, how: str, step: str, told: dict[str, Any], more: int
    ) -> None:
        good = SCENARIOS[name] == {}
        wrongs = trial.wrongs(good=good)
        outcomes = _told(trial)
        if any(outcomes.get(task) != outcome for task, outcome in told.items()):
            wrongs.append("what was said of the task before is not what is said now")
        restarts = trial.system.facts["asked"].count(OLD)
        if restarts > 1 + more:
            wrongs.append(f"the old release was restarted {restarts} times")
        self.wrongs += [f"{name}, {how}, at {step}: {each}" for each in wrongs]
        self.rows[name, step, outcomes[next(iter(outcomes))].verdict if outcomes else "none"] += 1
        _remove(trial.root)

    def _made(self, name: str, does: dict[str, Any]) -> Trial:
        self._number += 1
        return Trial.made(self._place / f"made {name}", **does)

    def _copy(self, trial: Trial) -> Trial:
        self._number += 1
        return trial.copied(self._place / str(self._number))

    def table(self) -> str:
        """For docs/releases.md."""
        lines = [
            "| the new release | ended at | trials | done | not_done | refused |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for name in SCENARIOS:
            for step in _STEPS:
                found = {
                    v: self.rows[name, step, v] for v in ("done", "not_done", "refused", "none")
                }
                if any(found.values()):
                    numbers = f"{sum(found.values())} | {found['done']} | {found['not_done']} | {found['refused']}"
                    lines.append(f"| {name} | {step} | {numbers} |")
        return "\n".join(lines)


def _counted(stride: int) -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += stride


def _killed(trial: Trial, left: int) -> bool:
    """Run the installer in a process that is killed before its operation of that number; whether it came so far."""
    disk = KillingDisk(left)
    # Between two operations of the disk it waits, and has units restarted.
    trial.system.before = disk.before
    return _in_a_process(lambda: trial.run(disk, tried=trial.quick_self_test))


def _in_a_process(work: Callable[[], None]) -> bool:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not is_killed and status != 0:
        raise RuntimeError(f"the installer ended with {status}")
    return is_killed


def _told(trial: Trial) -> dict[str, Any]:
    """Every outcome that can be read now, by its task."""
    return {each.task: each for each in trial.outcomes}


def _remove(root: Path) -> None:
    shutil.rmtree(root)


def main(argv: list[str]) -> int:
    """Exits 1 where anything is not as it has to be."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    what, *numbers = argv
    stride, second, *_ = (*map(int, numbers), 1, 0) if numbers else (1, 0)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix="sweep-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as place:
        sweep = Sweep(Path(place))
        if what == "kills":
            sweep.kills(stride, second)
        else:
            sweep.cuts(stride)
    print(sweep.table())
    print(
        f"\n{sum(sweep.rows.values())} trials, {time.monotonic() - begun:.0f} s, {len(sweep.wrongs)} wrong"
    )
    print("\n".join(sweep.wrongs[:40]))
    return 1 if sweep.wrongs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
