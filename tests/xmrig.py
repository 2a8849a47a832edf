"""A real XMRig, for the tests that want one. No package has it, so that they are skipped without it in CI as well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

VARIABLE: Final = "MINER_AGENT_XMRIG"
XMRIG: Final = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
needs_xmrig: Final = pytest.mark.skipif(XMRIG is None, reason=f"{VARIABLE} names no XMRig")
