"""A release that stands in its place is tried by its own words, as the agent's user, before anything leads to it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.installer.units import last_lines
from service.hostuser import HostUser, is_root

_SAID_BYTES: Final = 64 * 1024  # of its last words, what is read


class SelfTestError(Exception):
    """The release says that it cannot run here, or says nothing in time. `log` has its last lines."""

    def __init__(self, message: str, log: tuple[str, ...]) -> None:
        super().__init__(message)
        self.log = log


def self_test(program: Path, config: Path, user: HostUser, within_s: float) -> None:
    """Run `self-test` of that program, which prints a document with `ok` as its last line. Raises SelfTestError."""
    with tempfile.TemporaryFile() as output:
        code = _ended(
            [str(program), "self-test", "--config", str(config), "--json"], user, within_s, output
        )
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _SAID_BYTES))
        text = output.read().decode("utf-8", "replace")
    log = last_lines(text)
    if code is None:
        raise SelfTestError(f"it did not end within {within_s:g} s", log)
    document = _document(text)
    if code != 0 or document.get("ok") is not True:
        error = document.get("error")
        said = error.get("message") if isinstance(error, dict) else None
        raise SelfTestError(str(said or f"it ended with {code}")[:400], log)


def _ended(words: list[str], user: HostUser, within_s: float, output: Any) -> int | None:
    """Its exit code; `None` where it was killed, with all that it began, since it took longer."""
    other: dict[str, Any] = (
        {"user": user.uid, "group": user.gid, "extra_groups": []} if is_root() else {}
    )
    try:
        process = subprocess.Popen(  # noqa: S603 - our own words
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            start_new_session=True,
            **other,
        )
    except OSError as error:  # it is none that this processor runs, or its interpreter is missing
        raise SelfTestError(f"it cannot be started: {error}", ()) from None
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def _document(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text.strip().rpartition("\n")[2].encode())
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
