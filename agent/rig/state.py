"""What the service knows of its programs, on disk: what is wished of each, and which process is whose."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from agent.rig.processes import ProgramRun
from contract.rigmonitor.playbook import PlaybookEntry
from service.files import sync

log = structlog.get_logger(__name__)
_NAME: Final = "programs.json"
_ROOM_BYTES: Final = 256 * 1024


class ProgramWish(msgspec.Struct, frozen=True, kw_only=True):
    """The playbook that was accepted last, and whether a person stopped the program since."""

    entry: PlaybookEntry
    is_stopped_by_hand: bool = False


class ProgramRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One program. Without a wish it is to be ended, and forgotten then; but where the wish is not known it goes on."""

    wish: ProgramWish | None
    run: ProgramRun | None
    is_wish_known: bool = True


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    wish: msgspec.Raw
    run: msgspec.Raw
    is_wish_known: bool = True


class RigStateFile:
    """In a folder that one service has."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._room = self._path.with_suffix(".room")

    def read(self) -> dict[str, ProgramRecord]:
        """By software_name. A file that cannot be understood is moved aside: nothing is known then. Raises OSError."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            written = msgspec.json.decode(data, type=dict[str, _Written])
            return {name: _record(name, each) for name, each in written.items()}
        except (ValueError, RecursionError) as error:
            aside = self._path.with_suffix(".bad")
            self._path.replace(aside)
            log.error("rig.state_damaged", error=str(error), kept=str(aside))
            return {}

    def write(self, records: Mapping[str, ProgramRecord]) -> None:
        """All of it, or what was before stays; on disk once this returns. Raises OSError.

        It is written over room that was taken while there was some: so a program that filled the disk can be ended.
        """
        new = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            self._room.replace(new)
        with os.fdopen(_private(new), "wb") as file:
            file.write(msgspec.json.encode(records))
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        sync(self._path.parent)
        self._take_room()

    def _take_room(self) -> None:
        """For the next time; none on a disk that has none."""
        with contextlib.suppress(OSError), os.fdopen(_private(self._room), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, _ROOM_BYTES)


def _record(name: str, written: _Written) -> ProgramRecord:
    """What another version of ours wished is perhaps not understood: the next answer of the monitor tells it again.
    Raises ValueError, RecursionError.
    """
    run = msgspec.json.decode(written.run, type=ProgramRun | None)
    try:
        wish = msgspec.json.decode(written.wish, type=ProgramWish | None)
    except ValueError as error:
        log.warning("rig.wish_lost", program=name, error=str(error))
        return ProgramRecord(wish=None, run=run, is_wish_known=False)
    return ProgramRecord(wish=wish, run=run, is_wish_known=written.is_wish_known)


def _private(path: Path) -> int:
    """It holds the pools' passwords."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)
