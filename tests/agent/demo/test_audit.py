"""The audit finds what was done twice and what nobody ordered, and nothing where all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.demo.audit import Audit, Witnessed, audit, mining_process, witnessed
from contract.rigmonitor.playbook import MiningWish
from contract.task import TaskName

MAC = "02:00:00:00:00:01"
OTHER = "02:00:00:00:00:02"
T = 1_800_000_000.0


def effect(action: str, t: float = T + 1, *, miner: str = MAC, **changes: Any) -> dict[str, Any]:
    entry = {
        "t": t, "miner": miner, "action": action, "phase": "applied",
        "before": {"was": 1}, "after": {"is": 2},
    }  # fmt: skip
    return {**entry, **changes}


def ledger(folder: Path, *entries: dict[str, Any]) -> Path:
    path = folder / "ledger.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in entries))
    return path


def task(
    name: TaskName | MiningWish,
    *,
    miner: str = MAC,
    begun: float | None = T,
    ended: float | None = T + 9,
):
    return Witnessed(miner, name, begun, ended)


def test_effects_that_have_each_their_task_are_clean(tmp_path: Path):
    path = ledger(
        tmp_path,
        effect("light"),
        effect("mode"),
        effect("pools"),
        effect("reboot"),
        effect("firmware", miner=OTHER),
        effect("flash", T + 5, miner=OTHER),
        effect("reboot", T + 5, miner=OTHER),
    )
    tasks = [
        task(TaskName.LIGHT),
        task(TaskName.POWER_MODE),
        task(TaskName.POOLS),
        task(TaskName.REBOOT),
        task(TaskName.FIRMWARE, miner=OTHER),
    ]
    assert audit(path, tasks) == Audit(effects=7, doubled=0, unclaimed=0)


def test_two_reboots_for_one_task_are_doubled(tmp_path: Path):
    path = ledger(tmp_path, effect("reboot"), effect("reboot", T + 3))
    assert audit(path, [task(TaskName.REBOOT)]) == Audit(effects=2, doubled=1, unclaimed=0)


def test_two_reboots_for_two_tasks_are_not(tmp_path: Path):
    path = ledger(tmp_path, effect("reboot"), effect("reboot", T + 3))
    tasks = [task(TaskName.REBOOT), task(TaskName.REBOOT)]
    assert audit(path, tasks) == Audit(effects=2, doubled=0, unclaimed=0)


@pytest.mark.parametrize(
    "orders",
    [
        [],
        [task(TaskName.LIGHT)],
        [task(TaskName.REBOOT, miner=OTHER)],
        [task(TaskName.REBOOT, begun=None, ended=None)],
        [task(TaskName.REBOOT, begun=T + 60, ended=T + 70)],
        [task(TaskName.REBOOT, begun=T - 60, ended=T - 50)],
    ],
    ids=["no task", "another kind", "another miner", "never begun", "later", "earlier"],
)
def test_an_effect_without_its_task_is_unclaimed(tmp_path: Path, orders: list[Witnessed]):
    path = ledger(tmp_path, effect("reboot"))
    assert audit(path, orders) == Audit(effects=1, doubled=0, unclaimed=1)


@pytest.mark.parametrize("action", ["factory_reset", "password", "network", "config"])
def test_what_no_task_may_cause_is_unclaimed(tmp_path: Path, action: str):
    tasks = [task(name) for name in TaskName]
    assert audit(ledger(tmp_path, effect(action)), tasks) == Audit(1, 0, 1)


def test_a_task_still_running_claims_what_comes_late(tmp_path: Path):
    path = ledger(tmp_path, effect("reboot", T + 500))
    assert audit(path, [task(TaskName.REBOOT, ended=None)]) == Audit(1, 0, 0)


def test_orders_that_changed_nothing_are_no_effects(tmp_path: Path):
    path = ledger(
        tmp_path,
        effect("reboot", phase="received"),
        effect("reboot", phase="rejected"),
        effect("reboot", phase="lost"),
        effect("light", before={"on": True}, after={"on": True}),
    )
    assert audit(path, []) == Audit(0, 0, 0)


def process(action: str, t: float, pid: int, **changes: Any) -> dict[str, Any]:
    """A mining program of a rig began or ended."""
    return effect(action, t, pid=pid, **changes)


def test_what_a_rigs_programs_do_has_its_task_or_its_wish(tmp_path: Path):
    path = ledger(
        tmp_path,
        effect("pause"),
        process("stop", T + 1, 7),
        effect("resume", T + 5),
        process("start", T + 5, 8),
        process("start", T + 50, 9, by="boot"),  # which is the reboot's
        process("start", T + 3, 1, miner=OTHER, at=T - 40),
        process("stop", T + 3, 1, miner=OTHER, at=T - 20),
    )
    tasks = [
        task(TaskName.MINING, ended=T + 3),
        task(TaskName.MINING, begun=T + 4),
        task(MiningWish.MINING, miner=OTHER, begun=T - 41, ended=T - 39),
        task(MiningWish.STOP, miner=OTHER, begun=T - 21, ended=T - 19),
    ]
    assert audit(path, tasks) == Audit(effects=6, doubled=0, unclaimed=0)


def test_a_process_that_ends_or_begins_by_itself_is_unclaimed_or_doubled(tmp_path: Path):
    path = ledger(
        tmp_path, process("start", T + 1, 1), process("stop", T + 2, 1), process("start", T + 3, 2)
    )
    assert audit(path, [task(MiningWish.MINING)]) == Audit(effects=3, doubled=1, unclaimed=1)


def test_the_process_that_mines_is_the_one_that_began_and_did_not_end(tmp_path: Path):
    lines = [
        process("start", T, 1), process("start", T, 5, miner=OTHER), process("stop", T, 1),
        process("start", T, 2), process("stop", T, 1), process("stop", T, 2, phase="received"),
    ]  # fmt: skip
    assert [mining_process(ledger(tmp_path, *lines[:n]), MAC) for n in (0, 2, 3, 6)] == [
        None,
        1,
        None,
        2,
    ]


def test_an_empty_ledger_is_clean(tmp_path: Path):
    assert audit(ledger(tmp_path), [task(TaskName.REBOOT)]) == Audit(0, 0, 0)


@pytest.mark.parametrize("ending", ["succeed_at", "failed_at", "timed_out_at", "cancelled_at"])
def test_a_task_of_the_api_is_taken_from_its_times(ending: str):
    shown = {"pending_at": "2026-11-21T18:55:00Z", ending: "2026-11-21T18:55:09Z"}
    found = witnessed(MAC, TaskName.REBOOT, shown)
    assert found.begun is not None
    assert found.ended == found.begun + 9
    assert witnessed(MAC, TaskName.REBOOT, {"pending_at": None}) == Witnessed(
        MAC, TaskName.REBOOT, None, None
    )
