"""What the doctor says of updates: whether an order could bring one, and whether the repository answers."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from agent.config.file import Config
from agent.firmware.download import open_downloader
from agent.update.managed import NO_ROOT, ReleaseHost, unmanaged
from contract.errors import MinerError, NoSuchFileError

_ANSWER_S: Final = 20.0
_TIMESTAMP_BYTES: Final = 16 * 1024
_HASH_SHOWN: Final = 12


async def updates_here(config: Config, host: ReleaseHost) -> tuple[bool, str]:
    """Whether all is well, and in words. Who updates in another way has nothing to mend. Raises OSError."""
    own = host.own()
    why_not = unmanaged(host, own, config.state.dir, enabled=config.update.enabled)
    if why_not is not None or own is None:
        return True, f"not by order of the cloud: {why_not}"
    runs = f"release {own.version} ({own.sha256[:_HASH_SHOWN]}) runs"
    if host.root() is None:
        return False, f"{runs}. {_rootless(config)}"
    if config.releases_url is None:
        return False, f"{runs}; no repository of newer ones is known: set url in [update]"
    if not config.token_file.exists():
        return (
            True,
            f"{runs}; {config.releases_url} is asked for newer ones once this agent is enrolled",
        )
    trouble = await _repository_trouble(config, config.releases_url)
    if trouble is not None:
        return False, f"{runs}; {trouble}"
    return True, f"{runs}; {config.releases_url} gives newer ones (channel {config.update.channel})"


def _rootless(config: Config) -> str:
    """What is left to a release that takes no repository's word."""
    if config.update.keys:
        return f"{NO_ROOT}: orders need binary_url and signature"
    return f"{NO_ROOT}: install a package that was built with release/root.json, or set keys in [update]"


async def _repository_trouble(config: Config, url: str) -> str | None:
    """Why nothing can be fetched from there; what it gives is not judged."""
    with tempfile.TemporaryDirectory(prefix="miner-agent-") as folder:
        fetching = open_downloader(config).fetch(
            f"{url}/metadata/timestamp.json",
            Path(folder),
            cap_bytes=_TIMESTAMP_BYTES,
            sha256=None,
        )
        try:
            async with asyncio.timeout(_ANSWER_S):
                await fetching
        except NoSuchFileError:
            return f"{url} has no releases yet: miner-cloud release publish, or set url in [update]"
        except MinerError as error:
            return str(error)
        except TimeoutError:
            return f"{url} did not answer within {_ANSWER_S:.0f} s"
    return None
