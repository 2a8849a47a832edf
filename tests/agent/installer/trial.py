"""An update on a host in a folder: the release before it, what the agent laid ready, and the installer."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.config.update import UpdateSection
from agent.installer.agentfolder import AgentFolder
from agent.installer.book import UpdateRecord
from agent.installer.machine import UpdateInstaller
from agent.installer.making import Judgement, ReleaseMaker
from agent.installer.places import UpdatePlaces
from agent.installer.selftest import NotFitError, self_test
from agent.installer.units import AgentUnits
from release.handover import OUTCOMES, PROGRESS, REQUEST, UpdateOutcome, UpdateRequest
from service.disk import Disk
from service.hostuser import myself
from service.install.release import PYTHON, finish, flip, running, site_packages
from tests.agent.installer.disks import UnsyncedDisk
from tests.agent.installer.played import (
    AGENT,
    PlayedClock,
    PlayedHost,
    PlayedSystemd,
    behaviour,
    does,
    is_whole,
)
from tests.release.repository import BUILT, PLATFORM, Repository, bundle_in, sha256
from tests.service.install.test_wheels import a_wheel

OLD, NEW, TASK = "0.2.0", "0.3.0", "task-1"
PROGRAMS: Final = ("miner-agent",)
LIMITS: Final = UpdateSection(
    ready_within_s=20, link_within_s=30, journal_within_s=25, settle_s=2, restarts_most=2
)


@cache
def repository() -> Repository:
    return Repository()


class Trial:
    """`does` is what the new release does, `change` makes another bundle of the one that is staged."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = UpdatePlaces(root / "opt", root / "update")
        self.state = root / "state"
        self.system = PlayedSystemd(root, self.places, self.state)
        self.clock = PlayedClock(self.system)

    @classmethod
    def made(cls, root: Path, **does: Any) -> Trial:
        """A host that runs the old release, which has asked for the new one."""
        trial = cls(root)
        for each in (
            root,
            trial.places.home,
            trial.places.releases,
            trial.places.folder,
            trial.state,
        ):
            each.mkdir(exist_ok=True)  # fmt: skip
        trial.stand(OLD)
        flip(trial.places.current, OLD)
        flip(trial.places.proven, OLD)
        trial.stage(NEW, **does)
        trial.system.boot()
        trial.system.advance(30)
        return trial

    def stand(self, version: str, **does: Any) -> None:
        """A release that is installed."""
        place = self.places.release(version)
        packages = place / site_packages()
        packages.mkdir(parents=True)
        (packages / "fakeagent.py").write_text(AGENT)
        (packages / "behaviour.json").write_text(json.dumps(behaviour(**does)))
        finish(
            place, place, name="miner-agent", version=version, platform=PLATFORM, python=Path(sys.executable).resolve(),
            commands=dict.fromkeys(PROGRAMS, "fakeagent:main"),
        )  # fmt: skip

    def stage(
        self,
        version: str,
        *,
        python: str = PYTHON,
        platform: str = PLATFORM,
        programs: Sequence[str] = PROGRAMS,
        files: Mapping[str, bytes] | None = None,
        task: str = TASK,
        **does: Any,
    ) -> None:
        """What the agent leaves behind when it asks for that release; `files` are in its wheel besides."""
        wheels = self.root / f"wheels-{version}"
        wheels.mkdir()
        entry_points = "[console_scripts]\n" + "".join(
            f"{each} = fakeagent:main\n" for each in programs
        )
        name = f"miner_agent-{version}"
        files = {
            "fakeagent.py": AGENT.encode(),
            "behaviour.json": json.dumps(behaviour(**does)).encode(),
            f"{name}.dist-info/entry_points.txt": entry_points.encode(),
            **(files or {}),
        }  # fmt: skip
        a_wheel(wheels, files, name=name)
        bundle = bundle_in(wheels, version, python=python, platform=platform)
        repository().release(bundle, version, platform=platform)
        staged = self.state / "update/staged" / version
        staged.parent.mkdir(parents=True, exist_ok=True)
        repository().staged(staged, bundle)
        self.ask(version, sha256(bundle), task)

    def ask(self, version: str, digest: str, task: str = TASK) -> None:
        request = UpdateRequest(task=task, version=version, sha256=digest, requested_at="now")
        (self.state / REQUEST).write_bytes(msgspec.json.encode(request))

    def installer(
        self,
        disk: Disk,
        *,
        limits: UpdateSection = LIMITS,
        trouble: str | None = None,
        tried: Callable[[str], None] | None = None,
    ) -> UpdateInstaller:
        judgement = Judgement(repository().anchors(), PLATFORM, BUILT)
        maker = ReleaseMaker(self.places, judgement, disk, self.clock, PROGRAMS)
        units = AgentUnits(PlayedHost(system=self.system))
        return UpdateInstaller(
            self.places, AgentFolder(self.state), maker, units, tried or self.self_test, disk, self.clock, limits,
            trouble=trouble,
        )  # fmt: skip

    def run(self, disk: Disk | None = None, **more: Any) -> None:
        """Nothing waits for the disk, unless it is said which one is meant."""
        asyncio.run(self.installer(disk or UnsyncedDisk(), **more).run())

    def self_test(self, version: str) -> None:
        """In a process of its own, as it is."""
        program = self.places.release(version) / "bin/miner-agent"
        self_test(program, self.root / "config.toml", myself(), 2.0)

    def quick_self_test(self, version: str) -> None:
        """What it would come to, for those who try a thousand times."""
        said = does(self.places.release(version))["self_test"]
        if said != "well":
            raise NotFitError(said, ())

    @property
    def current(self) -> str | None:
        return running(self.places.current)

    @property
    def proven(self) -> str | None:
        return running(self.places.proven)

    @property
    def outcomes(self) -> list[UpdateOutcome]:
        try:
            data = (self.places.folder / OUTCOMES).read_bytes()
        except FileNotFoundError:
            return []
        return msgspec.json.decode(data, type=list[UpdateOutcome])

    @property
    def outcome(self) -> UpdateOutcome:
        (found,) = self.outcomes
        return found

    @property
    def step(self) -> str:
        """What is written of the step it is at."""
        try:
            data = (self.places.folder / PROGRESS).read_bytes()
        except FileNotFoundError:
            return "ended" if self.outcomes else "asked"
        return str(msgspec.json.decode(data, type=UpdateRecord).step)

    @property
    def installed(self) -> list[str]:
        return sorted(each.name for each in self.places.releases.iterdir())

    def copied(self, root: Path) -> Trial:
        shutil.copytree(self.root, root, symlinks=True)
        return Trial(root)

    def wrongs(self, *, good: bool) -> list[str]:
        """What is not as it has to be when an update has ended; `good`: the new release would prove itself."""
        facts = self.system.facts
        found: list[str] = []
        ended = [each for each in self.outcomes if each.task == TASK]
        for name, version in (("current", self.current), ("proven", self.proven)):
            if version is None or not is_whole(self.places.release(version)):
                found.append(f"{name} leads to no whole release: {version}")
        if len(ended) != 1:
            return [*found, f"the task has {len(ended)} outcomes"]
        verdict = ended[0].verdict
        expected = NEW if verdict == "done" else OLD
        if {self.current, self.proven, facts["version"]} != {expected}:
            found.append(
                f"{verdict}, and current {self.current}, proven {self.proven}, running {facts['version']}"
            )
        if ended[0].after is None or ended[0].after.version != expected:
            found.append(f"{verdict}, and says that {ended[0].after} runs")
        if not good and verdict == "done":
            found.append("a bad release is done")
        if (self.state / REQUEST).exists() or (self.places.folder / PROGRESS).exists():
            found.append("the request or the progress is still there")
        if self.installed != ([OLD, NEW] if verdict == "done" else [OLD]):
            found.append(f"{verdict}, and there stand {self.installed}")
        return found
