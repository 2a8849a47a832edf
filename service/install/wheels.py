"""Wheels turned into the packages of a release, without pip: no release holds one, and nothing of a wheel is run while
it is unpacked.

Wheels come signed. They are read as if they did not: who stole a key, or spoiled a project that we build on, reaches no
further than the release that he is in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath
from typing import Final

from service.install.release import COMPILED
from service.install.wheel import BadWheelError, OpenWheel, WheelFile, opened

RELEASE_BYTES: Final = 512 * 1024 * 1024  # unpacked; ours have 80 MiB
RELEASE_FILES: Final = 20_000  # ours have 2000
_OURS: Final = "miner_agent"
# What Python would run by itself, or take for what it compiled of a source.
_NOT_TAKEN: Final = (".pth", ".pyc")
# What a wheel wants to have in another folder of an environment. A release has its packages alone: commands are made
# by who makes it, and headers serve compilers.
_TAKEN: Final = ("purelib", "platlib")
_PASSED_OVER: Final = ("headers", "scripts")
_ELF: Final = b"\x7fELF"
_ELF_KIND: Final = b"\x02\x01"  # 64 bits, the lowest byte first: all processors that we run on
_ELF_MACHINE: Final = slice(18, 20)
_NO_MACHINE: Final = 0


def unpack(wheels: Iterable[Path], into: Path, *, machine: int | None = None) -> None:
    """Fill a folder, which is made, with the packages of these wheels. Libraries have to be for the processor of that
    number, as the header of ELF has it; `None`: for that of this host. Nothing is synced. Raises BadWheelError,
    OSError: what was written by then is to be taken away.
    """
    wanted = _machine(Path("/proc/self/exe")) if machine is None else machine
    into.mkdir(parents=True, mode=0o755)
    packages = _Packages(into, wanted)
    for path in wheels:
        with opened(path) as wheel:
            for file in wheel.files:
                packages.add(wheel, file)


def unpacked_bytes(wheels: Iterable[Path]) -> int:
    """How much the files of these wheels have, unpacked. Raises BadWheelError, OSError."""
    whole = 0
    for path in wheels:
        with opened(path) as wheel:
            whole += sum(each.size_bytes for each in wheel.files)
    return whole


def commands_of(site_packages: Path, programs: Collection[str]) -> dict[str, str]:
    """What each of these programs calls (`module:function`), as our own package in that folder declares it. Raises
    BadWheelError where it declares less, or is not there once; OSError.
    """
    found = [*site_packages.glob(f"{_OURS}-*.dist-info")]
    if len(found) != 1:
        raise BadWheelError(f"{_OURS} is among the packages {len(found)} times")
    declared = Distribution.at(found[0]).entry_points.select(group="console_scripts")
    commands = {each.name: each.value for each in declared if each.name in programs}
    if lacking := sorted(set(programs) - commands.keys()):
        raise BadWheelError(f"{found[0].name} declares no {', '.join(lacking)}")
    return commands


class _Packages:
    """The folder that is filled, and what is in it by now."""

    def __init__(self, into: Path, machine: int) -> None:
        self._into = into
        self._machine = machine
        self._files = set[PurePosixPath]()
        self._folders = set[PurePosixPath]()
        self._left = RELEASE_BYTES

    def add(self, wheel: OpenWheel, file: WheelFile) -> None:
        place = _place(wheel, file.path)
        if place is None:
            return
        self._left -= file.size_bytes
        if self._left < 0 or len(self._files) >= RELEASE_FILES:
            raise wheel.bad(
                f"with it a release has over {RELEASE_BYTES} bytes or {RELEASE_FILES} files"
            )
        above = set(place.parents)
        if place in self._files | self._folders or not self._files.isdisjoint(above):
            raise wheel.bad(f"{place} is in the way of another file, or of itself")
        self._files.add(place)
        self._folders |= above
        there = self._into / place
        there.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with there.open("xb") as out:
            out.writelines(wheel.content(file))
        there.chmod(0o644)
        if (found := _machine(there)) not in (_NO_MACHINE, self._machine):
            raise wheel.bad(
                f"{place} is for another processor: {found}, and not {self._machine}, in the words of ELF"
            )


def _place(wheel: OpenWheel, path: PurePosixPath) -> PurePosixPath | None:
    """Where the file belongs among the packages; `None` for what no release needs."""
    if path.suffix in _NOT_TAKEN or COMPILED in path.parts:
        raise wheel.bad(f"{path} would be run, and is no source")
    if path.parts[0] != f"{wheel.own}.data":
        return path
    kind = path.parts[1] if len(path.parts) > 2 else ""
    if kind in _PASSED_OVER:
        return None
    if kind not in _TAKEN:
        raise wheel.bad(f"{path} belongs into no folder of a release")
    return PurePosixPath(*path.parts[2:])


def _machine(path: Path) -> int:
    """The processor that a program or a library is for; `_NO_MACHINE` for any other file."""
    with path.open("rb") as file:
        head = file.read(_ELF_MACHINE.stop)
    if not head.startswith(_ELF):
        return _NO_MACHINE
    is_known = head[4:6] == _ELF_KIND and len(head) == _ELF_MACHINE.stop
    return int.from_bytes(head[_ELF_MACHINE], "little") if is_known else -1
