"""An update from its request to its outcome: each way that it can end, within its limits."""

from __future__ import annotations

import errno
import json
import platform
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.config.update import UpdateSection
from agent.installer import making
from agent.installer.making import RESERVE
from release.handover import OUTCOMES, OUTCOMES_KEPT, PROGRESS, REQUEST, RUNNING
from service.disk import DISK
from service.install.host import HostCommandError
from service.install.release import flip
from tests.agent.installer.disks import UnsyncedDisk
from tests.agent.installer.played import sha256_of
from tests.agent.installer.trial import LIMITS, NEW, OLD, TASK, Trial
from tests.release.repository import PLATFORM
from tests.service.install.test_wheels import AMD64, ARM64, a_library

FOREIGN = ARM64 if platform.machine() == "x86_64" else AMD64


def ended(trial: Trial, verdict: str, reason: str, **more: Any) -> str:
    """Run it; gives the message of its outcome."""
    trial.run(**more)
    assert trial.wrongs(good=verdict == "done") == []
    outcome = trial.outcome
    assert (outcome.task, outcome.verdict, outcome.reason) == (TASK, verdict, reason), outcome
    return outcome.message


def test_a_release_that_proves_itself_is_done(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    assert ended(trial, "done", "", disk=DISK) == "0.3.0 runs, and has proven itself"
    outcome = trial.outcome
    assert outcome.before is not None and outcome.before.version == OLD
    assert outcome.after is not None and outcome.after.version == NEW
    assert (trial.system.facts["asked"], trial.system.facts["rig"]) == ([NEW], NEW)
    assert {each.name for each in trial.places.folder.iterdir()} == {"outcomes.json", "kept"}


@pytest.mark.parametrize(
    ("reason", "does", "limit_s"),
    [
        ("crash_loop", {"dies_s": 1, "ready_s": None}, 3 * (1 + 5)),
        ("crash_loop", {"dies_s": 1.5, "ready_s": 1}, 3 * (1.5 + 5)),
        ("not_ready", {"ready_s": None}, LIMITS.ready_within_s),
        ("no_link", {"linked_s": None}, LIMITS.link_within_s),
        ("journal_still", {"turned_s": None}, LIMITS.journal_within_s),
    ],
)
def test_one_that_does_not_prove_itself_is_gone_back_from_within_its_limit(
    tmp_path: Path, reason: str, does: dict[str, Any], limit_s: float
) -> None:
    trial = Trial.made(tmp_path, **does)
    begun_s = trial.clock.mono()
    message = ended(trial, "not_done", reason)
    assert "0.3.0 " in message and message.endswith("0.2.0 runs again")
    # and the old one is ready after two seconds
    assert trial.clock.mono() - begun_s <= limit_s + 4
    assert trial.system.facts["asked"] == [NEW, OLD]
    (line,) = trial.outcome.log
    assert line == f"the words of {trial.system.facts['number'] - 1:032x}"


def test_what_is_ready_linked_and_turning_too_late_is_not_proven(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path, ready_s=9, linked_s=31, turned_s=9)
    ended(trial, "not_done", "no_link")


def test_what_dies_before_it_settled_is_not_proven(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path, ready_s=0, linked_s=0, turned_s=0, dies_s=LIMITS.settle_s - 0.5)
    ended(trial, "not_done", "crash_loop")


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ({"self_test": "it has schema 9"}, "its self-test says: journal: it has schema 9"),
        ({"self_test": "dies"}, "its self-test says: it ended with 7"),
        ({"self_test": "hangs"}, "its self-test says: it did not end within 2 s"),
    ],
)
def test_a_bundle_that_cannot_read_the_journal_is_not_started(
    tmp_path: Path, does: dict[str, Any], message: str
) -> None:
    trial = Trial.made(tmp_path, **does)
    assert ended(trial, "not_done", "self_test") == message
    assert trial.outcome.log[0] == "some words before"
    assert trial.system.facts["asked"] == []


class Broken(NamedTuple):
    """How what lies ready is spoiled, and why it is refused then."""

    spoil: Callable[[Path], object]
    reason: str


def _truncated(staged: Path) -> None:
    bundle = staged / "bundle.tar"
    bundle.write_bytes(bundle.read_bytes()[:-3000])


