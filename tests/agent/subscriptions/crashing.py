"""One submission in a process of its own, which is killed at one of its steps: `main FOLDER URL SUBMISSION FUSE`.

A step is the beginning or the end of what touches the disk or the cloud. Prints the digest once it is answered; with a
fuse of -1 it lives, and says how many steps there were.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.link.client import CloudLink
from agent.subscriptions import key
from agent.subscriptions.file import TransactionFile
from agent.subscriptions.ledger import SubmissionFailedError
from contract.clock import SystemClock
from tests.agent.subscriptions.stage import REGISTER, Agent, subscribe, unsubscribe

SUBMISSIONS = {"register": REGISTER, "subscribe": subscribe(1), "unsubscribe": unsubscribe(2)}


class Fuse:
    """Ends this process after so many steps, without a chance to say anything."""

    def __init__(self, steps: int) -> None:
        self.left, self.steps = steps, 0

    def step(self) -> None:
        self.steps += 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **more: Any) -> Any:
            self.step()
            result = work(*args, **more)
            self.step()
            return result

        return stepped

    def around_async(self, work: Callable[..., Any]) -> Callable[..., Any]:
        async def stepped(*args: Any, **more: Any) -> Any:
            self.step()
            result = await work(*args, **more)
            self.step()
            return result

        return stepped


async def submit(folder: Path, url: str, name: str, fuse: Fuse) -> None:
    TransactionFile._commit = fuse.around(TransactionFile._commit)
    key.write_whole = fuse.around(key.write_whole)
    link = CloudLink(url, "token", timeout_s=2.0)
    link.ledger = fuse.around_async(link.ledger)
    link.record = fuse.around_async(link.record)
    here = Agent(folder, link, SystemClock())
    try:
        print(await here.ledger.submit(SUBMISSIONS[name]), flush=True)
    except SubmissionFailedError as error:
        print(f"failed: {error}", flush=True)
    await here.store.close()
    await link.close()
    print(fuse.steps, flush=True)


def main() -> None:
    folder, url, name, steps = sys.argv[1:]
    asyncio.run(submit(Path(folder), url, name, Fuse(int(steps))))
