"""A library as its manager fills it, over the API, and orders from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cloud.firmware.images import FOLDER
from tests.cloud.conftest import Cloud

DATA = bytes(range(256)) * 2000
SHA = hashlib.sha256(DATA).hexdigest()
IMAGE: dict[str, Any] = {
    "name": "s19-2025",
    "make": "Bitmain",
    "models": ["S19*"],
    "file_name": "s19.bmu",
    "size_bytes": len(DATA),
    "sha256": SHA,
}


@dataclass
class Shelf:
    """Of one cloud, with the key of a workspace."""

    cloud: Cloud
    key: str
    workspace_id: str

    async def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        url = f"{self.cloud.base}/private-api/v1/{self.workspace_id}{path}"
        headers = {"x-api-key": self.key, **more.pop("headers", {})}
        async with self.cloud.http.request(method, url, headers=headers, **more) as answer:
            body = await answer.json()
            assert answer.status == status, body
            return body if status < 400 else body["message"]

    async def announce(self, *, status: int = 200, **words: Any) -> Any:
        return await self.ask("POST", "/firmware", json=IMAGE | words, status=status)

    async def put(
        self,
        data: bytes = DATA,
        span: str | None = None,
        *,
        name: str = IMAGE["name"],
        status: int = 200,
    ) -> Any:
        span = f"0-{len(data) - 1}/{len(data)}" if span is None else span
        path = f"/firmware/{quote(name, safe='')}/file"
        headers = {"Content-Range": f"bytes {span}"}
        return await self.ask("PUT", path, data=data, headers=headers, status=status)

    async def add(self, data: bytes = DATA, **words: Any) -> dict[str, Any]:
        """One that is whole; gives what it is shown as."""
        sha256 = hashlib.sha256(data).hexdigest()
        made = await self.announce(**{"size_bytes": len(data), "sha256": sha256, **words})
        name = made["data"]["name"]
        assert (await self.put(data, name=name))["complete"] is True
        item: dict[str, Any] = await self.get(name)
        return item

    async def get(self, name: str, *, status: int = 200) -> Any:
        answer = await self.ask("GET", f"/firmware/{quote(name, safe='')}", status=status)
        return answer["data"] if status == 200 else answer

    async def remove(self, name: str = IMAGE["name"], *, status: int = 200) -> Any:
        return await self.ask("DELETE", f"/firmware/{quote(name, safe='')}", status=status)

    async def order(
        self, *miner_ids: str, status: int = 200, more: dict[str, Any] | None = None, **params: Any
    ) -> Any:
        body = {
            "task_name": "miner.firmware.update",
            "miner_ids": list(miner_ids),
            "params": {"firmware": IMAGE["name"]} | params,
            **(more or {}),
        }
        path = f"/farms/{self.cloud.farm_id}/tasks/batches"
        return await self.ask("POST", path, json=body, status=status)

    async def tasks_of(self, batch_id: str) -> Any:
        path = f"/farms/{self.cloud.farm_id}/tasks/batches/{batch_id}"
        return (await self.ask("GET", path))["data"]

    def file(self, sha256: str = SHA) -> Path:
        return self.cloud.settings.data / FOLDER / self.workspace_id / sha256


def shelf_of(cloud: Cloud) -> Shelf:
    return Shelf(cloud, cloud.key, cloud.workspace_id)


async def miner(cloud: Cloud, agent_id: str | None, **more: Any) -> str:
    """An S19, as its agent sees it."""
    return await cloud.miner(agent_id, **{"model": "Antminer S19", "drivable": True, **more})
