"""`miner-agent-update` as a command: which config it goes by, and what it does without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.installer import command
from release.handover import PROGRESS, REQUEST
from service.files import FolderLock
from tests.agent.installer.played import PlayedHost
from tests.agent.installer.trial import NEW, OLD, PROGRAMS, Trial, repository
from tests.release.repository import PLATFORM


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """A host whose places, systemd and clock are those of the trial."""
    trial = Trial.made(tmp_path)
    maker = command.ReleaseMaker
    monkeypatch.setattr(command, "UpdatePlaces", lambda: trial.places)
    monkeypatch.setattr(command, "SystemClock", lambda: trial.clock)
    monkeypatch.setattr(command, "THIS", PlayedHost(system=trial.system))
    monkeypatch.setattr(command, "host_platform", lambda: PLATFORM)
    monkeypatch.setattr(command, "WATCHED", tmp_path / "state")
    monkeypatch.setattr(command, "trusted_root", lambda: repository().first_root)
    monkeypatch.setattr(command, "ReleaseMaker", lambda *words: maker(*words, PROGRAMS))
    return trial


def config(trial: Trial, **update: Any) -> list[str]:
    path = trial.root / "config.toml"
    lines = [f"{key} = {str(value).lower()}\n" for key, value in update.items()]
    path.write_text(f'[state]\ndir = "{trial.state}"\n[update]\n' + "".join(lines))
    return ["--config", str(path)]


def test_it_goes_by_the_agent_s_config(trial: Trial) -> None:
    command.main(config(trial))
    assert trial.wrongs(good=True) == []
    assert (trial.outcome.verdict, trial.current) == ("done", NEW)


def test_the_limits_are_those_of_the_config(trial: Trial) -> None:
    command.main(config(trial, settle_s=200.0))
    assert trial.clock.mono() > 200
    assert trial.outcome.verdict == "done"


def test_what_is_switched_off_is_refused(trial: Trial) -> None:
    command.main(config(trial, enabled=False))
    assert (trial.outcome.reason, trial.current) == ("not_set_up", OLD)


def test_a_config_that_cannot_be_read_begins_nothing(trial: Trial) -> None:
    command.main(["--config", str(trial.root / "none.toml")])
    # Where the agent keeps its state is not known either: its request waits.
    assert (trial.outcomes, trial.current) == ([], OLD)


def test_one_process_is_at_it_at_a_time(trial: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    lock = FolderLock(trial.places.folder / "lock", "")
    lock.take()
    with pytest.raises(SystemExit) as ended:
        command.main(config(trial))
    lock.release()
    assert ended.value.code == 1
    assert "another miner-agent-update is at it" in capsys.readouterr().err
    assert not (trial.places.folder / PROGRESS).exists()


def test_a_request_where_the_agent_has_no_state_any_more_is_taken_away(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit looks there, and would start us for ever."""
    elsewhere = trial.root / "before"
    (elsewhere / REQUEST).parent.mkdir(parents=True)
    (elsewhere / REQUEST).write_bytes((trial.state / REQUEST).read_bytes())
    monkeypatch.setattr(command, "WATCHED", elsewhere)
    command.main(config(trial))
    assert not (elsewhere / REQUEST).exists()
    assert trial.wrongs(good=True) == []
