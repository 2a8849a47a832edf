"""Clients as fixtures; those of the folder above (`start`, `until`, `base`) serve here too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.simulator.whatsminer.clients import V2, V3


@pytest.fixture
async def v3():
    """Makes clients of 4433 that are closed when the test ends."""
    clients: list[V3] = []

    def connect(miner: Any, **options: Any) -> V3:
        clients.append(V3(miner, **options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
        if client.writer is not None:
            await asyncio.gather(client.writer.wait_closed(), return_exceptions=True)


@pytest.fixture
def v2():
    """Makes clients of 4028."""
    return V2
