"""The fake network as a test holds it: a process of its own, asked and ordered over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests import warm
from tests.agent.subscriptions.sui.golden import ADDRESS
from tests.waiting import until

BADGES = {f"0x{0xBAD0 + each:064x}": each for each in (1, 2)}
COINS = {f"0x{0xC0 + each:064x}": 10**8 * each for each in (1, 2, 3)}
RICHEST = f"0x{0xC3:064x}"


class FakeSui:
    """`look()` keys: given, refused, executed, subscriptions, balances, held, asked, faults (fake/server.py)."""

    def __init__(self, port: int, control: int, session: aiohttp.ClientSession) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"
        self._control = f"http://127.0.0.1:{control}/control"
        self._session = session

    async def order(self, order: str, **arguments: Any) -> dict[str, Any]:
        async with self._session.post(self._control, json={"order": order, **arguments}) as reply:
            assert reply.status == 200, await reply.text()
            found: dict[str, Any] = await reply.json()
            return found

    async def look(self) -> dict[str, Any]:
        return await self.order("look")

    async def fault(self, root: str, *kinds: str) -> None:
        """What the next requests for this root field meet."""
        await self.order("set", faults={root: list(kinds)})

    async def held(self, root: str) -> None:
        """Wait until a request for this root field is held."""

        async def is_held() -> bool:
            return bool((await self.look())["held"] == root)

        await until(is_held)


@asynccontextmanager
async def fake_sui(abi: str = "per_unit", **setup: Any) -> AsyncIterator[FakeSui]:
    """A network with one sender, its badges (unless others are given), its coins, and three classes of work."""
    process = await warm.started("tests.agent.subscriptions.sui.fake.server")
    try:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), 60)
        async with aiohttp.ClientSession() as session:
            fake = FakeSui(**json.loads(said), session=session)
            tasks = {"1": {}, "2": {}, "3": {"deprecated": True}}
            given = {"owner": ADDRESS, "badges": BADGES, "coins": COINS, "tasks": tasks, "abi": abi}
            await fake.order("setup", **{**given, **setup})
            yield fake
    finally:
        process.kill()
        await process.wait()
