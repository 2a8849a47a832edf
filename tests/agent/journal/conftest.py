"""All that is tested of the journal holds on its newest schema and on the one before, which a release works on until it is
proven.
"""

from __future__ import annotations

import pytest

from agent.journal.migrations import NEWEST
from tests.agent.journals import hold_back


@pytest.fixture(params=[NEWEST, NEWEST - 1], ids=["newest", "before"], autouse=True)
def schema(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The one that the journals of this test have."""
    number = int(request.param)
    if number < NEWEST:
        hold_back(monkeypatch)
    return number
