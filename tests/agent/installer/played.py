"""A host in a folder, on which systemd is played: releases with a small program as the agent, and a clock of its own.

What systemd knows lies in a file, so that it goes on when the installer is killed, and only a boot sets it back. Time
passes when the installer waits, and at no other time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from agent.installer.places import UpdatePlaces
from contract.clock import BootTime
from release.handover import RUNNING
from service.install.host import HostCommandError, TargetHost
from service.install.release import STAMP, Stamp, digest, running
from tests.release.repository import NOW

RESTART_S: Final = 5.0  # as the unit has it
AGENT: Final = """
import json, sys, time
from pathlib import Path

BEHAVIOUR = json.loads(Path(__file__).with_name("behaviour.json").read_text())


def main():
    print("some words before", flush=True)
    if sys.argv[1] != "self-test" or BEHAVIOUR["self_test"] == "dies":
        sys.exit(7)
    if BEHAVIOUR["self_test"] == "hangs":
        time.sleep(600)
    is_well = BEHAVIOUR["self_test"] == "well"
    error = {} if is_well else {"error": {"message": "journal: " + BEHAVIOUR["self_test"]}}
    print(json.dumps({"ok": is_well, **error}))
    sys.exit(0 if is_well else 1)
"""


def behaviour(**other: Any) -> dict[str, Any]:
    """After how many seconds a release shows what, and dies; `None`: never."""
    return {
        "self_test": "well", "ready_s": 2, "linked_s": 4, "turned_s": 3, "dies_s": None
    } | other  # fmt: skip


class PlayedSystemd:
    """`starts` and `asked` of the file are every start of the unit, by its version, and what the installer asked for."""

    def __init__(self, root: Path, places: UpdatePlaces, state: Path) -> None:
        self._file = root / "systemd.json"
        self._places = places
        self._state = state
        self.before: Callable[[str, Path], None] = lambda _what, _path: None
        # What a test has go wrong: an answer that does not come, what is true, what a process says.
        self.on_ask: Callable[[tuple[str, ...]], None] = lambda _words: None
        self.on_change: Callable[[dict[str, Any]], None] = lambda _facts: None
        self.on_said: Callable[[dict[str, Any]], None] = lambda _facts: None

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found

    def boot(self) -> None:
        """The host starts, and what its units run."""
        before = self.facts if self._file.exists() else {"now": 0.0, "boot": 0, "number": 0}
        facts = before | {
            "boot": before["boot"] + 1, "starts": [], "asked": [], "restarts": 0, "state": "runs"
        }  # fmt: skip
        self._start(facts)
        self._put(facts)

    def stop(self, *, is_queued: bool = False) -> None:
        """Somebody stops the unit; `is_queued`: it is about to be started again."""
        self._put(self.facts | {"state": "queued" if is_queued else "stopped"})

    def advance(self, seconds: float) -> None:
        self.before("wait", self._state)
        facts = self.facts
        facts["now"] += seconds
        while (
            facts["state"] == "runs"
            and (died := self._died_at(facts)) is not None
            and died + RESTART_S <= facts["now"]
        ):
            facts["restarts"] += 1
            self._start(facts, at=died + RESTART_S)
        self._put(facts)

    def ask(self, command: str, *args: str) -> str:
        self.on_ask((command, *args))
        match (command, *args):
            case ("systemctl", "show", "miner-agent.service", _):
                return self._shown(self.facts)
            case ("systemctl", "restart", "--no-block", "miner-agent.service"):
                self.before("restart", self._state)
                facts = self.facts
                facts["restarts"] = 0
                facts["asked"].append(running(self._places.current))
                self._start(facts)
                self._put(facts)
            case ("systemctl", "try-restart", "--no-block", "miner-agent-rig.service"):
                self._put(self.facts | {"rig": running(self._places.current)})
            case ("journalctl", *_):
                return f"the words of {args[-1].rpartition('=')[2]}\n"
            case _:
                raise HostCommandError(f"{command} {args} is not played")
        return ""

    def _shown(self, facts: dict[str, Any]) -> str:
        if facts["state"] != "runs":
            job = "Job=77\n" if facts["state"] == "queued" else ""
            return (
                f"MainPID=0\nNRestarts=0\nActiveState=inactive\nSubState=dead\nInvocationID=\n{job}"
            )
        died = self._died_at(facts) is not None
        is_ready = not died and self._has(facts, "ready_s")
        active = "active" if is_ready else "activating"
        return (
            f"MainPID={0 if died else facts['pid']}\nNRestarts={facts['restarts']}\n"
            f"ActiveState={active}\nSubState={'auto-restart' if died else 'running'}\n"
            f"InvocationID={facts['invocation']}\n"
        )

    def _start(self, facts: dict[str, Any], at: float | None = None) -> None:
        facts["number"] += 1
        number, version = facts["number"], running(self._places.current)
        facts |= {
            "state": "runs",
            "version": version,
            "begun": facts["now"] if at is None else at,
            "pid": 1000 + number,
            "invocation": f"{number:032x}",
            "does": does(self._places.release(version or "none")),
            "sha256": sha256_of(self._places.release(version or "none")),
        }
        facts["starts"].append(version)

    def _put(self, facts: dict[str, Any]) -> None:
        """And what the process of the agent says of itself by now."""
        self.on_change(facts)
        self._file.write_text(json.dumps(facts))
        runs = facts["state"] == "runs" and self._died_at(facts) is None
        if runs and self._has(facts, "ready_s"):
            said = {
                "version": facts["version"], "sha256": facts["sha256"], "pid": facts["pid"],
                "invocation": facts["invocation"], "boot_id": f"boot {facts['boot']}", "ready": True,
                "linked": self._has(facts, "linked_s"), "journal_turned": self._has(facts, "turned_s"), "at": "now",
            }  # fmt: skip
            (self._state / RUNNING).write_text(json.dumps(said))
        self.on_said(facts)

    @staticmethod
    def _has(facts: dict[str, Any], what: str) -> bool:
        after = facts["does"][what]
        return after is not None and facts["now"] - facts["begun"] >= after

    @staticmethod
    def _died_at(facts: dict[str, Any]) -> float | None:
        after = facts["does"]["dies_s"]
        is_dead = after is not None and facts["now"] - facts["begun"] >= after
        return facts["begun"] + after if is_dead else None


class PlayedHost(TargetHost, frozen=True):
    """Commands go to the systemd that is played."""

    system: Any = None

    def ask(self, command: str, *args: str) -> str:
        said: str = self.system.ask(command, *args)
        return said


class PlayedClock:
    """That of the played host."""

    def __init__(self, system: PlayedSystemd) -> None:
        self._system = system

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.mono())

    def mono(self) -> float:
        found: float = self._system.facts["now"]
        return found

    def boot(self) -> BootTime:
        return BootTime(f"boot {self._system.facts['boot']}", self.mono())

    async def sleep(self, seconds: float) -> None:
        self._system.advance(seconds)


def is_whole(release: Path) -> bool:
    """Whether all of it is there, as its stamp says."""
    stamp = Stamp.read(release)
    return stamp is not None and stamp.sha256 == digest(release)


def does(release: Path) -> dict[str, Any]:
    """What the release is going to do; half of one dies at once."""
    if not is_whole(release):
        return behaviour(dies_s=0, ready_s=None)
    (file,) = release.glob("lib/*/site-packages/behaviour.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def sha256_of(release: Path) -> str:
    stamp = Stamp.read(release) if (release / STAMP).is_file() else None
    return "" if stamp is None else stamp.sha256