def _another(staged: Path) -> None:
    """As the agent would after root's own user has looked at it: with one byte of a wheel changed."""
    data = bytearray((staged / "bundle.tar").read_bytes())
    data[len(data) // 2] ^= 1
    (staged / "bundle.tar").write_bytes(data)


BROKEN = {
    "truncated": Broken(_truncated, "mixed"),
    "changed": Broken(_another, "mixed"),
    "no bundle": Broken(lambda staged: (staged / "bundle.tar").unlink(), "missing"),
    "no metadata": Broken(lambda staged: (staged / "timestamp.json").unlink(), "missing"),
    "another signature": Broken(
        lambda staged: (staged / "bundle.sig").write_text("0" * 128), "bad_signature"
    ),
    "nothing": Broken(shutil.rmtree, "disk"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_lies_ready_and_is_not_what_was_signed_is_refused(tmp_path: Path, name: str) -> None:
    trial = Trial.made(tmp_path)
    BROKEN[name].spoil(trial.state / "update/staged" / NEW)
    ended(trial, "refused", BROKEN[name].reason)
    assert trial.system.facts["asked"] == []


def test_another_bundle_than_the_one_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    trial.ask(NEW, "0" * 64)
    ended(trial, "refused", "mixed")


def test_a_bundle_that_is_swapped_after_it_was_copied_changes_nothing(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    class Swapping(UnsyncedDisk):
        def copy(self, source: int, path: Path, size: int) -> None:
            super().copy(source, path, size)
            _another(trial.state / "update/staged" / NEW)

    ended(trial, "done", "", disk=Swapping())


def test_a_bundle_that_is_swapped_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    class Truncating(UnsyncedDisk):
        def copy(self, source: int, path: Path, size: int) -> None:
            if path.name == "bundle.tar":
                _truncated(trial.state / "update/staged" / NEW)
            super().copy(source, path, size)

    ended(trial, "refused", "mixed", disk=Truncating())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"platform": PLATFORM.replace("arm64", "amd64")}, "wrong_platform"),
        ({"python": "3.9"}, "wrong_platform"),
        ({"files": {"fast.so": a_library(FOREIGN)}}, "bad_bundle"),
        ({"programs": ()}, "bad_bundle"),
    ],
)
def test_a_bundle_for_another_host_is_refused(
    tmp_path: Path, more: dict[str, Any], reason: str
) -> None:
    trial = Trial.made(tmp_path, **more)
    ended(trial, "refused", reason)
    assert trial.system.facts["asked"] == []


