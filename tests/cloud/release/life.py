"""One process of an agent on a played host, to be stopped or killed:
`python -m tests.cloud.release.life CONFIG HOST [before|beside|after]`.

It runs the release that `current` leads to there. With a third word it kills itself with -9: before it asks root's
installer, with the request written and not yet in its place, or after that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from agent.config.file import load
from agent.daemon import run
from agent.update.root_installer import RootInstaller
from contract.clock import SystemClock
from release.handover import REQUEST, UpdateRequest
from service.notify import Notifier
from tests.agent.update.host import process_of


def die_at(moment: str) -> None:
    ask, replace = RootInstaller.ask, Path.replace

    def asked(installer: RootInstaller, request: UpdateRequest) -> None:
        if moment != "before":
            ask(installer, request)
        os.kill(os.getpid(), signal.SIGKILL)

    def replaced(path: Path, target: Path) -> Path:
        if Path(target).name == Path(REQUEST).name:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    patch = pytest.MonkeyPatch()
    patch.setattr(RootInstaller, "ask", asked)
    if moment == "beside":
        patch.setattr(Path, "replace", replaced)


def main(config: Path, host: Path, moment: str | None = None) -> None:
    if moment is not None:
        die_at(moment)
    root = (host / "root.json").read_bytes()
    loaded = load(config)
    facts = process_of(host, state=loaded.state.dir, root=lambda: root)
    asyncio.run(run(loaded, SystemClock(), Notifier({}), host=facts))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *sys.argv[3:])
