"""What a command over SSH does: it sees the rig's folder as the host's files, and the rig's programs as the host's own.

The usual commands are played here, without a process. All others, and whatever needs a shell, run as real ones, in the
folder, with the host's paths turned into those of the folder.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import shlex
import signal
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from simulator.orders import Reaction
from simulator.rig.orders import RigOrder
from simulator.rig.standins import nvidia_smi

if TYPE_CHECKING:
    from simulator.rig.device import RigDevice
    from simulator.rig.units import ProgramUnit

NOT_FOUND: Final = 127
_INACTIVE: Final = 3
_LINE_BYTES: Final = 1000  # of a log that is big
_PART_OF_SHELL: Final = re.compile(r"[|&`()<>]|\$")
_HUSHED: Final = "2>/dev/null"
_NO_INPUT: Final = "</dev/null"
_HOST_PATH: Final = re.compile(r"(?<![\w./-])/(sys|proc|etc|var|home|run|bin)(?=/|\b)")
_SHELLS: Final = ("sh", "bash", "/bin/sh", "/bin/bash")


class Output(Protocol):
    """Where output goes."""

    async def __call__(self, data: bytes, *, error: bool = False) -> None: ...


Command = Callable[[list[str]], Awaitable[int | None]]


class RigShell:
    """Runs one command. Its status is None where the connection is to end without one."""

    def __init__(self, rig: RigDevice, write: Output) -> None:
        self.rig = rig
        self._write = write
        self._is_hushed = False
        """Complaints are thrown away."""
        self._is_root = False
        self._played: dict[str, Command] = {
            "cat": self._cat,
            "grep": self._grep,
            "head": self._cat_part,
            "tail": self._cat_part,
            "echo": self._echo,
            "true": self._true,
            "id": self._id,
            "whoami": self._whoami,
            "hostname": self._hostname,
            "uname": self._uname,
            "nvidia-smi": self._nvidia_smi,
            "systemctl": self._systemctl,
            "journalctl": self._journalctl,
            "kill": self._kill,
            "pgrep": self._pgrep,
            "miner-agent-rig": self._rig_service,
            "reboot": self._reboot,
            "shutdown": self._reboot,
        }

    async def run(self, command: str) -> int | None:
        """The exit status."""
        self.rig.refresh()
        if command.startswith("sudo "):
            if not self.rig.may_sudo:
                await self._complain("sudo: a password is required")
                return 1
            self._is_root = True
        parts = self._parts(command)
        if parts is None:
            return await self._really(command)
        status: int | None = 0
        for argv in parts:
            self._is_hushed = _HUSHED in argv
            words = [word for word in argv if word not in (_HUSHED, _NO_INPUT)]
            if words[0] in _SHELLS:
                status = await self.run(words[2])
            else:
                status = await self._played[words[0]]([words[0], *self._expanded(words[1:])])
        return status

    def _parts(self, command: str) -> list[list[str]] | None:
        """The words of each command in it, between semicolons; None for what is not played."""
        lexer = shlex.shlex(command, posix=True, punctuation_chars=";")
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            words = list(lexer)
        except ValueError:
            return None
        parts: list[list[str]] = [[]]
        for word in words:
            if word == ";":
                parts.append([])
            else:
                parts[-1].append(word)
        parts = [_as_root(part) for part in parts if part]
        bare = _unquoted(command).replace(_HUSHED, "").replace(_NO_INPUT, "")
        if not parts or _PART_OF_SHELL.search(bare):
            return None
        return parts if all(self._is_played(part) for part in parts) else None

    def _is_played(self, words: list[str]) -> bool:
        if words[0] in _SHELLS:
            return words[1:2] == ["-c"] and len(words) == 3
        return words[0] in self._played

    # --- files -----------------------------------------------------------------------------------

    async def _cat(self, argv: list[str]) -> int:
        status = 0
        for path in argv[1:]:
            try:
                await self._out(await self._bytes_of(path))
            except OSError as error:
                status = 1
                await self._complain(f"cat: {path}: {os.strerror(error.errno or errno.EIO)}")
        return status

    async def _cat_part(self, argv: list[str]) -> int | None:
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
            return await self._really(shlex.join(argv))
        count = int(told)
        named = ("-v" in argv or len(paths) > 1) and "-q" not in argv
        status = 0
        for path in paths:
            try:
                data = await self._bytes_of(path)
            except OSError as error:
                status = 1
                await self._complain(
                    f"{argv[0]}: cannot open '{path}' for reading: {os.strerror(error.errno or errno.EIO)}"
                )
                continue
            if named:
                await self._out(f"==> {path} <==\n".encode())
            parts = (
                data.splitlines(keepends=True)
                if unit == "-n"
                else [data[n : n + 1] for n in range(len(data))]
            )
            kept = parts[:count] if argv[0] == "head" else parts[-count:]
            await self._out(b"".join(kept))
        return status

    async def _grep(self, argv: list[str]) -> int | None:
        """`-a -s -H -h -m N --line-buffered`, a pattern, files."""
        flags, most = "", "1000000"
        rest: list[str] = []
        arguments = iter(argv[1:])
        for argument in arguments:
            if rest or not argument.startswith("-"):
                rest.append(argument)
            elif argument.startswith("--"):
                if argument != "--line-buffered":
                    return await self._really(shlex.join(argv))
            elif argument.endswith("m"):
                flags, most = flags + argument[1:-1], next(arguments, "")
            else:
                flags += argument[1:]
        if set(flags) - set("asHhi") or not rest or not most.isdigit():
            return await self._really(shlex.join(argv))
        try:
            pattern = re.compile(rest[0].encode(), re.IGNORECASE if "i" in flags else 0)
        except re.error:
            return await self._really(shlex.join(argv))
        named = "H" in flags or (len(rest) > 2 and "h" not in flags)
        status = 1
        for path in rest[1:]:
            try:
                lines = (await self._bytes_of(path)).splitlines()
            except OSError as error:
                if "s" not in flags:
                    await self._complain(f"grep: {path}: {os.strerror(error.errno or errno.EIO)}")
                continue
            found = [line for line in lines if pattern.search(line)][: int(most)]
            head = f"{path}:".encode() if named else b""
            status = 0 if found else status
            await self._out(b"".join(head + line + b"\n" for line in found))
        return status

    async def _bytes_of(self, path: str) -> bytes:
        """Raises OSError. A FIFO blocks for good: nobody writes to it."""
        place = self._place(path)
        if stat.S_ISFIFO(place.stat().st_mode):
            await asyncio.Event().wait()
        return place.read_bytes()

    def _place(self, path: str) -> Path:
        return (
            self.rig.folder / path.lstrip("/") if path.startswith("/") else self.rig.folder / path
        )

    def _expanded(self, arguments: Sequence[str]) -> list[str]:
        """Patterns of absolute paths, replaced by what they match, as a shell does."""
        found: list[str] = []
        root = str(self.rig.folder)
        for argument in arguments:
            if argument.startswith("/") and any(sign in argument for sign in "*?["):
                matches = sorted(self.rig.folder.glob(argument[1:]))
                found += [str(match).removeprefix(root) for match in matches] or [argument]
            else:
                found.append(argument)
        return found

    # --- the host --------------------------------------------------------------------------------

    async def _echo(self, argv: list[str]) -> int:
        await self._out(" ".join(argv[1:]).encode() + b"\n")
        return 0

    async def _true(self, argv: list[str]) -> int:
        del argv
        return 0

    async def _id(self, argv: list[str]) -> int:
        text = "1000" if "-u" in argv else "uid=1000(miner) gid=1000(miner) groups=1000(miner)"
        await self._out(f"{text}\n".encode())
        return 0

    async def _whoami(self, argv: list[str]) -> int:
        del argv
        await self._out(b"miner\n")
        return 0

    async def _hostname(self, argv: list[str]) -> int:
        del argv
        await self._out(f"{self.rig.key}\n".encode())
        return 0

    async def _uname(self, argv: list[str]) -> int:
        text = {"-m": "x86_64", "-r": "6.1.0-28-amd64", "-n": self.rig.key}.get("".join(argv[1:2]))
        await self._out(f"{text or 'Linux'}\n".encode())
        return 0

    async def _nvidia_smi(self, argv: list[str]) -> int | None:
        rig = self.rig
        if not any(gpu.model.name.startswith("NVIDIA") for gpu in rig.cards):
            await self._complain("sh: 1: nvidia-smi: not found")
            return NOT_FOUND
        while (state := rig.driver_state())["nvml_hangs"]:
            await rig.clock.sleep(1.0)
        state["may_limit"] |= self._is_root
        limits: list[tuple[str, float]] = []
        status, text = nvidia_smi.run(argv[1:], state, lambda *limit: limits.append(limit))
        for bus_id, watts in limits:
            if await self._obey(rig.limit_order(bus_id, watts)) is None:
                return None
        rig.refresh()
        await self._out(text.encode())
        return status

    async def _reboot(self, argv: list[str]) -> int | None:
        del argv
        return await self._obey(self.rig.reboot_order())

    # --- programs --------------------------------------------------------------------------------

    async def _systemctl(self, argv: list[str]) -> int | None:
        words = [word for word in argv[1:] if not word.startswith("-")]
        verb = words[0] if words else ""
        if verb in ("reboot", "poweroff"):
            return await self._reboot(argv)
        unit = self.rig.unit(words[1]) if len(words) > 1 else None
        if unit is None:
            await self._complain(f"Unit {' '.join(words[1:])} could not be found.")
            return 4 if verb == "status" else 5
        match verb:
            case "start":
                return await self._obey(self.rig.start_order(unit))
            case "stop":
                return await self._end(unit)
            case "restart":
                status = await self._end(unit)
                return status or await self._obey(self.rig.start_order(unit))
            case "is-active":
                await self._out(f"{_state_of(unit)}\n".encode())
                return 0 if unit.is_active else _INACTIVE
            case "show":
                return await self._show(unit, argv)
        await self._complain(f"Unknown command verb {verb}.")
        return 1

    async def _show(self, unit: ProgramUnit, argv: list[str]) -> int:
        known = {
            "Id": unit.name,
            "ActiveState": _state_of(unit),
            "SubState": "running" if unit.is_active else ("failed" if unit.died else "dead"),
            "MainPID": str(unit.pid or 0),
            "NRestarts": "0",
            "ExecStart": shlex.join([str(unit.executable), *unit.arguments]),
        }
        text = " ".join(argv)
        asked = re.findall(r"(?:-p|--property)[= ]([\w,]+)", text)
        names = [name for each in asked for name in each.split(",")] or list(known)
        lines = [f"{name}={known.get(name, '')}\n" for name in names]
        if "--value" in argv:
            lines = [line.partition("=")[2] for line in lines]
        await self._out("".join(lines).encode())
        return 0

    async def _rig_service(self, argv: list[str]) -> int | None:
        """The command of the service that owns its programs: `status --json`, `stop NAME`, `start NAME`."""
        if not self.rig.has_service:
            await self._complain("sh: 1: miner-agent-rig: not found")
            return NOT_FOUND
        if argv[1:] == ["status", "--json"]:
            programs = [
                {
                    "software_name": unit.job.software,
                    "state": "running" if unit.is_active else "stopped",
                    "pid": unit.pid,
                    "log": str(unit.log).removeprefix(str(self.rig.folder)),
                }
                for unit in self.rig.units
            ]
            await self._out(json.dumps({"programs": programs}).encode() + b"\n")
            return 0
        units = [unit for unit in self.rig.units if unit.job.software == argv[2]]
        if not units:
            await self._complain(f"no program {argv[2]} is known")
            return 1
        if argv[1] == "start":
            return await self._obey(self.rig.start_order(units[0]))
        return await self._end(units[0])

    async def _journalctl(self, argv: list[str]) -> int:
        text = " ".join(argv)
        named = re.search(r"(?:-u|--unit)[= ](\S+)", text)
        count = re.search(r"(?:-n|--lines)[= ]?(\d+)", text)
        unit = self.rig.unit(named[1]) if named else None
        lines = unit.log_tail(int(count[1]) if count else 10_000) if unit else []
        if unit is not None and (big := self.rig.faults.get("big_log")):
            line = "x" * (_LINE_BYTES - 1)
            lines += [line] * (int(big.args.get("bytes", 20_000_000)) // _LINE_BYTES)
        if not lines:
            lines = ["-- No entries --"]
        await self._out("".join(f"{line}\n" for line in lines).encode())
        return 0

    async def _kill(self, argv: list[str]) -> int | None:
        number: int = signal.SIGTERM
        pids = []
        for argument in argv[1:]:
            if argument.startswith("-"):
                word = argument.lstrip("-").removeprefix("SIG")
                number = int(word) if word.isdigit() else getattr(signal, f"SIG{word}", number)
            elif argument.isdigit():
                pids.append(int(argument))
        status: int | None = 0
        for pid in pids:
            unit = next((unit for unit in self.rig.units if unit.pid == pid), None)
            if unit is not None and number != 0:
                status = await self._obey(self.rig.stop_order(unit, number))
            elif pid not in self.rig.processes():
                await self._complain(f"kill: ({pid}) - No such process")
                status = 1
            elif number != 0:
                os.kill(pid, number)  # a mining process of this rig: nothing else is in that list
        return status

    async def _pgrep(self, argv: list[str]) -> int:
        pattern = re.compile(argv[-1])
        whole = any(each.startswith("-") and "f" in each for each in argv[1:-1])
        full = any(each.startswith("-") and "a" in each for each in argv[1:-1])
        status = 1
        for pid, command in sorted(self.rig.processes().items()):
            line = " ".join(command)
            if pattern.search(line if whole else Path(command[0]).name):
                status = 0
                await self._out((f"{pid} {line}\n" if full else f"{pid}\n").encode())
        return status

    async def _end(self, unit: ProgramUnit) -> int | None:
        status = await self._obey(self.rig.stop_order(unit))
        # a process of its own takes its time, and nobody says when it ended
        while unit.is_ending:
            await asyncio.sleep(0.01)
            self.rig.refresh()
        return status

    async def _obey(self, order: RigOrder) -> int | None:
        reaction = await self.rig.accept(order)
        if reaction is Reaction.SILENCE:
            await asyncio.Event().wait()
        return None if reaction is Reaction.HANG_UP else 0

    # --- what is not played ----------------------------------------------------------------------

    async def _really(self, command: str) -> int:
        """As a process of this host, among the rig's files."""
        root = str(self.rig.folder)
        text = _HOST_PATH.sub(lambda found: root + found[0], command)
        path = f"{root}/bin:/usr/bin:/bin"
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", text, cwd=root, env={"PATH": path, "LANG": "C"},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            out, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        await self._out(out.replace(root.encode(), b""))
        await self._write(complaints.replace(root.encode(), b""), error=True)
        return process.returncode if process.returncode is not None else 1

    async def _out(self, data: bytes) -> None:
        if data:
            await self._write(data)

    async def _complain(self, text: str) -> None:
        if not self._is_hushed:
            await self._write(f"{text}\n".encode(), error=True)


def _as_root(words: list[str]) -> list[str]:
    """Without `sudo`, and without the folder of its program."""
    while words[0] in ("sudo", "-n") and len(words) > 1:
        words = words[1:]
    return [words[0] if words[0] in _SHELLS else Path(words[0]).name, *words[1:]]


def _state_of(unit: ProgramUnit) -> str:
    if unit.is_active:
        return "active"
    return "failed" if unit.died else "inactive"


def _unquoted(command: str) -> str:
    """The command without what is in quotes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", command)
