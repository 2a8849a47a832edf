"""Where releases stand, and where the installer keeps its own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from release.handover import UPDATE_FOLDER, ReleaseIdentity
from service.install.product import AGENT
from service.install.release import CURRENT, PROVEN, RELEASES, Stamp, running


class UpdatePlaces(msgspec.Struct, frozen=True):
    """Folders of root's."""

    home: Path = AGENT.home
    folder: Path = UPDATE_FOLDER

    @property
    def current(self) -> Path:
        """The link to what the units run."""
        return self.home / CURRENT

    @property
    def proven(self) -> Path:
        """The link to the last release that proved itself, which we run from."""
        return self.home / PROVEN

    @property
    def releases(self) -> Path:
        return self.home / RELEASES

    @property
    def work(self) -> Path:
        """A copy of what was staged, and its wheels."""
        return self.folder / "work"

    @property
    def kept(self) -> Path:
        """Metadata that was believed."""
        return self.folder / "kept"

    def release(self, version: str) -> Path:
        return self.releases / version

    def identity(self, link: Path) -> ReleaseIdentity | None:
        """Of the release that one of the links leads to; `None` where it leads to none. Raises OSError."""
        version = running(link)
        return None if version is None else self.stamped(version)

    def stamped(self, version: str) -> ReleaseIdentity | None:
        """Of the release that stands there; `None` where none does. Raises OSError."""
        stamp = Stamp.read(self.release(version))
        return None if stamp is None else ReleaseIdentity(version=version, sha256=stamp.sha256)
