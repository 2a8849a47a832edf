"""A self-test on a disk with room and on the same disk without, in a mount namespace of its own: `full_disk.py FOLDER`.

Prints one JSON line of what was seen.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.agent.bad_disk import fill
from tests.agent.selftest.stage import content, lived_in, said


async def scene(folder: Path) -> dict[str, Any]:
    config = await lived_in(folder)
    seen: dict[str, Any] = {"room": (await said(config))["stores"]}
    fill(folder)
    before = content(folder / "state")
    found = await said(config)
    assert "journal" not in found
    return seen | {
        "full": found["stores"],
        "unchanged": content(folder / "state") == before,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(scene(Path(sys.argv[1])))))
