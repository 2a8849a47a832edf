"""Scenes on a disk that fails, played in a mount namespace of their own: `python bad_disk.py SCENE FOLDER [before]`.

Prints one JSON line of what was seen. `before`: on the journal's schema before the newest.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Journal
from agent.subscriptions.file import TransactionStoreError
from agent.subscriptions.store import TransactionStore
from contract.clock import SystemClock
from contract.task import TaskName
from service.ownfolder import ForeignFolderError, check_files
from tests.agent.fake_cloud import code
from tests.agent.journals import found, hold_back
from tests.agent.policies import policy_with
from tests.agent.stage import Site
from tests.agent.subscriptions.test_store import transaction
from tests.waiting import until

BALLAST = 256 * 1024


def make_site(folder: Path) -> Site:
    journal = Journal(folder / "journal.db", SystemClock(), ballast_bytes=BALLAST)
    return Site(folder, journal=journal, policy=policy_with(stop_within_s=1.0))


def remount(folder: Path, mode: str) -> None:
    """`ro` or `rw`, from now on."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take every byte there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        size = 64 * 1024
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    return path


async def full(folder: Path) -> dict[str, Any]:
    """The disk fills while one task writes and another is about to."""
    at = make_site(folder)
    at.start()
    await at.path.ready()
    running, waiting, later = at.farm.miners
    running.gate["write"] = asyncio.Event()
    waiting.gate["connect"] = asyncio.Event()
    begun = at.task(0, name=TaskName.REBOOT, params={})
    not_begun = at.task(1)
    await until(lambda: running.at_once == 1 and "apply" in waiting.trace)
    filler = fill(folder)
    # What is written from now on needs pages that are not there, sooner or later: let there be much.
    noisy = 0
    while at.journal.trouble is None and noisy < 2000:
        noisy += 1
        await at.journal.note(begun, f"note_{noisy}", "x" * 2000)
    trouble = at.journal.trouble
    waiting.gate["connect"].set()
    refused = await at.cloud.ended(not_begun)
    running.gate["write"].set()
    settled = await at.cloud.ended(begun)
    asked = len(at.cloud.claims)
    at.cloud.poke()
    await until(lambda: len(at.cloud.claims) > asked)
    room = at.cloud.claims[-1].room
    queued = at.task(2, name=TaskName.REBOOT, params={})
    notices = at.path.notices
    filler.unlink()
    recovered = await at.cloud.ended(queued, within_s=20.0)
    seen = {
        "trouble": trouble,
        "refused": [refused.state, code(refused), waiting.ledger],
        "settled": [settled.state, running.ledger],
        "room": room,
        "notices": notices,
        "recovered": [recovered.state, later.ledger, at.journal.trouble],
        "journal": at.journal.journal_id,
    }
    await at.stop()
    again = Journal(folder / "journal.db", SystemClock(), ballast_bytes=BALLAST)
    await again.open()
    seen["same_journal"] = again.journal_id == seen["journal"]
    seen["kept"] = (await found(again, begun)).status
    await again.close()
    return seen


async def read_only(folder: Path) -> dict[str, Any]:
    """The agent starts on a folder it cannot write, and somebody repairs the mount."""
    await asyncio.to_thread(remount, folder, "ro")
    at = make_site(folder)
    at.start()
    await until(lambda: at.journal.trouble is not None)
    trouble = at.journal.trouble
    task = at.task()
    beat = at.journal.heartbeat_mono
    await until(lambda: at.journal.heartbeat_mono > beat)
    claims = len(at.cloud.claims)
    await asyncio.to_thread(remount, folder, "rw")
    event = await at.cloud.ended(task, within_s=20.0)
    await at.stop()
    return {"trouble": trouble, "claims": claims, "state": event.state}


async def subscriptions(folder: Path) -> dict[str, Any]:
    """A transaction is about to be sent on a disk without room for it, then on one that cannot be written."""
    store = TransactionStore(folder / "subscriptions.db", SystemClock())
    await store.open()
    await store.add(transaction("before"))
    filler, said = fill(folder), []

    async def tried(digest: str) -> None:
        try:
            await store.add(replace(transaction(digest), payload=bytes(100_000)))
        except TransactionStoreError as error:
            said.append(str(error))

    await tried("on a full disk")
    filler.unlink()
    await tried("with room")
    await store.close()
    await asyncio.to_thread(remount, folder, "ro")
    store = TransactionStore(folder / "subscriptions.db", SystemClock())
    await tried("on a disk that cannot be written")
    await store.close()
    await asyncio.to_thread(remount, folder, "rw")
    store = TransactionStore(folder / "subscriptions.db", SystemClock())
    kept = [each.tx_digest for each in await store.pending("local")]
    await store.close()
    return {"said": said, "kept": kept}


async def begins(folder: Path) -> dict[str, Any]:
    """What the daemon says at its start to a folder on such a disk."""

    def said() -> str | None:
        try:
            check_files(folder, {"filler"})
        except ForeignFolderError as error:
            return str(error)
        return None

    fill(folder)
    seen = {"full": said()}
    await asyncio.to_thread(remount, folder, "ro")
    return seen | {"read_only": said()}


if __name__ == "__main__":
    if sys.argv[3:] == ["before"]:
        hold_back(pytest.MonkeyPatch())
    scene = {
        "full": full,
        "read_only": read_only,
        "begins": begins,
        "subscriptions": subscriptions,
    }[sys.argv[1]]
    print(json.dumps(asyncio.run(scene(Path(sys.argv[2])))))
