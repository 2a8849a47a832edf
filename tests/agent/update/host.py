"""A host with releases on it, in a folder; and what root's installer does there, played."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent.update.managed import PATH_UNIT, ReleaseHost
from contract.clock import to_text
from release.handover import (
    OUTCOMES,
    PROGRESS,
    REQUEST,
    ReleaseIdentity,
    UpdateOutcome,
    UpdateProgress,
    UpdateRequest,
)
from service.files import write_whole
from service.install.product import AGENT
from service.install.release import STAMP, Stamp
from tests.release.repository import BUILT, NOW, PLATFORM
from tests.waiting import until

OLD = "0.2.0"
NEW = "0.3.0"


@dataclass
class PlayedHost:
    """`opt` and the folders beside it, as a package would leave them."""

    folder: Path
    root: bytes | None = None
    taken: list[UpdateRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.units = self.folder / "units"
        self.units.mkdir(parents=True)
        (self.units / PATH_UNIT).write_text("[Path]\n")
        self.os_release = self.folder / "os-release"
        self.os_release.write_text('ID=debian\nVERSION_ID="12"\n')
        self.updates = self.folder / "installer"
        self.updates.mkdir(mode=0o755)
        self.release(OLD)
        self.flip("current", OLD)
        self.flip("proven", OLD)

    @property
    def home(self) -> Path:
        return self.folder / "opt" / AGENT.name

    def release(self, version: str) -> Path:
        place = self.home / "releases" / version
        place.mkdir(parents=True)
        stamp = Stamp(
            name=AGENT.name,
            version=version,
            platform=PLATFORM,
            sha256=self.identity(version).sha256,
            built_at=BUILT.isoformat(),
        )
        (place / STAMP).write_bytes(msgspec.json.encode(stamp))
        return place

    def identity(self, version: str) -> ReleaseIdentity:
        return ReleaseIdentity(version=version, sha256=f"{version.replace('.', 'a'):0<64}")

    def flip(self, link: str, version: str) -> None:
        beside = self.home / f".{link}"
        beside.symlink_to(Path("releases") / version)
        beside.replace(self.home / link)

    def process(self, version: str | None = None, **other) -> ReleaseHost:
        return process_of(self.folder, version, **({"root": lambda: self.root} | other))


def process_of(folder: Path, version: str | None = None, **other) -> ReleaseHost:
    """What a process that is started now sees of the host in that folder; of that version, or as `current` has it."""
    home = folder / "opt" / AGENT.name
    place = home / ("current" if version is None else f"releases/{version}")
    facts = {
        "prefix": place.resolve(),
        "opt": folder / "opt",
        "update_folder": folder / "installer",
        "root_uid": os.geteuid(),
        "units": (folder / "units",),
        "os_release": folder / "os-release",
        "machine": "aarch64",
        "containers": (),
        "environment": {},
    }
    return ReleaseHost(**(facts | other))


@dataclass
class PlayedInstaller:
    """Root's installer without the installing: its files, in its order."""

    host: PlayedHost
    state: Path

    async def take(self) -> UpdateRequest:
        """Wait for a request, and take it."""
        path = self.state / REQUEST
        await until(path.exists)
        request = msgspec.json.decode(path.read_bytes(), type=UpdateRequest)
        self.progress(request, "taken")
        path.unlink()
        self.host.taken.append(request)
        return request

    def progress(self, request: UpdateRequest, step: str) -> None:
        said = UpdateProgress(
            task=request.task, version=request.version, step=step, since=to_text(NOW)
        )
        self._write(PROGRESS, said)

    def install(self, request: UpdateRequest) -> None:
        """Up to the flip; the caller restarts the agent."""
        self.progress(request, "installed")
        self.host.release(request.version)
        self.progress(request, "flipped")
        self.host.flip("current", request.version)

    def done(self, request: UpdateRequest) -> None:
        self.host.flip("proven", request.version)
        self.end(request, "done", after=request.version)

    def end(
        self,
        request: UpdateRequest,
        verdict: str,
        *,
        reason: str = "",
        message: str = "",
        after: str | None = OLD,
        log: Iterable[str] = (),
        **other,
    ) -> None:
        outcome = UpdateOutcome(
            task=request.task,
            verdict=verdict,
            reason=reason,
            message=message,
            before=self.host.identity(OLD),
            after=None if after is None else self.host.identity(after),
            bundle_sha256=request.sha256,
            log=tuple(log),
            ended_at=to_text(NOW),
        )
        self._write(OUTCOMES, [msgspec.structs.replace(outcome, **other)])
        (self.host.updates / PROGRESS).unlink(missing_ok=True)

    def _write(self, name: str, said: object) -> None:
        write_whole(self.host.updates / name, msgspec.json.encode(said), mode=0o644)
