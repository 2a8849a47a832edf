"""One life of an agent's ledger `sui`, as a process that can be killed.

    python -m tests.agent.subscriptions.sui.life URL FOLDER [TASK]

Begins the ledger, subscribes to the class of work if one is named, and waits until nothing is pending; then prints what
came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from agent.subscriptions.ledger import SubmissionFailedError
from tests.agent.subscriptions.sui.site import SUBSCRIBE, opened, submission
from tests.waiting import until


async def live(url: str, folder: Path, task: int | None) -> None:
    async with opened(url, folder) as (ledger, store):
        said = None
        if task is not None:
            try:
                said = await ledger.submit(submission(SUBSCRIBE, task))
            except SubmissionFailedError as error:
                said = error.detail

        async def is_settled() -> bool:
            return not await store.pending("sui")

        await until(is_settled)
        held = [each.task_small_id for each in await store.subscriptions("sui")]
        print(json.dumps({"said": said, "held": held}), flush=True)


def main() -> None:
    url, folder, *task = sys.argv[1:]
    asyncio.run(live(url, Path(folder), int(task[0]) if task else None))


if __name__ == "__main__":
    main()
