"""The commands of a rig's shell that read files, played without a process: `cat`, `head`, `tail`, `grep`."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Shell(Protocol):
    """Where what they say goes, and who does what is not played here."""

    async def out(self, data: bytes) -> None: ...

    async def complain(self, text: str) -> None: ...

    async def really(self, command: str) -> int:
        """As a process; gives its exit status."""


class FileCommands:
    """Each takes its words, and gives its exit status. Paths are those of the host that the folder stands for."""

    def __init__(self, folder: Path, to: Shell) -> None:
        self._folder = folder
        self._to = to

    async def cat(self, argv: list[str]) -> int:
        status = 0
        for path in argv[1:]:
            try:
                await self._to.out(await self._bytes_of(path))
            except OSError as error:
                status = 1
                await self._to.complain(f"cat: {path}: {os.strerror(error.errno or errno.EIO)}")
        return status

    async def part(self, argv: list[str]) -> int | None:
        """`head` and `tail`: `-n N`, `-c N`, `-v` and `-q` are known."""
        told, unit, paths = "10", "-n", []
        rest = iter(argv[1:])
        for argument in rest:
            if argument in ("-n", "-c"):
                unit, told = argument, next(rest, "10")
            elif argument[:2] in ("-n", "-c"):
                unit, told = argument[:2], argument[2:]
            elif argument not in ("-v", "-q"):
                paths.append(argument)
        if not told.isdigit():
            return await self._to.really(shlex.join(argv))
        count = int(told)
        named = ("-v" in argv or len(paths) > 1) and "-q" not in argv
        status = 0
        for path in paths:
            try:
                data = await self._bytes_of(path)
            except OSError as error:
                status = 1
                await self._to.complain(
                    f"{argv[0]}: cannot open '{path}' for reading: {os.strerror(error.errno or errno.EIO)}"
                )
                continue
            if named:
                await self._to.out(f"==> {path} <==\n".encode())
            parts = (
                data.splitlines(keepends=True)
                if unit == "-n"
                else [data[n : n + 1] for n in range(len(data))]
            )
            kept = parts[:count] if argv[0] == "head" else parts[-count:]
            await self._to.out(b"".join(kept))
        return status

    async def grep(self, argv: list[str]) -> int | None:
        """`-a -s -H -h -m N --line-buffered`, a pattern, files."""
        flags, most = "", "1000000"
        rest: list[str] = []
        arguments = iter(argv[1:])
        for argument in arguments:
            if rest or not argument.startswith("-"):
                rest.append(argument)
            elif argument.startswith("--"):
                if argument != "--line-buffered":
                    return await self._to.really(shlex.join(argv))
            elif argument.endswith("m"):
                flags, most = flags + argument[1:-1], next(arguments, "")
            else:
                flags += argument[1:]
        if set(flags) - set("asHhi") or not rest or not most.isdigit():
            return await self._to.really(shlex.join(argv))
        try:
            pattern = re.compile(rest[0].encode(), re.IGNORECASE if "i" in flags else 0)
        except re.error:
            return await self._to.really(shlex.join(argv))
        named = "H" in flags or (len(rest) > 2 and "h" not in flags)
        status = 1
        for path in rest[1:]:
            try:
                lines = (await self._bytes_of(path)).splitlines()
            except OSError as error:
                if "s" not in flags:
                    await self._to.complain(
                        f"grep: {path}: {os.strerror(error.errno or errno.EIO)}"
                    )
                continue
            found = [line for line in lines if pattern.search(line)][: int(most)]
            head = f"{path}:".encode() if named else b""
            status = 0 if found else status
            await self._to.out(b"".join(head + line + b"\n" for line in found))
        return status

    def expanded(self, arguments: Sequence[str]) -> list[str]:
        """Patterns of absolute paths, replaced by what they match, as a shell does."""
        found: list[str] = []
        root = str(self._folder)
        for argument in arguments:
            if argument.startswith("/") and any(sign in argument for sign in "*?["):
                matches = sorted(self._folder.glob(argument[1:]))
                found += [str(match).removeprefix(root) for match in matches] or [argument]
            else:
                found.append(argument)
        return found

    # --- private ---------------------------------------------------------------------------------

    async def _bytes_of(self, path: str) -> bytes:
        """Raises OSError. A FIFO blocks for good: nobody writes to it."""
        place = self._place(path)
        if stat.S_ISFIFO(place.stat().st_mode):
            await asyncio.Event().wait()
        return place.read_bytes()

    def _place(self, path: str) -> Path:
        return self._folder / path.lstrip("/") if path.startswith("/") else self._folder / path
