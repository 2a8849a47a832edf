"""The cloud: whether it is reached, knows this agent, and what it wishes."""

from __future__ import annotations

from pathlib import Path

from agent.cli.checks.findings import OK, PROBLEM, Finding
from agent.config.file import Config, ConfigError
from agent.config.keyfiles import check_cloud_ca
from agent.link.enroll import membership
from agent.link.trust import fingerprints_in
from agent.ports import CloudError
from contract.link import Settings


async def cloud_check(config: Config, path: Path) -> tuple[list[Finding], Settings | None]:
    """And the cloud's wishes, where it tells them."""
    from agent.link.configured import open_link

    enroll = "miner-agent enroll --code CODE"
    if config.cloud.url is None:
        enroll += " --cloud URL"
    enroll += f" --config {path}"
    if not config.token_file.exists():
        return [
            Finding(
                PROBLEM,
                "cloud",
                "this agent is not enrolled; get a code from the cloud (miner-cloud enroll-code) "
                f"and run: {enroll}",
            )
        ], None
    try:
        check_cloud_ca(config)
        link = open_link(config)
        member = membership(config.token_file)
        known_by = _known_by(config)
    except (ConfigError, ValueError) as error:
        return [Finding(PROBLEM, "cloud", str(error))], None
    try:
        settings = await link.settings()
    except CloudError as error:
        text = str(error)
        if error.status in (401, 403):
            text += f"; run: {enroll}"
        elif error.status is None:
            text += "; check url in [cloud], the network, and that the cloud runs"
        return [Finding(PROBLEM, "cloud", text)], None
    finally:
        await link.close()
    findings = [Finding(OK, "cloud", f"{config.cloud.url} knows this agent{known_by}")]
    if member is not None:
        findings.append(Finding(OK, "farm", f"agent {member.agent_id} of farm {member.farm_id}"))
    return findings, settings


def _known_by(config: Config) -> str:
    """By which authority the agent knows its cloud, as the end of a sentence."""
    if config.cloud.ca_file is not None:
        return f", and is known by {config.cloud.ca_file}"
    prints = fingerprints_in(config.cloud_ca)
    return f", and is known by the authority sha256 {' or '.join(prints)}" if prints else ""
