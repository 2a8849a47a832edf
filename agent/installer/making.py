"""From what lies ready to a release that stands beside the one that runs: copied, verified once more, unpacked."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from agent.installer.agentfolder import AgentFolder
from agent.installer.places import UpdatePlaces
from contract.clock import Clock
from release.bundle import check_bundle
from release.handover import ReleaseIdentity, UpdateRequest
from release.kept import keep_in, kept_in
from release.manifest import Manifest
from release.refusals import Refusal, ReleaseRefusedError
from release.verification import BUNDLE, Anchors, Installed, verify_staged
from service.disk import Disk
from service.install.product import AGENT
from service.install.release import COMPILED, PYTHON, finish, running, settle, site_packages
from service.install.wheel import BadWheelError
from service.install.wheels import commands_of, unpack, unpacked_bytes
from service.opening import opened_folder

RESERVE: Final = 64 * 1024 * 1024  # bytes that stay free, for the journal and for the way back
_COMPILED: Final = 2  # what Python compiles of a release is about as large again
_WHEELS: Final = "wheels"
_MADE: Final = ".update.new"  # no names that a package gives
_GONE: Final = ".update.old"


class NotInstalledError(Exception):
    """Nothing was changed; `reason` is one word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Judgement(NamedTuple):
    """What a bundle is judged by: root's own, never the agent's."""

    anchors: Anchors
    platform: str
    built_at: datetime  # when the release was built that runs, at the earliest


class ReleaseMaker:
    """Each method may be repeated at any time before the next one. They raise ReleaseRefusedError, NotInstalledError,
    OSError: nothing but our own folder was changed then, and a folder beside the releases.
    """

    def __init__(
        self,
        places: UpdatePlaces,
        judgement: Judgement,
        disk: Disk,
        clock: Clock,
        programs: Sequence[str] = AGENT.commands,
    ) -> None:
        self._places = places
        self._judgement = judgement
        self._disk = disk
        self._clock = clock
        self._programs = programs

    def take(self, request: UpdateRequest, agent: AgentFolder) -> None:
        """Copy what is staged to where the agent's user cannot write."""
        work = self._places.work
        self._disk.rmtree(work)
        self._disk.mkdir(work, 0o700)
        for each in agent.staged(request):
            # the copy, and the wheels that are taken out of it
            self._check_room(work, 2 * each.size)
            try:
                self._disk.copy(each.file, work / each.name, each.size)
            except EOFError as error:
                raise ReleaseRefusedError(Refusal.MIXED, str(error)) from None
            self._disk.sync(work / each.name)
        self._disk.sync(work)
        self._disk.sync(work.parent)

    def verify(self, request: UpdateRequest, before: ReleaseIdentity) -> None:
        """The copy: it is what was asked for, and may follow the release before it."""
        judgement, places = self._judgement, self._places
        with opened_folder(places.work) as folder:
            verified = verify_staged(
                folder,
                judgement.anchors,
                Installed(before.version, judgement.platform, judgement.built_at),
                clock=self._clock.now(),
                kept=kept_in(places.kept),
            )
        found = (verified.manifest.version, verified.sha256)
        if found != (request.version, request.sha256):
            raise ReleaseRefusedError(
                Refusal.MIXED, "what lies ready is not the bundle that the agent asked for"
            )
        keep_in(places.kept, verified.kept, self._disk)

    def install(self, version: str) -> None:
        """Beside its place, and moved there as a whole."""
        places, disk = self._places, self._disk
        place = places.release(version)
        if version in (running(places.current), running(places.proven)):
            raise ReleaseRefusedError(Refusal.NOT_NEWER, f"{version} is a release in use")
        made = places.releases / _MADE
        disk.rmtree(made)
        disk.rmtree(places.work / _WHEELS)
        manifest = disk.fill(places.work / _WHEELS, self._take_out)
        wheels = sorted((places.work / _WHEELS).iterdir())
        try:
            self._check_room(places.home, _COMPILED * unpacked_bytes(wheels))
            disk.fill(made, lambda folder: self._fill(folder, place, wheels, manifest))
        except BadWheelError as error:
            raise ReleaseRefusedError(Refusal.BAD_BUNDLE, str(error)) from None
        self.remove(version)  # made before, and not known to be whole
        disk.sync_all()
        disk.rename(made, place)
        disk.sync(places.releases)

    def remove(self, version: str) -> None:
        """Take a release away: as a whole first, so that no half of one is ever taken for it."""
        place, gone = self._places.release(version), self._places.releases / _GONE
        if place.is_dir():
            self._disk.rmtree(gone)
            self._disk.rename(place, gone)
            self._disk.sync(self._places.releases)
        self._disk.rmtree(gone)

    def shrink(self, version: str) -> None:
        """Take away what Python compiled of a release, which runs without it: so that a full disk has room."""
        for each in self._places.release(version).rglob(COMPILED):
            self._disk.rmtree(each)

    def clean(self) -> None:
        """Take away what a release was made of, and what is left of one."""
        self._disk.rmtree(self._places.releases / _MADE)
        self._disk.rmtree(self._places.releases / _GONE)
        self._disk.sync(self._places.releases)
        self._disk.rmtree(self._places.work)

    def _take_out(self, into: Path) -> Manifest:
        """The wheels of the bundle."""
        with (self._places.work / BUNDLE).open("rb") as file:
            manifest = check_bundle(file, into)
        if manifest.python != PYTHON:
            raise ReleaseRefusedError(
                Refusal.WRONG_PLATFORM,
                f"the bundle is for Python {manifest.python}, and this host's is {PYTHON}",
            )
        return manifest

    def _fill(self, folder: Path, place: Path, wheels: Sequence[Path], manifest: Manifest) -> None:
        packages = folder / site_packages()
        unpack(wheels, packages)
        finish(
            folder,
            place,
            name=AGENT.name,
            version=place.name,
            platform=self._judgement.platform,
            python=(self._places.current / "bin" / "python3").readlink(),
            commands=commands_of(packages, self._programs),
            built_at=manifest.built_at.isoformat(),
        )
        settle(folder, place)

    def _check_room(self, where: Path, needed: int) -> None:
        free = shutil.disk_usage(where).free
        if free < needed + RESERVE:
            raise NotInstalledError(
                "storage_full",
                f"{where} has {free // 2**20} MB left, and {(needed + RESERVE) // 2**20} MB are needed",
            )
