"""What `systemctl show` tells of a unit."""

from __future__ import annotations

from typing import Final

from contract.errors import MalformedError, RefusedError
from drivers.rig.protocol.orders import NO_SUCH, brief, says
from drivers.rig.protocol.process import ProgramProcess

_SHOWN: Final = ("LoadState", "ActiveState", "MainPID")
_PID_DIGITS: Final = 10
_LONGEST_WORD: Final = 40
_UP: Final = {"active": True, "reloading": True, "inactive": False, "failed": False}


def show_argv(unit: str) -> tuple[str, ...]:
    """The question how a unit is; it takes no rights."""
    return ("systemctl", "show", unit, f"--property={','.join(_SHOWN)}")


def process_of(status: int | None, output: str, errors: str) -> ProgramProcess:
    """The answer to `show_argv`. Raises RefusedError when there is no such unit, MalformedError for no answer."""
    told = dict(line.split("=", 1) for line in output.splitlines()[:16] if "=" in line)
    if told.get("LoadState") == "not-found" or (status and says(errors, NO_SUCH)):
        raise RefusedError("there is no such unit: check its name in [[rigs]]")
    word = told.get("ActiveState", "")[:_LONGEST_WORD]
    if status != 0 or not word:
        raise MalformedError(f"systemctl does not tell of it: {brief(errors or output)}")
    pid = told.get("MainPID", "")
    return ProgramProcess(
        is_up=_UP.get(word),
        has_failed=word == "failed",
        pid=(int(pid) or None) if pid.isdecimal() and len(pid) <= _PID_DIGITS else None,
        word=word,
    )
