"""The phases of a task that is worked on, and the time that is its own."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from agent.journal import TaskRecord
from agent.journal.states import IllegalMoveError
from agent.tasks.active import PHASES, ActiveTask, Phase
from agent.tasks.tasklog import TaskLog
from contract.clock import SystemClock
from contract.task import TaskName, parse_params
from tests.virtual_time import loop_clock

ALLOWED = {
    *itertools.permutations(("working", "waiting"), 2),
    *itertools.permutations(("working", "sending"), 2),
    *((each, "revoked") for each in ("working", "waiting", "sending")),
    *((each, "settling") for each in ("working", "waiting", "sending", "revoked")),
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def task() -> ActiveTask:
    record = TaskRecord(
        task_id="t-1",
        epoch=1,
        name=TaskName.LIGHT,
        params={"action": "on"},
        accepted_at=NOW,
        expires_at=NOW + timedelta(days=1),
        limit_s=60.0,
    )
    params = parse_params(TaskName.LIGHT, record.params)
    return ActiveTask(record, params, TaskLog(SystemClock()), limit_s=60.0, expires_mono=86_400.0)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Phase, Phase)))
def test_a_task_changes_its_phase_only_as_the_table_says(
    task: ActiveTask, before: Phase, after: Phase
) -> None:
    if before is not Phase.WORKING:
        task.enter(before)
    if (before.value, after.value) in ALLOWED:
        task.enter(after)
        assert task.phase is after
    else:
        with pytest.raises(IllegalMoveError):
            task.enter(after)
        assert task.phase is before
    assert set(PHASES) == set(Phase)


def test_what_ends_a_task_in_the_middle_of_a_phase_is_not_undone_when_that_is_left(
    task: ActiveTask,
) -> None:
    with task.during(Phase.SENDING):
        task.enter(Phase.REVOKED)
    assert task.phase is Phase.REVOKED


async def test_none_of_its_own_time_passes_while_it_waits_for_others(
    task: ActiveTask,
) -> None:
    clock = loop_clock()
    task.started_mono = clock.mono()
    with task.waiting(clock):
        await clock.sleep(1000.0)
        assert not task.over(clock.mono())
    assert not task.over(clock.mono())
    await clock.sleep(61.0)
    assert task.over(clock.mono())
