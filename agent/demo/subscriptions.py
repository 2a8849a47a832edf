"""The part of the subscriptions: a class of work that the site leaves, whose next batch waits, and takes again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp

from agent.demo.playbook import Until
from agent.demo.report import SubscriptionReport
from agent.demo.stage import BASE, StageError
from contract.clock import Clock
from contract.task import TaskName

LISTEN: Final = f"{BASE.rpartition('.')[0]}.253:3001"  # beside the simulated miners
WORK: Final = TaskName.LIGHT
_TERMS: Final = {"price_per_compute_unit": 5, "max_num_compute_units": 20}
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)


class SubscriptionPart:
    """Plays it once. `begin` creates a batch of this work and gives its id, `batch` looks at it."""

    def __init__(
        self,
        clock: Clock,
        until: Until,
        begin: Callable[[], Awaitable[str]],
        batch: Callable[[str], Awaitable[dict[str, Any]]],
    ) -> None:
        self._clock, self._until, self._begin, self._batch = clock, until, begin, batch

    async def play(self) -> SubscriptionReport:
        """Raises StageError."""
        begun_mono = self._clock.mono()
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            await _post(session, "/register", {})
            async with session.get(f"http://{LISTEN}/tasks") as reply:
                classes = {each["operation"]: each["task_small_id"] for each in await reply.json()}
            task = {"task_small_id": classes[WORK]}
            await _post(session, "/task_subscribe", task | _TERMS)
            await _post(session, "/task_unsubscribe", task)
            batch_id = await self._begin()

            async def waits() -> dict[str, int] | None:
                reasons = (await self._batch(batch_id)).get("held_reasons")
                return dict(reasons) if reasons else None

            held = await self._until(waits, f"the reason why {WORK} waits")
            await _post(session, "/task_subscribe", task | _TERMS)

        async def ended() -> dict[str, Any] | None:
            batch = await self._batch(batch_id)
            return batch if batch["status"] != "pending" else None

        batch = await self._until(ended, f"the end of {WORK}, subscribed to again")
        return SubscriptionReport(
            task_name=WORK,
            task_small_id=task["task_small_id"],
            batch_id=batch_id,
            held=held,
            status=batch["status"],
            amount=batch.get("amount"),
            seconds=round(self._clock.mono() - begun_mono, 2),
        )


def commands(task_small_id: int) -> tuple[str, ...]:
    """The same by hand."""
    task = {"task_small_id": task_small_id}
    calls = (
        ("/task_subscribe", task | _TERMS),
        ("/task_update_subscription", task | _TERMS),
        ("/task_unsubscribe", task),
    )
    return tuple(
        f"curl -X POST http://{LISTEN}{path} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
        for path, body in calls
    )


async def _post(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> None:
    async with session.post(f"http://{LISTEN}{path}", json=body) as reply:
        answer = await reply.text()
        if reply.status != 200:
            raise StageError(f"POST {path} answered {reply.status}: {answer}")
