"""`miner-agent self-test`: would this release run here? In words, and as one document for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agent.cli.answers import DONE, FAILED, Ended
from agent.cli.commands import stopped
from agent.cli.foreground import StoppedError, run
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.host.version import agent_version
from agent.selftest.checks import self_test
from contract.clock import SystemClock
from contract.texts import counted
from service.install.own import own_release


def run_self_test(path: Path) -> Ended:
    """Exit 0 where every check is well. `error` of the document has the words of those that failed."""
    set_up(LogSection(level="error"))
    own = own_release()
    try:
        checks = run(self_test(path, SystemClock(), own))
    except StoppedError as error:
        return stopped(error)
    failed = [f"{each.check}: {each.text}" for each in checks if not each.ok]
    document: dict[str, Any] = {
        "ok": not failed,
        "version": agent_version(),
        "sha256": None if own is None else own.sha256,
        "checks": msgspec.to_builtins(checks),
    }
    lines = [
        f"{'ok' if each.ok else 'failed':<7} {each.check}: {each.text} ({each.seconds:.2f} s)"
        for each in checks
    ]
    if failed:
        document["error"] = {"message": "; ".join(failed)}
        return FAILED, document, "\n".join([*lines, counted(len(failed), "failure")])
    return DONE, document, "\n".join([*lines, "this release can run here"])
