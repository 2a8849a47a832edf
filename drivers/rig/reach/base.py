"""What a way to reach a rig offers: its files, its commands, and the ports of its own loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

FILE_CAP_BYTES: Final = 16 * 1024
TEXTS_CAP_BYTES: Final = 256 * 1024  # of all files of one look
OUTPUT_CAP_BYTES: Final = 256 * 1024  # of both outputs of a command
FORWARDED_CAP_BYTES: Final = 1024 * 1024  # of what a program answers over one connection
LOOPBACK: Final = "127.0.0.1"  # of the rig
NO_COMMAND: Final = 127  # as every shell says it, and a script whose last command is not there


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A command that ended. `status` is None when a signal ended it. `is_cut`: it wrote more than was taken."""

    status: int | None
    output: str
    errors: str
    is_cut: bool = False


class FileTexts(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of files by their paths. `missed` are the patterns of which not every file is known to have been read:
    what is not here may be there all the same.
    """

    texts: dict[str, str]
    missed: frozenset[str] = frozenset()


class RigReach(Protocol):
    """One rig, as far as its system lets us. `deadline_s` is over everything that a call does, a login included.

    Every method raises UnreachableError when the rig is not reached; by SSH AuthFailedError and WrongDeviceError (its
    host key is not the pinned one), and then nothing was sent.
    """

    @property
    def user(self) -> str:
        """As whom commands run; `root` may do everything."""

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""

    async def open(self, *, deadline_s: float) -> None:
        """Be connected, so that the next call sends at once."""

    async def read_texts(self, patterns: Sequence[str], *, deadline_s: float) -> FileTexts:
        """The text of each file that fits one of the patterns (`/sys/class/hwmon/hwmon*/name`), by its path. What is
        not there, empty, not to be read, or does not answer in time is left out. Raises MalformedError when the rig
        answers nothing that can be understood.
        """

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline_s: float,
        cap_bytes: int = OUTPUT_CAP_BYTES,
        cut: bool = False,
        reconnect: bool = True,
    ) -> Ran:
        """Run a command to its end. Raises UnsupportedError when it is certain that there is no such command (by SSH
        a shell says so, by the status NO_COMMAND), MalformedError when it does not end in time, or writes over
        `cap_bytes`: with `cut` that ends it, and so much is given. Without `reconnect` it is run on the connection
        there is, or UnreachableError raised: another rig may answer a new one.
        """

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], port: int, *, deadline_s: float
    ) -> None:
        """Connect a protocol to a port of the rig's own loopback. Raises ServiceAwayError when nothing listens there,
        while the rig is up.
        """

    async def close(self) -> None:
        """Let go of what is kept open."""


def decoded(data: bytes | bytearray) -> str:
    """Text of a rig, whatever its bytes are."""
    return data.decode("utf-8", "replace")
