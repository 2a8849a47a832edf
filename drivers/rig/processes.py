"""Mining programs as their owner knows them: systemd, or the service `miner-agent-rig`."""

from __future__ import annotations

from typing import Final

from contract.errors import UnsupportedError
from drivers.base import Permit
from drivers.rig.protocol import orders, rig_service, systemd
from drivers.rig.protocol.process import ProgramProcess
from drivers.rig.protocol.rig_service import OwnedProgram
from drivers.rig.spec import ProgramSpec
from drivers.rig.wire import RigWire

ROOT: Final = "root"


async def process_of(
    wire: RigWire, spec: ProgramSpec, *, deadline_s: float | None = None
) -> ProgramProcess:
    """How it is now. Raises RefusedError where neither a unit nor the service knows it, and as `RigWire.run`."""
    if spec.unit is not None:
        ran = await wire.run(systemd.show_argv(spec.unit), deadline_s=deadline_s)
        return systemd.process_of(ran.status, ran.output, ran.errors)
    return (await owned_program(wire, spec, deadline_s=deadline_s)).process


async def owned_program(
    wire: RigWire, spec: ProgramSpec, *, deadline_s: float | None = None
) -> OwnedProgram:
    """One without a unit, by the service that owns it. Raises as `process_of`."""
    try:
        ran = await wire.run(rig_service.STATUS_ARGV, deadline_s=deadline_s)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"{error}; if systemd runs it, name its `unit` in [[rigs]]"
        ) from None
    programs = rig_service.programs_of(ran.status, ran.output, ran.errors)
    found = rig_service.program_of(spec.kind, programs)
    if found is None:
        raise UnsupportedError(
            f"{rig_service.COMMAND} owns no {spec.kind}: name its systemd unit as `unit` in [[rigs]], or give the "
            "rig a playbook for it"
        )
    return found


async def start(wire: RigWire, spec: ProgramSpec, permit: Permit) -> None:
    """Have it begun. Raises as `order`."""
    await _tell(wire, spec, "start", permit)


async def stop(wire: RigWire, spec: ProgramSpec, permit: Permit) -> None:
    """Have it ended. Raises as `order`."""
    await _tell(wire, spec, "stop", permit)


async def order(
    wire: RigWire, argv: tuple[str, ...], permit: Permit, *, rule: str | None = None
) -> None:
    """Run a command that changes the rig, once. `rule` is what sudoers is to allow, where that is more than this one
    command. Raises RefusedError, UnsupportedError and OutcomeUnknownError as `orders.check_obeyed`, and as
    `RigWire.run`.
    """
    ran = await wire.run(argv, permit=permit)
    user = wire.reach.user
    orders.check_obeyed(argv, ran.status, ran.output, ran.errors, user=user, rule=rule)


def as_root(wire: RigWire, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command as the user that we are there has to give it."""
    return argv if wire.reach.user == ROOT else ("sudo", "-n", *argv)


# --- private -------------------------------------------------------------------------------------


async def _tell(wire: RigWire, spec: ProgramSpec, verb: str, permit: Permit) -> None:
    if spec.unit is not None:
        argv = as_root(wire, ("systemctl", verb, spec.unit))
    else:
        name = (await owned_program(wire, spec)).software_name
        argv = (rig_service.COMMAND, verb, name)
    await order(wire, argv, permit)
