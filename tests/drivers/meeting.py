"""Meeting one host as a scan does, by the one tree for all makes."""

from __future__ import annotations

from typing import Any

from contract.clock import Clock
from contract.miner import Endpoint
from drivers.base import Timing
from drivers.doors import Doors
from drivers.driver import CredentialsFor
from drivers.registry import recognise
from drivers.stranger import Stranger
from tests.virtual_time import VirtualClock


async def meet(
    endpoint: Endpoint,
    credentials: CredentialsFor,
    timing: Timing,
    *,
    clock: Clock | None = None,
    doors: Doors | None = None,
) -> Any:
    """The driver of the miner that is there; a stranger fails the test."""
    found = await recognise(
        endpoint,
        clock=clock or VirtualClock(),
        timing=timing,
        credentials=credentials,
        doors=doors,
    )
    assert not isinstance(found, Stranger), found
    return found