def test_a_release_that_is_not_newer_is_refused_and_stays(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    trial.stand("0.1.0")
    trial.stage("0.1.0")
    trial.run()
    assert (trial.outcome.verdict, trial.outcome.reason) == ("refused", "not_newer")
    assert trial.installed == ["0.1.0", OLD]


@pytest.mark.parametrize("full", ["update", "opt"])
def test_a_full_disk_refuses_before_anything_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    trial = Trial.made(tmp_path)
    usage = shutil.disk_usage(tmp_path)

    def disk_usage(path: Path) -> Any:
        is_full = path.is_relative_to(tmp_path / full)
        return usage._replace(free=RESERVE + (100 if is_full else 10**9))

    monkeypatch.setattr(making.shutil, "disk_usage", disk_usage)
    assert "are needed" in ended(trial, "refused", "storage_full")


def test_what_was_said_to_be_refused_is_not_done_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial.made(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    room = {trial.places.work: usage, trial.places.home: usage._replace(free=RESERVE)}
    monkeypatch.setattr(making.shutil, "disk_usage", room.get)

    class CutOff(UnsyncedDisk):
        """When the outcome can be read, and nothing else was done."""

        def rename(self, path: Path, to: Path) -> None:
            super().rename(path, to)
            if to.name == OUTCOMES:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trial.run(CutOff())
    before = trial.outcomes
    room[trial.places.home] = usage
    ended(trial, "refused", "storage_full")
    assert trial.outcomes == before


class FullDisk(UnsyncedDisk):
    """Takes nothing more from the moment that the machine is at a step; space comes again when `is_full` is set back."""

    def __init__(self, trial: Trial, step: str) -> None:
        self._trial = trial
        self._step = step
        self.is_full = True

    def before(self, what: str, path: Path, **more: Any) -> None:
        writes = ("create", "copy", "fill", "symlink", "mkdir")
        if self.is_full and self._trial.step == self._step and what in writes:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.mark.parametrize("step", ["verified", "self_tested", "flipped"])
def test_a_disk_that_fills_at_a_step_takes_the_old_release_from_nobody(
    tmp_path: Path, step: str
) -> None:
    trial = Trial.made(tmp_path, dies_s=1, ready_s=None)
    disk = FullDisk(trial, step)
    with pytest.raises(OSError, match="No space"):
        trial.run(disk)
    assert trial.outcomes == []
    assert trial.proven == OLD
    assert trial.current == OLD
    disk.is_full = False
    trial.run(disk)
    assert trial.wrongs(good=False) == []


def test_a_release_that_takes_the_host_down_each_time_is_given_up(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    def down(what: str, _path: Path) -> None:
        if what == "wait":
            raise KeyboardInterrupt

    for _ in range(3):
        trial.system.before = down
        with pytest.raises(KeyboardInterrupt):
            trial.run()
        assert trial.current == NEW
        trial.system.before = lambda _what, _path: None
        trial.system.boot()
    ended(trial, "not_done", "interrupted")


def test_it_goes_on_after_a_power_cut_by_the_defaults_where_the_config_is_gone(
    tmp_path: Path,
) -> None:
    trial = Trial.made(tmp_path, dies_s=1, ready_s=None)

    def down(what: str, _path: Path) -> None:
        if what == "wait":
            raise KeyboardInterrupt

    trial.system.before = down
    with pytest.raises(KeyboardInterrupt):
        trial.run()
    trial.system.before = lambda _what, _path: None
    trial.system.boot()
    ended(trial, "not_done", "crash_loop", limits=UpdateSection(), trouble="config.toml is no TOML")


def test_nothing_begins_by_a_config_that_cannot_be_read(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    assert ended(trial, "refused", "not_set_up", trouble="it is no TOML") == "it is no TOML"


def test_a_release_that_somebody_installs_meanwhile_is_left_alone(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    trial.stand("0.4.0")

    def meanwhile(what: str, _path: Path) -> None:
        if what == "wait":
            flip(trial.places.current, "0.4.0")

    trial.system.before = meanwhile
    trial.run()
    outcome = trial.outcome
    assert (outcome.verdict, outcome.reason, trial.current) == ("not_done", "overtaken", "0.4.0")
    assert outcome.after is not None and outcome.after.version == "0.4.0"
    assert trial.installed == [OLD, "0.4.0"]


def test_the_same_version_installed_by_hand_meanwhile_is_left_alone(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    def meanwhile(what: str, _path: Path) -> None:
        if what == "wait" and trial.system.facts["now"] < 32:
            shutil.rmtree(trial.places.release(NEW))
            trial.stand(NEW, ready_s=1)
            flip(trial.places.proven, NEW)

    trial.system.before = meanwhile
    trial.run()
    outcome = trial.outcome
    assert (outcome.verdict, outcome.reason) == ("not_done", "overtaken")
    assert (trial.current, trial.proven, trial.installed) == (NEW, NEW, [OLD, NEW])


def test_a_release_with_a_version_of_nobody_is_not_updated(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    trial.places.release(OLD).rename(trial.places.release("strange"))
    flip(trial.places.current, "strange")
    trial.run()
    assert (trial.outcome.verdict, trial.outcome.reason) == ("refused", "no_version")


def test_a_release_that_is_taken_away_before_it_runs_is_gone_back_from(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    def tried(version: str) -> None:
        shutil.rmtree(trial.places.release(version))

    ended(trial, "not_done", "gone", tried=tried)


@pytest.mark.parametrize(
    "change",
    [{"pid": 7}, {"invocation": "f" * 32}, {"boot_id": "another"}, {"sha256": "0" * 64}, {"version": OLD}],
    ids=lambda each: next(iter(each)),
)  # fmt: skip
def test_what_another_process_says_does_not_count(tmp_path: Path, change: dict[str, Any]) -> None:
    trial = Trial.made(tmp_path, ready_s=2)

    def lies(facts: dict[str, Any]) -> None:
        path = trial.state / RUNNING
        if path.exists() and facts["version"] == NEW:
            path.write_text(json.dumps(json.loads(path.read_text()) | change))

    trial.system.on_said = lies
    ended(trial, "not_done", "not_ready")


def test_a_systemd_that_does_not_answer_for_a_while_is_asked_again(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    def busy(words: tuple[str, ...]) -> None:
        if words[1] == "show" and 31 < trial.clock.mono() < 34:
            raise HostCommandError("Connection timed out")

    trial.system.on_ask = busy
    ended(trial, "done", "")


def test_an_old_release_that_is_not_ready_in_time_is_named_so(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path, dies_s=1, ready_s=None)

    def slow(facts: dict[str, Any]) -> None:
        if facts["version"] == OLD and NEW in facts["asked"]:
            facts["does"]["ready_s"] = None

    trial.system.on_change = slow
    assert ended(trial, "not_done", "crash_loop").endswith(
        "0.2.0 was started, and is not ready yet"
    )


def test_a_task_has_one_outcome_whatever_is_asked_for_again(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path, dies_s=1, ready_s=None)
    ended(trial, "not_done", "crash_loop")
    before = trial.outcomes
    trial.stage("0.4.0", task=TASK)
    trial.run()
    assert (trial.outcomes, trial.current) == (before, OLD)
    assert not (trial.state / REQUEST).exists()


def test_the_newest_outcomes_are_kept(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    tasks = [f"task-{number}" for number in range(OUTCOMES_KEPT + 3)]
    for task in tasks:
        trial.ask(NEW, "0" * 64, task)
        trial.run()
    assert [each.task for each in trial.outcomes] == tasks[3:]


def test_two_updates_one_after_the_other_leave_two_releases(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    trial.run()
    trial.stage("0.4.0", task="task-2")
    trial.run()
    assert [each.verdict for each in trial.outcomes] == ["done", "done"]
    assert (trial.current, trial.proven, trial.installed) == ("0.4.0", "0.4.0", [NEW, "0.4.0"])


def test_nothing_to_do_is_done_at_once(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    (trial.state / REQUEST).unlink()
    trial.run()
    assert (trial.outcomes, trial.system.facts["asked"]) == ([], [])
    assert not (trial.places.folder / PROGRESS).exists()


def test_a_record_that_cannot_be_read_keeps_no_update_from_being_made(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)
    (trial.places.folder / PROGRESS).write_text("{")
    (trial.places.folder / "outcomes.json").write_text("[")
    ended(trial, "done", "")


@pytest.mark.parametrize(
    "written", ["{", '{"task": "x", "step": "of a later release"}', "[" * 9000]
)
@pytest.mark.parametrize("leads", [NEW, "none"])
def test_what_is_not_proven_is_gone_back_from_where_its_record_cannot_be_read(
    tmp_path: Path, leads: str, written: str
) -> None:
    trial = Trial.made(tmp_path)
    (trial.state / REQUEST).unlink()
    trial.stand(NEW)
    flip(trial.places.current, leads)
    trial.system.boot()
    (trial.places.folder / PROGRESS).write_text(written)
    trial.run()
    assert (trial.current, trial.proven, trial.system.facts["version"]) == (OLD, OLD, OLD)
    assert trial.outcomes == []
    assert not (trial.places.folder / PROGRESS).exists()


@pytest.mark.parametrize("file", [PROGRESS, OUTCOMES])
def test_what_the_disk_does_not_give_now_is_not_taken_for_nothing(
    tmp_path: Path, file: str
) -> None:
    trial = Trial.made(tmp_path)
    (trial.places.folder / file).mkdir()
    with pytest.raises(OSError, match=file):
        trial.run()
    assert (trial.state / REQUEST).exists()
    assert trial.current == OLD


def cut_off_as_proven(trial: Trial) -> None:
    """That it is proven is written down, and nothing leads to it yet."""

    class ProvenAndCutOff(UnsyncedDisk):
        def symlink(self, path: Path, to: Path) -> None:
            if trial.step == "proven":
                raise KeyboardInterrupt
            super().symlink(path, to)

    with pytest.raises(KeyboardInterrupt):
        trial.run(ProvenAndCutOff())


def test_what_came_while_a_proven_release_was_about_to_be_led_to_is_left_alone(
    tmp_path: Path,
) -> None:
    trial = Trial.made(tmp_path)

    cut_off_as_proven(trial)
    # As a package does, which takes what is older than what it leaves.
    trial.stand("0.4.0")
    flip(trial.places.current, "0.4.0")
    flip(trial.places.proven, "0.4.0")
    shutil.rmtree(trial.places.release(NEW))
    trial.run()
    assert (trial.outcome.verdict, trial.outcome.reason) == ("not_done", "overtaken")
    assert (trial.current, trial.proven) == ("0.4.0", "0.4.0")


def test_a_release_that_is_taken_away_when_it_is_proven_is_gone_back_from(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    cut_off_as_proven(trial)
    shutil.rmtree(trial.places.release(NEW))
    ended(trial, "not_done", "gone")


@pytest.mark.parametrize("at_s", [30, 31, 33])
def test_an_agent_that_somebody_stopped_is_not_started_against_their_will(
    tmp_path: Path, at_s: int
) -> None:
    trial = Trial.made(tmp_path)
    if at_s == 30:
        trial.system.stop()

    def meanwhile(what: str, _path: Path) -> None:
        if what == "wait" and trial.clock.mono() == at_s:
            trial.system.stop()

    trial.system.before = meanwhile
    trial.run()
    outcome = trial.outcome
    assert (outcome.verdict, outcome.reason) == ("not_done", "stopped")
    assert outcome.message.endswith("somebody stopped the agent; 0.2.0 is what starts next")
    assert (trial.current, trial.proven, trial.installed) == (OLD, OLD, [OLD])
    assert trial.system.facts["asked"] == ([] if at_s == 30 else [NEW])
    assert trial.system.facts["state"] == "stopped"
    assert trial.clock.mono() <= at_s + 1


def test_a_unit_that_waits_for_its_turn_at_boot_is_not_taken_for_one_that_was_stopped(
    tmp_path: Path,
) -> None:
    trial = Trial.made(tmp_path)
    trial.system.stop(is_queued=True)
    ended(trial, "done", "")


def test_a_request_that_is_taken_back_while_it_is_copied_is_not_carried_out(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path)

    class TakingBack(UnsyncedDisk):
        def copy(self, source: int, path: Path, size: int) -> None:
            (trial.state / REQUEST).unlink(missing_ok=True)
            super().copy(source, path, size)

    trial.run(TakingBack())
    assert (trial.outcomes, trial.current, trial.installed) == ([], OLD, [OLD])
    assert {each.name for each in trial.places.folder.iterdir()} == set()


@pytest.mark.parametrize("step", ["flipped", "going_back"])
def test_what_is_proven_is_not_gone_back_from_by_a_record_put_back_from_a_copy(
    tmp_path: Path, step: str
) -> None:
    """Its journal may be one by now that the release before it cannot read."""
    trial = Trial.made(tmp_path, linked_s=None)
    seen: list[bytes] = []

    def keep(_what: str, _path: Path) -> None:
        if trial.step == step:
            seen.append((trial.places.folder / PROGRESS).read_bytes())

    class KeepingRecords(UnsyncedDisk):
        def before(self, what: str, path: Path, **more: Any) -> None:
            keep(what, path)

    trial.system.before = keep
    trial.run(KeepingRecords())
    assert trial.outcome.verdict == "not_done"
    # A later order has put it there after all, and it has no link just now.
    trial.stand(NEW, linked_s=None)
    record = json.loads(seen[-1])
    record["after"]["sha256"] = sha256_of(trial.places.release(NEW))
    flip(trial.places.current, NEW)
    flip(trial.places.proven, NEW)
    (trial.places.folder / PROGRESS).write_text(json.dumps(record))
    trial.run()
    assert (trial.current, trial.proven) == (NEW, NEW)
    assert not (trial.places.folder / PROGRESS).exists()


def test_a_full_disk_of_releases_keeps_nobody_on_one_that_fails(tmp_path: Path) -> None:
    trial = Trial.made(tmp_path, dies_s=1, ready_s=None)
    compiled = "lib/*/site-packages/__pycache__"

    class FullOfNames(UnsyncedDisk):
        """Takes no new name until some are gone."""

        def before(self, what: str, path: Path, **more: Any) -> None:
            if (
                what == "symlink"
                and trial.step == "going_back"
                and list(trial.places.release(NEW).glob(compiled))
            ):
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

    ended(trial, "not_done", "crash_loop", disk=FullOfNames())


@pytest.mark.parametrize("year", [1970, 2099, 9998])
def test_a_clock_that_is_wrong_keeps_no_update_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int
) -> None:
    trial = Trial.made(tmp_path)
    monkeypatch.setattr(trial.clock, "now", lambda: datetime(year, 1, 1, 0, 0, 1, tzinfo=UTC))
    ended(trial, "done", "")
