"""How a command of a rig says that it was not carried out: sudo, systemd, nvidia-smi and the service of the rig."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from contract.errors import OutcomeUnknownError, RefusedError, UnsupportedError

_NO_UNIT: Final = 5
_NOT_EXECUTABLE: Final = 126
# As sudo, polkit and nvidia-smi say that nothing was done, for whoever asks may not.
_DENIALS: Final = (
    "a password is required", "a terminal is required", "no tty present", "is not allowed to", "may not run sudo",
    "not in the sudoers file", "no new privileges", "interactive authentication required", "access denied",
    "insufficient permissions", "must be root", "must be superuser", "operation not permitted", "permission denied",
    "no miner-agent-rig listens", "does not listen to this user",
)  # fmt: skip
NO_SUCH: Final = ("could not be found", "not loaded", "not found")


def check_obeyed(
    argv: Sequence[str],
    status: int | None,
    output: str,
    errors: str,
    *,
    user: str,
    rule: str | None = None,
) -> None:
    """Raise RefusedError or UnsupportedError when the answer to an order proves that nothing was done,
    OutcomeUnknownError when it proves nothing. `rule` is what sudoers is to allow; of this one command where not given.
    """
    if status == 0:
        return
    said, command = f"{errors}\n{output}", shlex.join(argv)
    if says(said, _DENIALS):
        fix = _fix(argv, user, rule)
        raise RefusedError(f"{user} may not run `{command}` there: {brief(said)}; {fix}")
    if status == _NO_UNIT and says(said, NO_SUCH):
        raise RefusedError(f"`{command}`: {brief(said)}; check the unit's name in [[rigs]]")
    if status == _NOT_EXECUTABLE or (argv[0] == "sudo" and "command not found" in said):
        raise UnsupportedError(f"the rig cannot run `{command}`: {brief(said)}")
    how = "was ended by a signal" if status is None else f"ended with {status}"
    raise OutcomeUnknownError(f"`{command}` {how}: {brief(said)}")


def says(text: str, words: Sequence[str]) -> bool:
    """Whether one of these words is in it, whatever its case."""
    found = text[:16384].lower()
    return any(each in found for each in words)


def brief(text: str) -> str:
    """It in one line."""
    return " ".join(text.split())[:200] or "it said nothing"


# --- private -------------------------------------------------------------------------------------


def _fix(argv: Sequence[str], user: str, rule: str | None) -> str:
    if user == "root":
        return "its service keeps root from it as well"
    if argv[0] != "sudo":
        return f"let {user} do so, or have it asked through `sudo -n`"
    command = rule or " ".join(each for each in argv[1:] if each != "-n")
    return (
        "allow it by a line in /etc/sudoers.d, with the whole path of the command: "
        f"{user} ALL=(root) NOPASSWD: {command}"
    )
