"""What a mining program writes into its log, in XMRig's form: the words are its own, the rest of them follow it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from simulator.rig.catalogue import ProgramJob
from simulator.rig.work import MiningRun

_SPEED_S: Final = 60.0


class Chatter:
    """Watches one run, and has a line for what it noticed."""

    def __init__(self, run: MiningRun) -> None:
        self.run = run
        self._connected = False
        self._paused = False
        self._accepted = run.accepted()
        self._spoke = run.rig.now()

    def opening(self, arguments: Sequence[str]) -> list[str]:
        """What it begins with."""
        job: ProgramJob = self.run.job
        return [
            f" * ABOUT        {job.software}/{job.version} gcc/13.2.1 (built for Linux x86-64)",
            f" * CPU          {self.run.rig.cpu.name} ({self.run.rig.cpu.packages}) 64-bit AES",
            f" * POOL #1      {job.algorithms[0].pool} algo {job.algorithms[0].name}",
            f" * ARGUMENTS    {len(arguments)}",
        ]

    def lines(self) -> list[str]:
        """What happened since it was last asked."""
        run, found = self.run, []
        pool = run.job.algorithms[0]
        if run.is_connected != self._connected:
            self._connected = run.is_connected
            text = f"use pool {pool.pool}" if self._connected else "no active pools, stop mining"
            found.append(self._line("net", text))
        if run.paused != self._paused:
            self._paused = run.paused
            found.append(self._line("miner", "paused" if self._paused else "resumed"))
        if (accepted := run.accepted()) > self._accepted:
            self._accepted = accepted
            text = f"accepted ({accepted}/{run.rejected()}) diff 130912 (54 ms)"
            found.append(self._line("cpu", text))
        if run.rig.now() - self._spoke >= _SPEED_S:
            self._spoke = run.rig.now()
            rate = run.cpu_hs() + sum(run.gpu_hs())
            text = f"speed 10s/60s/15m {rate:.1f} {rate:.1f} n/a H/s max {rate:.1f} H/s"
            found.append(self._line("miner", text))
        return found

    def _line(self, who: str, text: str) -> str:
        at = datetime.fromtimestamp(self.run.rig.unix(), UTC)
        return f"[{at:%Y-%m-%d %H:%M:%S}.000]  {who:<8} {text}"
