"""A cloud whose folder of images is a disk of 1 MiB, in a mount namespace of its own: `python full_disk.py FOLDER`.

An image of 600 kB does not fit beside what is there, and goes on once that is gone. Prints one JSON line of what was
answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp.test_utils import TestServer

from cloud.config import CloudSettings
from cloud.server import create_app
from cloud.store.access import admin
from cloud.store.engine import Store, sqlite_url
from cloud.store.schema.migrate import migrate
from contract.clock import SystemClock
from tests.cloud.firmware.shelf import IMAGE

DATA = bytes(600_000)


async def main(data: Path) -> None:
    migrate(sqlite_url(data))
    store, now = Store.at(sqlite_url(data)), datetime.now(UTC)
    workspace = await admin.create_workspace(store, "W", now)
    _, key = await admin.create_key(store, workspace["id"], "K", now)
    server = TestServer(create_app(store, CloudSettings(data=data), SystemClock()))
    await server.start_server()
    root = server.make_url(f"/private-api/v1/{workspace['id']}/firmware")
    body = IMAGE | {"size_bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
    hog = data / "firmware" / "hog"
    hog.write_bytes(DATA)
    said = []
    async with aiohttp.ClientSession(headers={"x-api-key": key}) as http:
        await http.post(root, json=body)
        for _ in range(2):
            span = {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}
            async with http.put(root / IMAGE["name"] / "file", data=DATA, headers=span) as answer:
                said.append([answer.status, await answer.json()])
            hog.unlink(missing_ok=True)
    print(json.dumps(said))
    await server.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
