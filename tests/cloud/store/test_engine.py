"""The door to the database, when whoever asks is cancelled."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import sqlalchemy as sa

from cloud.store.engine import DATABASE_NAME, Store, sqlite_url

TURNS = 40  # turns of the loop that opening and a transaction take at most


def _open_files(path: Path) -> int:
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            found += str(each.readlink()).startswith(str(path))
        except FileNotFoundError:  # the one of this very listing
            continue
    return found


async def test_whoever_is_cancelled_leaves_no_connection_behind(tmp_path: Path):
    store = Store.at(sqlite_url(tmp_path))

    async def ask() -> None:
        async with store.write() as connection:
            await connection.execute(sa.text("SELECT 1"))

    gc.disable()  # which closes in silence what is left half open
    try:
        for turns in range(TURNS):
            asking = asyncio.create_task(ask())
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
            await store.close()
            assert _open_files(tmp_path / DATABASE_NAME) == 0, turns
    finally:
        gc.enable()
    await ask()
    await store.close()
