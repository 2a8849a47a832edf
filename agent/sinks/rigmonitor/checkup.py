"""Whether the monitor can be reached and knows the codes, for `miner-agent doctor`. Only asks."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, Final

from agent.config.file import Config, ConfigError
from agent.config.keyfiles import check_ca_file
from agent.config.rigmonitor import RigMonitorSection
from agent.rig.client import NoRigServiceError, RigRefusedError, RigService, RigServiceLostError
from agent.rig.shapes import STANDARD_SOCKET, ProgramState
from agent.sinks.rigmonitor.client import (
    InvalidError,
    MonitorClient,
    MonitorError,
    RejectedError,
    UnknownCodeError,
)
from agent.sinks.rigmonitor.machines import MonitorMachine, machines_of
from agent.sinks.rigmonitor.sink import open_client
from agent.sinks.sink import Check
from contract.miner import Identity, Make
from contract.rigmonitor.asic import BULK_MAX
from contract.rigmonitor.shared import HEADER, MachineKind

_NAMED: Final = 5


async def check_monitor(
    config: Config, miners: Mapping[str, Identity] | None = None
) -> list[Check]:
    """Nothing where no monitor is configured. `miners` says who was found at which address; nothing is said of them
    where none is known yet.
    """
    if config.rigmonitor.url is None:
        return []
    try:
        check_ca_file(config.monitor_ca)
        machines = machines_of(config.rigmonitor)
    except ConfigError as error:
        return [Check("problem", str(error))]
    client = open_client(config)
    try:
        found = await _ask(client, config.rigmonitor.base_url, machines)
    except MonitorError as error:
        return [Check("problem", f"{error}; check url in [rigmonitor] and that the monitor runs")]
    finally:
        await client.close()
    found += _unreported(config.rigmonitor, machines, miners or {})
    if any(machine.playbooks for machine in machines):
        found += await _service(config.rigmonitor)
    if not config.telemetry.enabled:
        found.append(
            Check("warning", "nothing is reported to it: set enabled = true in [telemetry]")
        )
    return found


async def _ask(
    client: MonitorClient, url: str, machines: tuple[MonitorMachine, ...]
) -> list[Check]:
    await client.ping()
    found = [Check("ok", f"{url} answers")]
    if not machines:
        text = "no miner has a code: set codes_file or api_code_file in [rigmonitor]"
        return [*found, Check("warning", text)]
    asics = [each for each in machines if each.kind is MachineKind.ASIC]
    known: list[MonitorMachine] = []
    for start in range(0, len(asics), BULK_MAX):
        part = asics[start : start + BULK_MAX]
        reply = await client.expected_bulk(tuple(machine.code for machine in part))
        known += [machine for machine in part if machine.code.text in reply]
    is_told = not known or await _knows(client.expected(known[0].code))
    for machine in machines:
        if machine.kind is MachineKind.RIG and await _knows(client.playbooks(machine.code)):
            known.append(machine)
    unknown = [machine.key for machine in machines if machine not in known]
    if unknown:
        text = f"it does not know the code of {_named(unknown)}: copy it again from its web page"
        found.append(Check("warning", text))
    if not is_told:
        text = (
            f"it knows the codes, but not where they belong: a proxy in front of it drops the header {HEADER} "
            "(nginx: underscores_in_headers on;)"
        )
        return [*found, Check("problem", text)]
    if not known:
        return found
    return [*found, Check("ok", f"it knows the codes of {len(known)} of {len(machines)} miners")]


async def _knows(answer: Awaitable[Any]) -> bool:
    """Whether the monitor knows the code that it was asked with, whatever else it says. Raises AwayError."""
    try:
        await answer
    except UnknownCodeError:
        return False
    except (InvalidError, RejectedError):
        return True
    return True


async def _service(section: RigMonitorSection) -> list[Check]:
    """Whether somebody is there to carry out playbooks, and what of them is not carried out."""
    try:
        async with RigService(section.rig_service_socket or STANDARD_SOCKET) as service:
            programs = (await service.status()).programs
    except (NoRigServiceError, RigRefusedError, RigServiceLostError) as error:
        return [Check("warning", f"no playbook is carried out: {error}")]
    found = [Check("ok", f"miner-agent-rig answers; programs that it knows: {len(programs)}")]
    for each in programs:
        if each.refused is not None:
            text = f"the newest playbook of {each.software_name} is refused: {each.refused}"
            found.append(Check("warning", text))
        if each.state is ProgramState.WAITING:
            found.append(Check("warning", f"{each.software_name} does not run: {each.last_end}"))
    return found


def _unreported(
    section: RigMonitorSection, machines: tuple[MonitorMachine, ...], miners: Mapping[str, Identity]
) -> Iterator[Check]:
    """What no code of the monitor shows: miners that it will not hear of, as far as that can be told beforehand."""
    if not miners:
        return
    known = {each.mac: each for each in miners.values() if each.mac} | dict(miners)
    asics = [each for each in machines if each.kind is MachineKind.ASIC]
    absent = [machine.key for machine in asics if machine.key not in known]
    if absent:
        text = f"a code is given for {_named(absent)}, but no such miner was found: check the MAC, and scan its range"
        yield Check("warning", text)
    unmetered = [
        machine.key
        for machine in asics
        if machine.key in known
        and known[machine.key].make == Make.ICERIVER
        and machine.power_w is None
        and section.default_power_w is None
    ]
    if unmetered:
        yield Check(
            "warning",
            f"{_named(unmetered)} will not be reported, since IceRivers do not measure their power and the monitor "
            "wants one: set default_power_w or power_w in [rigmonitor]",
        )


def _named(keys: list[str]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more
