"""A release that stands in its place is tried by its own words, as the agent's user, before anything leads to it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from agent.installer.units import last_lines
from service.hostuser import HostUser, is_root

_SAID_BYTES: Final = 64 * 1024  # of its last words, what is read
_WHY_CHARACTERS: Final = 400


class _ToldError(msgspec.Struct, frozen=True):
    message: str = ""


class _Findings(msgspec.Struct, frozen=True):
    """What a release says in the end, as far as it is read."""

    ok: bool
    error: _ToldError = _ToldError()


class NotFitError(Exception):
    """The release says that it cannot run here, or says nothing in time. `log` has its last lines."""

    def __init__(self, message: str, log: tuple[str, ...]) -> None:
        super().__init__(message)
        self.log = log


def self_test(program: Path, config: Path, user: HostUser, within_s: float) -> None:
    """Run `self-test` of that program, which prints a document with `ok` as its last line. Raises NotFitError."""
    words = [str(program), "self-test", "--config", str(config), "--json"]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        code = _ended(words, user, within_s, output, errors)
        text = _tail(output)
        log = last_lines(f"{_tail(errors)}\n{text}".strip())
    if code is None:
        raise NotFitError(f"it did not end within {within_s:g} s", log)
    document = _document(text)
    if code != 0 or document is None or not document.ok:
        said = "" if document is None else document.error.message[:_WHY_CHARACTERS]
        raise NotFitError(said or f"it ended with {code}", log)


def _ended(
    words: list[str], user: HostUser, within_s: float, output: IO[bytes], errors: IO[bytes]
) -> int | None:
    """Its exit code; `None` where it was killed, with all that it began, since it took longer."""
    other: dict[str, Any] = (
        {"user": user.uid, "group": user.gid, "extra_groups": []} if is_root() else {}
    )
    try:
        process = subprocess.Popen(  # noqa: S603 - our own words
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            start_new_session=True,
            **other,
        )
    except OSError as error:  # it is none that this processor runs, or its interpreter is missing
        raise NotFitError(f"it cannot be started: {error}", ()) from None
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _SAID_BYTES))
    return output.read().decode("utf-8", "replace")


def _document(text: str) -> _Findings | None:
    try:
        return msgspec.json.decode(text.strip().rpartition("\n")[2].encode(), type=_Findings)
    except msgspec.DecodeError:
        return None
