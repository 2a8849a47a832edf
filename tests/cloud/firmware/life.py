"""One process of an agent with a miner in memory, to be killed: `python -m tests.cloud.firmware.life URL TOKEN FOLDER`.

What is written to the miner is a line of FOLDER/book.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agent.config.firmware import FirmwareSection
from agent.firmware.download import WebDownloader
from agent.firmware.servers import FileServers
from agent.journal import Journal
from agent.link.client import CloudLink
from agent.tasks.path import TaskPath
from contract.clock import SystemClock
from tests.agent.farm import FakeFarm
from tests.agent.policies import policy_with


class Book(list[str]):
    """A ledger that outlives its process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def append(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{line}\n")


async def main(url: str, token: str, folder: Path) -> None:
    farm, clock = FakeFarm(1), SystemClock()
    farm.miners[0].ledger = Book(folder / "book")
    path = TaskPath(
        Journal(folder / "journal.db", clock, ballast_bytes=4096),
        CloudLink(url, token),
        farm,
        farm,
        WebDownloader(FileServers(FirmwareSection(), cloud_url=url)),
        policy_with(),
        clock,
        folder,
    )
    await path.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
