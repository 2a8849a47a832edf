"""What a newer release is compared with besides the version: the platform of this host, and when ours was built.

Nothing here needs what verifies releases, which takes time and memory to load.
"""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from contract.clock import from_text
from service.install.release import Stamp

OS_RELEASE: Final = Path("/etc/os-release")
_OS_RELEASE_BYTES: Final = 16 * 1024
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
# Where a release does not say when it was built: nothing of ours is older.
EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC)


def host_platform(os_release: Path = OS_RELEASE, machine: str | None = None) -> str | None:
    """As bundles name it, `deb12_arm64`; `None` for a host that no release is made for."""
    try:
        with os_release.open("rb") as file:
            text = file.read(_OS_RELEASE_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    told = dict(_unquoted(line) for line in text.splitlines() if "=" in line)
    # A processor of 64 bits may run a Debian of 32, whose Python takes other wheels.
    is_whole = sys.maxsize > 2**32
    architecture = _ARCHITECTURES.get(machine or platform.machine()) if is_whole else None
    major = told.get("VERSION_ID", "")
    if told.get("ID") != "debian" or not major.isdecimal() or architecture is None:
        return None
    return f"deb{major}_{architecture}"


def built_at(stamp: Stamp) -> datetime:
    """When the release of that stamp was built, or a moment before."""
    try:
        return from_text(stamp.built_at)
    except ValueError:
        return EARLIEST


def _unquoted(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip(), value.strip().strip("\"'")
