"""A rig's service on a disk of 2 MB that its program fills: `python -m tests.agent.rig.full_disk FOLDER`.

Prints one JSON line of what was seen.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from agent.rig.client import RigService
from agent.rig.shapes import ProgramState
from tests.agent.rig.stage import GOOD, RigStage, entry, is_alive
from tests.waiting import until

_MEGABYTE = 1 << 20


async def play(folder: Path) -> dict[str, Any]:
    stage = RigStage(folder, "log_max_mb = 1\nfile_max_mb = 2")

    def free() -> int:
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    async with stage.running():
        (verdict,) = await stage.apply(entry(GOOD.format(how="chatty")))
        assert verdict.pid is not None, verdict
        await until(lambda: free() == 0)
        await until(lambda: free() > _MEGABYTE)  # its log was emptied, and no copy kept
        await until(lambda: free() == 0)
        seen = {
            "goes_on": is_alive(verdict.pid) and (await stage.only()).pid == verdict.pid,
            "copy": stage.log.with_name("XMRig.log.1").exists(),
        }
        async with RigService(stage.socket) as service:
            stopped = await service.stop("XMRig")
        seen["ended"] = stopped.state is ProgramState.STOPPED and not is_alive(verdict.pid)
    seen["on_disk"] = stage.recorded()["wish"]["is_stopped_by_hand"]
    stage.end_all()
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(play(Path(sys.argv[1])))) + "\n")
