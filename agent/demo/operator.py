"""The demo's operator: a small client of the public Nonce API, with a key like any other."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from agent.demo.stage import Stage, StageError


class DeclinedError(StageError):
    """The cloud said no, with this status."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


class Operator:
    """Creates batches and looks at what became of them, in one farm."""

    def __init__(self, stage: Stage, farm_id: str | None = None) -> None:
        """`farm_id`: another farm than the stage's."""
        workspace = f"{stage.cloud_url}/private-api/v1/{stage.workspace_id}"
        self._farm = f"{workspace}/farms/{farm_id or stage.farm_id}"
        self._session = aiohttp.ClientSession(
            headers={"x-api-key": stage.api_key}, timeout=aiohttp.ClientTimeout(total=30)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def miners(self) -> list[dict[str, Any]]:
        """All miners of the farm, as ListMiners shows them."""
        reply = await self.ask("GET", "/miner/latest?pageSize=10000")
        return list(reply["data"])

    async def create(
        self, task_name: str, miner_ids: list[str] | None, params: dict[str, Any] | None
    ) -> tuple[str | None, dict[str, int]]:
        """Create a batch; give its id (`None` when every miner was skipped) and the skips by reason."""
        body: dict[str, Any] = {"task_name": task_name}
        if miner_ids is not None:
            body["miner_ids"] = miner_ids
        if params is not None:
            body["params"] = params
        reply = await self.ask("POST", "/tasks/batches", json=body)
        skipped = {
            each["reason"]: len(each["miner_ids"]) for each in reply["meta"].get("skipped", [])
        }
        return (str(reply["data"][0]["batch_id"]) if reply["data"] else None), skipped

    async def batches(self) -> list[dict[str, Any]]:
        """Every batch of the farm, with status and counts."""
        reply = await self.ask("GET", "/tasks/batches?pageSize=10000")
        return list(reply["data"])

    async def batch(self, batch_id: str) -> dict[str, Any]:
        """Status and counts of a batch."""
        reply = await self.ask("GET", f"/tasks/batches/{batch_id}")
        return dict(reply["data"])

    async def tasks(self, batch_id: str) -> list[dict[str, Any]]:
        """Every task of a batch, with times, result and error."""
        reply = await self.ask("GET", f"/tasks/batches/{batch_id}/tasks?pageSize=10000")
        return list(reply["data"])

    async def tasks_of(self, miner_id: str) -> list[dict[str, Any]]:
        """Every task of a miner, also those that arose on site."""
        reply = await self.ask("GET", f"/miners/{miner_id}/tasks?pageSize=10000")
        return list(reply["data"])

    async def expect(self, rig_id: str, expected: Mapping[str, str]) -> None:
        """Say what a monitored machine is expected to do."""
        await self.ask("PUT", f"/rigs/{rig_id}/expected-status", json=dict(expected))

    async def give_playbook(self, rig_id: str, playbook: Mapping[str, str]) -> None:
        """Make a playbook, and have a rig mine by it."""
        made = await self.ask("POST", "/playbooks", json=dict(playbook))
        await self.ask("PUT", f"/rigs/{rig_id}/playbooks/{made['data']['id']}")

    async def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """One call, of a path below the farm; `more` as aiohttp takes it. Raises DeclinedError for all but 200."""
        async with self._session.request(method, self._farm + path, **more) as reply:
            body = await reply.json()
            if reply.status != 200:
                raise DeclinedError(
                    f"{method} {path} answered {reply.status}: {body}", reply.status
                )
            return dict(body)
