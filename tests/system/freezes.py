"""An agent in which one part freezes at the first change of a miner: `python freezes.py PART run --config FILE`.

PART: `slot` (the exchange hangs and does not even heed its cancellation), `loop` (the event loop stands
still), `writer` (the journal's thread stands still).
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from typing import Any

from agent.cli.app import main
from agent.journal.writer import Job, Need, Writer
from drivers import wire


def _put(owner: Any, name: str, value: Any) -> None:
    """In place of what the house has there, for as long as this process lives."""
    assert hasattr(owner, name), name
    setattr(owner, name, value)


def freeze_slot() -> None:
    """Nothing ends this exchange."""

    async def _change(self: wire.Wire, *args: Any, **more: Any) -> Any:
        del self, args, more
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    _put(wire.Wire, "_change", _change)


def freeze_loop() -> None:
    """A call that blocks, in the wrong place."""

    async def _change(self: wire.Wire, *args: Any, **more: Any) -> Any:
        del self, args, more
        threading.Event().wait()

    _put(wire.Wire, "_change", _change)


def freeze_writer() -> None:
    """A disk that neither works nor fails."""
    whole = Writer._commit

    def commit(self: Writer, batch: Sequence[Job]) -> None:
        if any(job.need is Need.BEGIN for job in batch):
            threading.Event().wait()
        whole(self, batch)

    _put(Writer, "_commit", commit)


if __name__ == "__main__":
    {"slot": freeze_slot, "loop": freeze_loop, "writer": freeze_writer}[sys.argv.pop(1)]()
    main()
