"""Which version of us is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def agent_version() -> str:
    """As `v1.2.3`."""
    try:
        return "v" + version("miner-agent")
    except PackageNotFoundError:
        return "v0"
