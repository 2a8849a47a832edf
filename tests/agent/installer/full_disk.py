"""An update on a real disk that fills at one of its steps, and has room again later, in a mount namespace of its own:
`full_disk.py FOLDER PART STEP [well]`. `PART` is the folder of the host that is a disk by itself.

Prints one JSON line of what was seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.agent.bad_disk import fill
from tests.agent.installer.disks import UnsyncedDisk
from tests.agent.installer.trial import Trial


class FillingDisk(UnsyncedDisk):
    """Full, to the last name, from the first operation at that step on."""

    def __init__(self, trial: Trial, part: Path, step: str) -> None:
        self._trial = trial
        self._part = part
        self._step = step
        self.fillers: list[Path] = []

    def before(self, what: str, path: Path, **more: Any) -> None:
        if not self.fillers and self._trial.step == self._step:
            self.fillers.append(fill(self._part))
            try:
                for number in range(10_000):
                    filler = self._part / f".filler{number}"
                    filler.touch()
                    self.fillers.append(filler)
            except OSError:
                return


def scene(root: Path, part: str, step: str, is_well: str = "") -> dict[str, Any]:
    (root / part).mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=96m,nr_inodes=2000", "none", str(root / part)]
    subprocess.run(words, check=True)
    trial = Trial.made(root, **({} if is_well else {"dies_s": 1, "ready_s": None}))
    disk = FillingDisk(trial, root / part, step)
    trial.system.before = disk.before
    try:
        trial.run(disk, tried=trial.quick_self_test)
        trouble = None
    except OSError as error:
        trouble = error.strerror
    seen = {
        "trouble": trouble,
        "full": [trial.current, trial.proven, trial.system.facts["version"]],
    }
    for each in disk.fillers:
        each.unlink()
    trial = Trial(root)
    trial.run(tried=trial.quick_self_test)
    return seen | {"wrongs": trial.wrongs(good=bool(is_well)), "verdict": trial.outcome.verdict}


if __name__ == "__main__":
    print(json.dumps(scene(Path(sys.argv[1]), *sys.argv[2:])))
