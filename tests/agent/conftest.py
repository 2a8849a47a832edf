"""A simulated farm, for the tests of what is done to one by hand; journals whose threads the loop of virtual time knows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from simulator.farm import Farm
from tests.agent.journals import watch_journals
from tests.agent.onfarm import simulated


@pytest.fixture(autouse=True)
def journals(monkeypatch: pytest.MonkeyPatch) -> None:
    watch_journals(monkeypatch)


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    async with simulated("antminer/s21,antminer/s9,antminer/l7,foreign/braiins") as (farm, _, _):
        yield farm
