"""Whether the monitor can be reached and knows the codes, for `miner-agent doctor`. Only asks."""

from __future__ import annotations

from typing import Final

import msgspec

from agent.config import Config, ConfigError, check_ca_file
from agent.sinks.rigmonitor.client import MonitorClient, MonitorError, UnknownCodeError
from agent.sinks.rigmonitor.rigs import Rig, rigs_of
from agent.sinks.rigmonitor.sink import open_client
from contract.rigmonitor import BULK_MAX, HEADER

_NAMED: Final = 5


class Check(msgspec.Struct, frozen=True):
    """One finding. `level` is ok, warning or problem, as in `agent.doctor`."""

    level: str
    text: str


async def check_monitor(config: Config) -> list[Check]:
    """Nothing where no monitor is configured."""
    if config.rigmonitor.url is None:
        return []
    try:
        check_ca_file(config.rigmonitor.ca_file)
        rigs = rigs_of(config.rigmonitor)
    except ConfigError as error:
        return [Check("problem", str(error))]
    client = open_client(config)
    try:
        found = await _ask(client, config.rigmonitor.base_url, rigs)
    except MonitorError as error:
        return [Check("problem", f"{error}; check url in [rigmonitor] and that the monitor runs")]
    finally:
        await client.close()
    if not config.telemetry.enabled:
        found.append(
            Check("warning", "nothing is reported to it: set enabled = true in [telemetry]")
        )
    return found


async def _ask(client: MonitorClient, url: str, rigs: tuple[Rig, ...]) -> list[Check]:
    await client.ping()
    found = [Check("ok", f"{url} answers")]
    if not rigs:
        text = "no miner has a code: set codes_file or api_code_file in [rigmonitor]"
        return [*found, Check("warning", text)]
    known: list[Rig] = []
    unknown: list[str] = []
    for start in range(0, len(rigs), BULK_MAX):
        part = rigs[start : start + BULK_MAX]
        reply = await client.expected_bulk(tuple(rig.code for rig in part))
        known += [rig for rig in part if rig.code.text in reply]
        unknown += [rig.key for rig in part if rig.code.text not in reply]
    if unknown:
        named = ", ".join(unknown[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        text = f"it does not know the code of {named}{more}: copy it again from its web page"
        found.append(Check("warning", text))
    if not known:
        return found
    try:
        await client.expected(known[0].code)
    except UnknownCodeError:
        text = (
            f"it knows the codes, but not where they belong: a proxy in front of it drops the header {HEADER} "
            "(nginx: underscores_in_headers on;)"
        )
        return [*found, Check("problem", text)]
    return [*found, Check("ok", f"it knows the codes of {len(known)} of {len(rigs)} miners")]
