"""What systemd does with a unit, from the unit's own lines: its folders, its user, its credentials, its words."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import shutil
from pathlib import Path
from typing import Final

from agent.demo.part import Part
from tests.service.ear import Ear
from tests.system.debian.root import Root

_FOLDERS: Final = {
    "StateDirectory": "/var/lib",
    "RuntimeDirectory": "/run",
    "LogsDirectory": "/var/log",
}
_PLACES: Final = ("/etc/systemd/system", "/lib/systemd/system")


class Unit:
    """One service of a root. It is begun and ended as its unit says, and heard."""

    def __init__(self, root: Root, name: str, folder: Path) -> None:
        """`folder` is for what it writes to its streams."""
        self.root = root
        self.name = name
        self.lines = lines_of(root, f"{name}.service")
        self.user = self.last("User")
        self._ear_at = root.at(f"/run/notify-{name}")
        self._ear: Ear | None = None
        self.heard: list[str] = []
        self.invocation = ""
        self.part = Part(folder, name, ())

    @property
    def is_enabled(self) -> bool:
        return self.root.at(
            f"/etc/systemd/system/multi-user.target.wants/{self.name}.service"
        ).is_symlink()

    @property
    def is_ready(self) -> bool:
        """Whether it said so in this life."""
        if self._ear is not None:
            self.heard += self._ear.heard()
        return self.part.returncode is None and any("READY=1" in each for each in self.heard)

    @property
    def program(self) -> list[str]:
        return shlex.split(self.last("ExecStart"))

    async def start(self, *, program: list[str] | None = None) -> None:
        """Begin it; `program` in place of its own."""
        assert self.last("Type") == "notify"
        if self._ear is not None:
            self._ear.close()
        self._ear_at.unlink(missing_ok=True)
        self._ear = Ear(self._ear_at)
        self._ear_at.chmod(0o777)
        self.heard = []
        self.invocation = secrets.token_hex(16)
        self.part.program = self.root.words(
            "setpriv", f"--reuid={self.user}", f"--regid={self.last('Group')}", "--init-groups",
            "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", *(program or self.program),
        )  # fmt: skip
        watchdog_us = int(self.last("WatchdogSec")) * 1_000_000
        self.part.environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NOTIFY_SOCKET": f"/run/{self._ear_at.name}",
            "WATCHDOG_USEC": str(watchdog_us),
            "INVOCATION_ID": self.invocation,
            **self._make_folders(),
            **self._hand_over(),
        }
        await self.part.start()

    async def says(self, words: str, *, patience_s: float = 60.0) -> None:
        """Wait until it tells that."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience_s
        while not any(words in each for each in self.heard):
            assert self._ear is not None
            assert self.part.returncode is None, self.part.last_words()
            assert loop.time() < give_up, (words, self.heard[-5:], self.part.last_words())
            self.heard += self._ear.heard()
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        await self.part.end()
        if self._ear is not None:
            self._ear.close()
            self._ear = None

    def last(self, key: str) -> str:
        """What the unit says of that, last."""
        value = ""
        for name, each in self.lines:
            if name == key:
                value = each
        return value

    def _make_folders(self) -> dict[str, str]:
        uid, gid = self.root.uid(self.user)
        variables = {}
        for key, above in _FOLDERS.items():
            name = self.last(key)
            if not name:
                continue
            there = self.root.at(f"{above}/{name}")
            there.mkdir(parents=True, exist_ok=True)
            shutil.chown(there, uid, gid)
            there.chmod(int(self.last(f"{key}Mode"), 8))
            variables[f"{_word(key)}_DIRECTORY"] = f"{above}/{name}"
        return variables

    def _hand_over(self) -> dict[str, str]:
        """Files of root as credentials: each of a folder under NAME_FILE."""
        given = self.last("LoadCredential")
        if not given:
            return {}
        name, _, folder = given.partition(":")
        uid, gid = self.root.uid(self.user)
        to = self.root.at(f"/run/credentials/{self.name}.service")
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        for each in self.root.at(folder).iterdir():
            copy = to / f"{name}_{each.name}"
            shutil.copy2(each, copy)
            shutil.chown(copy, uid, gid)
        shutil.chown(to, uid, gid)
        return {"CREDENTIALS_DIRECTORY": f"/run/credentials/{self.name}.service"}


def _word(key: str) -> str:
    return key.removesuffix("Directory").upper()


def lines_of(root: Root, file: str) -> list[tuple[str, str]]:
    """Of the unit and what was laid over it, in order; an empty value takes back what stood there before."""
    path = next(found for each in _PLACES if (found := root.at(f"{each}/{file}")).exists())
    texts = [path.read_text()]
    texts += [
        each.read_text() for each in sorted(root.at(f"/etc/systemd/system/{file}.d").glob("*.conf"))
    ]
    lines: list[tuple[str, str]] = []
    for line in "\n".join(texts).splitlines():
        key, equals, value = line.partition("=")
        if not equals or line.startswith(("#", ";", "[")):
            continue
        if not value:
            lines = [each for each in lines if each[0] != key]
        else:
            lines.append((key, value))
    return lines
