"""Programs of the host that a test needs."""

from __future__ import annotations

import os
import shutil

import pytest


def require(*commands: str, root: bool = False) -> None:
    """Skip where one of them, or the right of root, is missing; fail where nothing may be skipped."""
    missing = [each for each in commands if shutil.which(each) is None]
    if root and os.geteuid() != 0:
        missing.append("the right of root")
    if not missing:
        return
    reason = f"needs {', '.join(missing)}"
    if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
