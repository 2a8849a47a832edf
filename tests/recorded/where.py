"""Where the recorded replies of real devices lie: where MINER_AGENT_RECORDINGS says, or beside this checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

NONE_HERE = "no recordings of real devices here (MINER_AGENT_RECORDINGS)"


def recordings_of(make: str) -> Path:
    """The folder of that make; it need not be there."""
    told = os.environ.get("MINER_AGENT_RECORDINGS")
    all_makes = (
        Path(told) if told else Path(__file__).resolve().parents[3] / "shared" / "recordings"
    )
    return all_makes / make


def may_read(folder: Path) -> bool:
    """Whether it is there, or must be: where everything has to run, what is missing fails by itself."""
    return folder.is_dir() or os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1"


def needs(folder: Path) -> pytest.MarkDecorator:
    """Skips what reads a folder that is not there, except where everything must run."""
    return pytest.mark.skipif(not may_read(folder), reason=NONE_HERE)
