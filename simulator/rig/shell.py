"""What a command over SSH does: it sees the rig's folder as the host's files, and the rig's programs as the host's own.

The usual commands are played here, without a process. All others, and whatever needs a shell, run as real ones, in the
folder, with the host's paths turned into those of the folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from simulator.orders import Reaction
from simulator.rig.orders import RigOrder
from simulator.rig.shell_files import FileCommands
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
        self._files = FileCommands(rig.folder, self)
        self._played: dict[str, Command] = {
            "cat": self._files.cat,
            "grep": self._files.grep,
            "head": self._files.part,
            "tail": self._files.part,
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
                await self.complain("sudo: a password is required")
                return 1
            self._is_root = True
        parts = self._parts(command)
        if parts is None:
            return await self.really(command)
        status: int | None = 0
        for argv in parts:
            self._is_hushed = _HUSHED in argv
            words = [word for word in argv if word not in (_HUSHED, _NO_INPUT)]
            if words[0] in _SHELLS:
                status = await self.run(words[2])
            else:
                status = await self._played[words[0]]([words[0], *self._files.expanded(words[1:])])
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

    # --- the host --------------------------------------------------------------------------------

    async def _echo(self, argv: list[str]) -> int:
        await self.out(" ".join(argv[1:]).encode() + b"\n")
        return 0

    async def _true(self, argv: list[str]) -> int:
        del argv
        return 0

    async def _id(self, argv: list[str]) -> int:
        text = "1000" if "-u" in argv else "uid=1000(miner) gid=1000(miner) groups=1000(miner)"
        await self.out(f"{text}\n".encode())
        return 0

    async def _whoami(self, argv: list[str]) -> int:
        del argv
        await self.out(b"miner\n")
        return 0

    async def _hostname(self, argv: list[str]) -> int:
        del argv
        await self.out(f"{self.rig.key}\n".encode())
        return 0

    async def _uname(self, argv: list[str]) -> int:
        text = {"-m": "x86_64", "-r": "6.1.0-28-amd64", "-n": self.rig.key}.get("".join(argv[1:2]))
        await self.out(f"{text or 'Linux'}\n".encode())
        return 0

    async def _nvidia_smi(self, argv: list[str]) -> int | None:
        rig = self.rig
        if not any(gpu.model.name.startswith("NVIDIA") for gpu in rig.cards):
            await self.complain("sh: 1: nvidia-smi: not found")
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
        await self.out(text.encode())
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
            await self.complain(f"Unit {' '.join(words[1:])} could not be found.")
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
                await self.out(f"{_state_of(unit)}\n".encode())
                return 0 if unit.is_active else _INACTIVE
            case "show":
                return await self._show(unit, argv)
        await self.complain(f"Unknown command verb {verb}.")
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
        await self.out("".join(lines).encode())
        return 0

    async def _rig_service(self, argv: list[str]) -> int | None:
        """The command of the service that owns its programs: `status --json`, `stop NAME`, `start NAME`."""
        if not self.rig.has_service:
            await self.complain("sh: 1: miner-agent-rig: not found")
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
            await self.out(json.dumps({"programs": programs}).encode() + b"\n")
            return 0
        units = [unit for unit in self.rig.units if unit.job.software == argv[2]]
        if not units:
            await self.complain(f"no program {argv[2]} is known")
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
        await self.out("".join(f"{line}\n" for line in lines).encode())
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
                await self.complain(f"kill: ({pid}) - No such process")
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
                await self.out((f"{pid} {line}\n" if full else f"{pid}\n").encode())
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

    async def really(self, command: str) -> int:
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
        await self.out(out.replace(root.encode(), b""))
        await self._write(complaints.replace(root.encode(), b""), error=True)
        return process.returncode if process.returncode is not None else 1

    async def out(self, data: bytes) -> None:
        """See `Shell`."""
        if data:
            await self._write(data)

    async def complain(self, text: str) -> None:
        """See `Shell`."""
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
