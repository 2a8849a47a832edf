"""How a command of a rig says that it was not carried out: sudo, systemd, nvidia-smi and the service of the rig."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from contract.errors import OutcomeUnknownError, RefusedError, UnsupportedError

_NO_UNIT: Final = 5
_NOT_STARTED: Final = (
    126,
    127,
)  # of a shell; a script whose last command was not there ends so as well
_SUDO: Final = "sudo"
# As sudo says that nothing was done, for whoever asks may not.
_DENIALS_OF_SUDO: Final = (
    "a password is required", "a terminal is required", "no tty present", "is not allowed to", "may not run sudo",
    "not in the sudoers file", "no new privileges",
)  # fmt: skip
# The same of commands that do one thing. A script may say so of one of its steps, and go on.
_DENIALS: Final = (
    "interactive authentication required", "access denied", "insufficient permissions", "must be root",
    "must be superuser", "operation not permitted", "permission denied", "no miner-agent-rig listens",
    "does not listen to this user",
)  # fmt: skip
_OF_ONE_STEP: Final = frozenset(
    {"systemctl", "loginctl", "reboot", "shutdown", "nvidia-smi", "miner-agent-rig"}
)
_SUDO_FINDS_NONE: Final = re.compile(r"^sudo: \S+: command not found", re.MULTILINE)
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
    if status is not None and _is_denied(argv, said):
        fix = _fix(argv, user, rule)
        raise RefusedError(f"{user} may not run `{command}` there: {brief(said)}; {fix}")
    if status == _NO_UNIT and says(said, NO_SUCH):
        raise RefusedError(f"`{command}`: {brief(said)}; check the unit's name in [[rigs]]")
    if argv[0] == _SUDO and _SUDO_FINDS_NONE.search(errors[:16384]):
        raise UnsupportedError(f"the rig cannot run `{command}`: {brief(said)}")
    how = "was ended by a signal" if status is None else f"ended with {status}"
    raise OutcomeUnknownError(f"`{command}` {how}: {brief(said)}")


def says_no_start(command: str, status: int, errors: str) -> bool:
    """Whether a shell says that it could not start this command, in words that end with it: those of a script name the
    script first, and then the step that failed.
    """
    name = re.escape(command)
    why = (
        r"not found|command not found|no such file or directory|permission denied|exec format error"
    )
    pattern = rf"(?:^|[\s'\"]){name}['\"]?(?:: (?:{why})\.?)?$"
    return (
        status in _NOT_STARTED
        and re.search(pattern, errors[:16384].rstrip(), re.IGNORECASE | re.MULTILINE) is not None
    )


def says(text: str, words: Sequence[str]) -> bool:
    """Whether one of these words is in it, whatever its case."""
    found = text[:16384].lower()
    return any(each in found for each in words)


def brief(text: str) -> str:
    """It in one line."""
    return " ".join(text.split())[:200] or "it said nothing"


# --- private -------------------------------------------------------------------------------------


def _is_denied(argv: Sequence[str], said: str) -> bool:
    words = [each for each in argv if each not in (_SUDO, "-n")]
    is_one_step = bool(words) and words[0].rpartition("/")[2] in _OF_ONE_STEP
    return (argv[0] == _SUDO and says(said, _DENIALS_OF_SUDO)) or (
        is_one_step and says(said, _DENIALS)
    )


def _fix(argv: Sequence[str], user: str, rule: str | None) -> str:
    if user == "root":
        return "its service keeps root from it as well"
    if argv[0] != _SUDO:
        return f"let {user} do so, or have it asked through `sudo -n`"
    command = rule or " ".join(each for each in argv[1:] if each != "-n")
    return (
        "allow it by a line in /etc/sudoers.d, with the whole path of the command: "
        f"{user} ALL=(root) NOPASSWD: {command}"
    )
