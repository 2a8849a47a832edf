"""`miner-agent self-test`: would this release run here? In words, and as one document for whoever starts it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.cli.answers import DONE, FAILED, Ended
from agent.cli.commands import stopped
from agent.cli.foreground import StoppedError, run
from agent.cli.render import counted
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.host.version import agent_version
from agent.selftest.checks import self_test
from contract.clock import SystemClock
from service.install.own import own_release


def run_self_test(path: Path) -> Ended:
    """Exit 0 where every check is well."""
    set_up(LogSection(level="error"))
    own = own_release()
    try:
        checks = run(self_test(path, SystemClock(), own))
    except StoppedError as error:
        return stopped(error)
    failures = sum(not each.ok for each in checks)
    document = {
        "ok": not failures,
        "version": agent_version(),
        "sha256": None if own is None else own.sha256,
        "checks": msgspec.to_builtins(checks),
    }
    lines = [
        f"{'ok' if each.ok else 'failed':<7} {each.check}: {each.text} ({each.seconds:.2f} s)"
        for each in checks
    ]
    lines.append(
        f"{counted(failures, 'failure')}{'' if failures else ': this release can run here'}"
    )
    return (FAILED if failures else DONE), document, "\n".join(lines)
