"""What `miner-agent-rig status --json` tells of the programs that this service owns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from contract.errors import MalformedError, RefusedError
from contract.miner import Frozen
from drivers.protocol.objects import BROKEN
from drivers.rig.protocol.orders import brief
from drivers.rig.protocol.process import ProgramProcess
from drivers.rig.spec import MiningProgram, program_named

COMMAND: Final = "miner-agent-rig"
STATUS_ARGV: Final = (COMMAND, "status", "--json")
# One that died is begun again by the service; one that ends is there yet.
_UP: Final = {"running": True, "stopped": False}


class OwnedProgram(Frozen, frozen=True, kw_only=True):
    """One program by its `software_name`; `log` is the path of what it writes."""

    software_name: str
    state: str
    pid: int | None = None
    log: str | None = None

    @property
    def process(self) -> ProgramProcess:
        return ProgramProcess(is_up=_UP.get(self.state), pid=self.pid, word=self.state)


class _ServiceStatus(Frozen, frozen=True, kw_only=True):
    programs: tuple[OwnedProgram, ...] = ()


def programs_of(status: int | None, output: str, errors: str) -> tuple[OwnedProgram, ...]:
    """The answer: its last line. Raises RefusedError when the service does not answer it, MalformedError for no
    answer.
    """
    lines = output.strip().splitlines()
    if status != 0 or not lines:
        raise RefusedError(f"{COMMAND} does not tell of its programs: {brief(errors or output)}")
    try:
        return msgspec.json.decode(lines[-1], type=_ServiceStatus).programs
    except BROKEN as error:
        raise MalformedError(f"{COMMAND} answers no JSON: {error}") from None


def program_of(kind: MiningProgram, programs: Sequence[OwnedProgram]) -> OwnedProgram | None:
    """That of a kind; `None` where it owns none, or two of them."""
    found = [each for each in programs if program_named(each.software_name) is kind]
    return found[0] if len(found) == 1 else None
