"""A release: an environment of one version, made for the place where it runs, and the link to the one that does."""

from __future__ import annotations

import compileall
import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from service.disk import DISK, Disk
from service.hostuser import is_root

PYTHON: Final = (
    f"{sys.version_info[0]}.{sys.version_info[1]}"  # that runs us, as manifests and folders name it
)
STAMP: Final = "release.json"
COMPILED: Final = "__pycache__"
# In the folder of a product: its releases, the link to the one that its units run, and, of the agent, the link to the
# last one that proved itself.
RELEASES: Final = "releases"
CURRENT: Final = "current"
PROVEN: Final = "proven"
_KEPT: Final = 2
_VERSION: Final = re.compile(
    r"(\d{1,6}(?:\.\d{1,6}){0,5})(?:(a|b|rc)(\d{1,6}))?(?:\.post(\d{1,6}))?(?:\.dev(\d{1,6}))?",
    re.ASCII,
)
_LAST: Final = 1_000_000  # beyond every number in a version
_STAGES: Final = {"a": 0, "b": 1, "rc": 2}


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What a release is, as it says itself."""

    name: str
    version: str
    platform: str
    sha256: str  # of the names and the contents of its files
    built_at: str = ""  # a time with its offset; empty where nobody knows

    @classmethod
    def read(cls, release: Path) -> Stamp | None:
        """That of a release, or `None` where there is none, or half of one. Raises OSError for a disk that fails."""
        try:
            return msgspec.json.decode((release / STAMP).read_bytes(), type=cls)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None


def version_order(version: str) -> tuple[tuple[int, ...], int, int, int, int]:
    """By which versions are compared. Raises ValueError for what is none of ours."""
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"{version[:80]!r} is no version")
    numbers, stage, of_stage, post, dev = found.groups()
    parts = [int(each) for each in numbers.split(".")]
    while len(parts) > 1 and parts[-1] == 0:  # 1.0 is 1
        parts.pop()
    # what is still in development comes before each of its candidates
    last = -1 if dev is not None and post is None else len(_STAGES)
    return (
        tuple(parts),
        last if stage is None else _STAGES[stage],
        int(of_stage or 0),
        -1 if post is None else int(post),
        _LAST if dev is None else int(dev),
    )


def site_packages(python: str = PYTHON) -> str:
    """Where the packages lie in an environment of that Python."""
    return f"lib/python{python}/site-packages"


def finish(
    release: Path,
    place: Path,
    *,
    name: str,
    version: str,
    platform: str,
    python: Path,
    commands: Mapping[str, str],
    built_at: str = "",
) -> Stamp:
    """Make an environment of a folder that has `site_packages` and nothing else: the interpreter, the
    commands (name -> `module:function`) and the stamp. It runs at `place` alone, wherever it lies now, by the `python`
    of the host. `built_at` is as the stamp has it. Gives the stamp. Raises OSError.
    """
    programs = release / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(python)
    (release / "pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n", "utf-8"
    )
    for command, target in commands.items():
        module, _, function = target.partition(":")
        script = programs / command
        script.write_text(
            # -I: nothing but the release is loaded, whatever the environment says.
            f"#!{place}/bin/python3 -I\nfrom {module} import {function}\n\n{function}()\n",
            "utf-8",
        )
        script.chmod(0o755)
    stamp = Stamp(
        name=name,
        version=version,
        platform=platform,
        sha256=digest(release),
        built_at=built_at,
    )
    (release / STAMP).write_bytes(msgspec.json.encode(stamp) + b"\n")
    return stamp


def settle(release: Path, place: Path) -> None:
    """What is left to do for a release that is whole: it is root's, nobody else writes it, everybody may run it, and
    Python has compiled it for its place. Raises OSError.
    """
    for where, _, names in os.walk(release):
        for each in (Path(where), *(Path(where, name) for name in names)):
            if is_root():
                os.lchown(each, 0, 0)
            if not each.is_symlink():
                mode = each.stat().st_mode
                each.chmod(0o755 if each.is_dir() or mode & 0o100 else 0o644)
    compileall.compile_dir(release, quiet=2, stripdir=str(release), prependdir=str(place))


def digest(release: Path) -> str:
    """Of the names and contents of the files of a release, but for its stamp and what Python compiled.
    Raises OSError.
    """
    whole = hashlib.sha256()
    for path in sorted(_files(release)):
        name = path.relative_to(release).as_posix()
        is_link = path.is_symlink()
        content = f"-> {path.readlink()}".encode() if is_link else path.read_bytes()
        whole.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return whole.hexdigest()


def _files(release: Path) -> Iterable[Path]:
    for folder, folders, names in os.walk(release):
        folders[:] = [each for each in folders if each != COMPILED]
        for name in names:
            if Path(folder, name) != release / STAMP:
                yield Path(folder, name)


def flip(current: Path, version: str, disk: Disk = DISK) -> None:
    """Have `current` lead to that release, in one step: a power cut leaves the old link or the new one.
    Raises OSError.
    """
    beside = current.with_name(f".{current.name}.new")
    disk.unlink(beside)
    disk.symlink(beside, Path(RELEASES) / version)
    disk.rename(beside, current)
    disk.sync(current.parent)


def old_releases(home: Path, run_from: Path | None = None) -> list[str]:
    """The versions below `home` that nobody needs: two stay, and what `current` and `proven` lead to is among them;
    so does what a process was started from, whose folder is `run_from` where that is not `home` itself.
    """
    releases = home / RELEASES
    if not releases.is_dir():
        return []
    found = [each.name for each in releases.iterdir() if Stamp.read(each) is not None]
    kept = {running(home / CURRENT), running(home / PROVEN)} - {None}
    others = sorted({*found} - kept, key=version_order)
    spare = others[max(0, len(others) - max(0, _KEPT - len(kept))) :]
    return [
        each
        for each in others
        if each not in spare and not is_in_use((run_from or home) / RELEASES / each)
    ]


def is_in_use(release: Path) -> bool:
    """Whether a process of this host was started from there."""
    words = f"{release}/".encode()
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if each.read_bytes().startswith(words):
                return True
    return False


def running(current: Path) -> str | None:
    """The version that `current` leads to; `None` where it leads to no release that is there."""
    if not current.is_symlink():
        return None
    version = current.readlink().name
    return version if (current.parent / RELEASES / version / STAMP).is_file() else None
