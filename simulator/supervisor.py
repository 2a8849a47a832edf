"""What brings a mining process back that ended while its control board stayed up."""

from __future__ import annotations

from collections.abc import Callable

from simulator.miner import Miner
from simulator.process import MiningProcess


class Supervisor:
    """Ends the process and starts it again; a start that was due is void once it is ended again."""

    def __init__(self, miner: Miner, process: MiningProcess, start: Callable[[], None]) -> None:
        self._miner = miner
        self._process = process
        self._start = start
        self._run = 0

    def stop(self) -> None:
        """End the process; only `restart_in` brings it back."""
        self._run += 1
        self._process.stop()

    def restart_in(self, seconds: float) -> None:
        """End the process, and start it so many device seconds later, unless power is lost before."""
        self.stop()
        self._miner.sync_listeners()
        run = self._run
        self._miner.after(seconds, lambda: self._start() if run == self._run else None)
