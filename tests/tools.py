"""What a test needs of its host: where that is missing it is skipped, and fails where nothing may be skipped."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def require(*commands: str, root: bool = False) -> None:
    """Skip where one of them, or the right of root, is missing; fail where nothing may be skipped."""
    missing = [each for each in commands if shutil.which(each) is None]
    if root and os.geteuid() != 0:
        missing.append("the right of root")
    if not missing:
        return
    lacking(f"needs {', '.join(missing)}")


def lacking(reason: str) -> NoReturn:
    """End the test: this host is not what it needs."""
    if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
