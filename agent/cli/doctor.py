"""`miner-agent doctor`: is everything as the agent needs it? In words, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agent.cli.answers import DONE, FAILED, Ended
from agent.cli.checks.cloud import cloud_check
from agent.cli.checks.farm import miners_check, ranges_check, rigs_check, sink_check
from agent.cli.checks.findings import OK, PROBLEM, WARNING, Finding
from agent.cli.checks.host import (
    daemon_check,
    files_check,
    host_check,
    may_act_as,
    metrics_check,
    proxy_check,
    state_check,
    subscriptions_check,
    user_check,
)
from agent.cli.commands import stopped
from agent.cli.foreground import StoppedError, run
from agent.config.file import ConfigError, load, why
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.host.version import agent_version
from agent.sinks.registry import SINKS
from agent.update.check import updates_here
from agent.update.managed import ReleaseHost
from contract.clock import Clock, SystemClock
from contract.texts import counted
from service.hostuser import HostUser, acting_as, myself, owner_of


def run_doctor(path: Path, user: HostUser | None) -> Ended:
    """Check what this config needs, for the user that the agent runs as. Exit 0 unless there is a problem."""
    set_up(LogSection(level="error"))
    try:
        findings = run(examine(path, SystemClock(), user))
    except StoppedError as error:
        return stopped(error)
    problems = sum(each.level == PROBLEM for each in findings)
    warnings = sum(each.level == WARNING for each in findings)
    ok = not problems
    document = {"ok": ok, "checks": msgspec.to_builtins(findings)}
    lines = [f"{each.level:<8} {each.subject}: {each.text}" for each in findings]
    lines.append(
        f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}"
        + (": the agent can run" if ok else "")
    )
    return (DONE if ok else FAILED), document, "\n".join(lines)


async def examine(
    path: Path, clock: Clock, user: HostUser | None = None, *, host: ReleaseHost | None = None
) -> list[Finding]:
    """Everything, in the order in which it should be put right. `user` is who the agent runs as; where none is named,
    whose the state folder is. `host` is this one, unless a test plays another.
    """
    try:
        config = load(path)
    except ConfigError as error:
        return [Finding(PROBLEM, "config", str(error))]
    findings = [Finding(OK, "config", f"{path} is well formed")]
    folder, who, settings = config.state.dir, user or myself(), None
    with _catching(findings, "user"):
        who = user or owner_of(folder) or myself()
        findings.append(user_check(who, folder, path))
        findings += proxy_check(config, path, who)
        findings += files_check(config, path, who)
    if may_act_as(who):
        with _catching(findings, "state folder"), acting_as(who):
            findings.extend(state_check(folder, config, who))
    runs = False
    with _catching(findings, "daemon"):
        findings.append(daemon := await daemon_check(config, path))
        runs = daemon.level == OK
        findings += metrics_check(config, runs=runs)
    with _catching(findings, "subscriptions"):
        findings += subscriptions_check(config, runs=runs)
    with _catching(findings, "host"):
        findings.extend(host_check(clock))
    with _catching(findings, "cloud"):
        cloud, settings = await cloud_check(config, path)
        findings += cloud
    with _catching(findings, "updates"):
        is_well, words = await updates_here(config, host or ReleaseHost())
        findings.append(Finding(OK if is_well else WARNING, "updates", words))
    with _catching(findings, "ranges"):
        findings.extend(ranges_check(config, settings))
    for sink in SINKS:
        with _catching(findings, sink.title):
            findings += await sink_check(sink, config)
    with _catching(findings, "rigs"):
        findings += await rigs_check(config, clock)
    with _catching(findings, "miners"):
        findings += await miners_check(config, clock)
    return findings


@contextmanager
def _catching(findings: list[Finding], subject: str) -> Iterator[None]:
    """What goes wrong in one check is a finding, and the others follow."""
    try:
        yield
    except ConfigError as error:
        findings.append(Finding(PROBLEM, subject, str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        findings.append(Finding(PROBLEM, subject, f"{where}{why(error)}"))
    except Exception as error:  # noqa: BLE001 our bug, told in a line: who runs the doctor needs the other findings
        text = f"this check broke off ({type(error).__name__}: {str(error)[:200]}), which is a fault of "
        findings.append(
            Finding(PROBLEM, subject, f"{text}miner-agent {agent_version()}: report it")
        )
