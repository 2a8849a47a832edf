"""The host that something is installed on: its files below one root, and the few commands of systemd we need."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from service.files import write_whole

_PATIENCE_S: Final = 300.0  # a unit may take so long to stop and start


class HostCommandError(Exception):
    """A command of the host ended with an error; the message is its last words."""


class TargetHost(msgspec.Struct, frozen=True):
    """`root` is / but for a host that is not the one we run on, such as an image."""

    root: Path = Path("/")

    @property
    def is_this(self) -> bool:
        return self.root == Path("/")

    @property
    def is_booted(self) -> bool:
        """Whether systemd runs here, so that units can be started."""
        return self.is_this and Path("/run/systemd/system").is_dir()

    def at(self, path: Path) -> Path:
        """Where a path of that host is for us."""
        return self.root / path.relative_to("/")

    def holds(self, path: Path, content: bytes) -> bool:
        """Raises OSError."""
        try:
            return self.at(path).read_bytes() == content
        except FileNotFoundError:
            return False

    def write(self, path: Path, content: bytes) -> None:
        """For everybody to read. Raises OSError."""
        there = self.at(path)
        there.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        write_whole(there, content, mode=0o644)

    def remove(self, path: Path) -> None:
        """Whatever is there. Raises OSError."""
        there = self.at(path)
        if there.is_dir() and not there.is_symlink():
            shutil.rmtree(there)
        else:
            there.unlink(missing_ok=True)

    def has(self, command: str) -> bool:
        return shutil.which(command) is not None

    def run(self, command: str, *args: str) -> None:
        """Of systemd, for this host's root. Raises HostCommandError."""
        self.ask(command, *args)

    def ask(self, command: str, *args: str) -> str:
        """The same; gives what it wrote."""
        elsewhere = () if self.is_this else (f"--root={self.root}",)
        words = [command, *elsewhere, *args]
        try:
            done = subprocess.run(  # noqa: S603 - our own words
                words, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostCommandError(f"{' '.join(words)}: {error}") from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise HostCommandError(f"{' '.join(words)}: {said[-1] if said else done.returncode}")
        return done.stdout


THIS: Final = TargetHost()
