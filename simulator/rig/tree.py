"""A folder that stands for `/`: files that are there whole or not at all, that block, or that fail."""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_UNREADABLE: Final = "/proc/self/mem"
"""Whoever reads it from the beginning is answered EIO."""


class HostTree:
    """Files by their path below `/`, written into a folder, each only when it changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, str] = {}
        self._spoilt: dict[str, str] = {}
        self._links: set[str] = set()

    def write(self, files: Mapping[str, str]) -> None:
        """Let these files hold that."""
        for path, text in files.items():
            if self._written.get(path) != text and path not in self._spoilt:
                if path not in self._written:
                    (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                replace(self.folder / path, text)
            self._written[path] = text

    def link(self, path: str, target: str) -> None:
        """Let there be a link to another place of the tree, relative as the kernel's are."""
        if path in self._links:
            return
        self._links.add(path)
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(self.folder / target, place.parent))

    def remove(self, folder: str) -> None:
        """Take a part of the tree away."""
        shutil.rmtree(self.folder / folder, ignore_errors=True)
        for path in [path for path in self._written if path.startswith(f"{folder}/")]:
            del self._written[path]
            self._spoilt.pop(path, None)

    def unlink(self, path: str) -> None:
        """Let there be no such link."""
        if path in self._links:
            self._links.remove(path)
            (self.folder / path).unlink()

    def spoil(self, *, blocking: Iterable[str], failing: Iterable[str]) -> None:
        """From now on the files that match these patterns block or fail, and no others.

        One that blocks is a FIFO nobody writes to; one that fails is a link to what cannot be read.
        """
        wanted: dict[str, str] = {}
        for kind, patterns in (("blocks", blocking), ("fails", failing)):
            for pattern in patterns:
                found = fnmatch.filter(self._written, pattern.lstrip("/"))
                wanted |= dict.fromkeys(found, kind)
        for path in self._spoilt.keys() - wanted.keys():
            replace(self.folder / path, self._written[path])
        for path, kind in wanted.items():
            if self._spoilt.get(path) == kind:
                continue
            place = self.folder / path
            place.unlink(missing_ok=True)
            if kind == "blocks":
                os.mkfifo(place)
            else:
                place.symlink_to(_UNREADABLE)
        self._spoilt = wanted


def replace(place: Path, text: str) -> None:
    """Write a file whole. Raises FileNotFoundError where its folder is not there."""
    part = place.with_name(f".{place.name}.part")
    part.write_text(text)
    part.replace(place)
