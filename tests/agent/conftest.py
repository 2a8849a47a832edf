"""A simulated farm, for the tests of what is done to one by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from simulator.farm import Farm
from tests.agent.onfarm import simulated


@pytest.fixture
async def farm() -> AsyncIterator[Farm]:
    async with simulated("antminer/s21,antminer/s9,antminer/l7,foreign/braiins") as (farm, _, _):
        yield farm
