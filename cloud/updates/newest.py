"""What this cloud's own repository of releases offers, and which agents run something older."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from cloud.updates.choice import order_of
from release.refusals import ReleaseRefusedError

log = structlog.get_logger(__name__)
Newest = Mapping[str, str]  # by channel, a version


async def newest_in(data: Path) -> Newest:
    """That of each channel. Nothing where nothing is published here, or what is cannot be read, which the log says."""
    return await asyncio.to_thread(read_newest, data)


def read_newest(data: Path) -> Newest:
    """The same; blocks."""
    if not (data / "release" / "repository").is_dir():
        return {}  # nothing of what reading needs is loaded
    from cloud.release.online import OnlineRepository

    releases = OnlineRepository(data)
    try:
        return releases.newest() if releases.is_there() else {}
    except (OSError, ValueError, ReleaseRefusedError) as error:
        log.error("release.not_read", error=str(error)[:500])
        return {}


def newer_than(version: str | None, newest: Newest) -> str | None:
    """What the channel of an agent that runs `version` has and it does not. An agent does not say which channel it
    follows: one that runs something newer than the newest of `stable` has it from `canary`, any other one counts as of
    `stable`. `None` where it runs the newest, or nobody knows.
    """
    stable, canary = newest.get("stable"), newest.get("canary")
    try:
        runs = order_of(version or "")
        if stable is not None and runs < order_of(stable):
            return stable
        is_canary = stable is None or runs > order_of(stable)
        return canary if is_canary and canary is not None and runs < order_of(canary) else None
    except ValueError:
        return None
