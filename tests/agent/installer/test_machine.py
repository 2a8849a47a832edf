"""An update from its request to its outcome: each way that it can end."""

from __future__ import annotations

from pathlib import Path

from tests.agent.installer.trial import NEW, OLD, TASK, Trial


def test_a_release_that_proves_itself_is_done(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    trial.run()
    assert trial.wrongs(good=True) == []
    outcome = trial.outcome
    assert (outcome.task, outcome.verdict, outcome.reason) == (TASK, "done", ""), outcome
    assert outcome.before is not None and outcome.before.version == OLD
    assert outcome.after is not None and outcome.after.version == NEW
    assert trial.system.facts["asked"] == [NEW]
