"""The log of a miner, streamed to disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from contract.errors import MalformedError, UnsupportedError
from drivers.antminer.changes.orders import is_old
from drivers.antminer.driver import Antminer
from drivers.base import LogFile
from drivers.changes.logfile import FileSink, log_name, new_log
from drivers.protocol.http import Response

_NAMES_NEW: Final = ("log.cgi", "get_kernel_log.cgi")
_NAMES_OLD: Final = ("get_kernel_log.cgi", "log.cgi")


async def fetch_log(miner: Antminer, folder: Path, size_cap_bytes: int) -> LogFile:
    """Stream the log into a new file in `folder`.

    Raises UnsupportedError when the firmware has none, MalformedError when it is empty, StorageFullError
    when it does not fit on our disk.
    """
    path = folder / log_name("antminer", miner.identity, miner.endpoint, miner.clock, "log")
    for script in script_names(miner):
        try:
            async with new_log(path) as sink:
                response = await miner.cgi.fetch(script, sink, cap_bytes=size_cap_bytes)
                await sink.drain()
                _check(script, response, sink)
        except _NoSuchScriptError:
            continue
        return await asyncio.to_thread(sink.close, truncated=response.truncated)
    raise UnsupportedError("this firmware gives no log (neither log.cgi nor get_kernel_log.cgi)")


def script_names(miner: Antminer) -> Iterable[str]:
    """Where the log may be: builds of both generations have it under the other one's name."""
    return _NAMES_OLD if is_old(miner) else _NAMES_NEW


class _NoSuchScriptError(Exception):
    """The firmware has no page of that name."""


def _check(script: str, response: Response, sink: FileSink) -> None:
    """Whether a log came."""
    if response.status == 404:
        raise _NoSuchScriptError
    if response.status != 200:
        raise MalformedError(f"{script} answered HTTP {response.status}; try again")
    if sink.is_blank:
        raise MalformedError("the miner's log is empty; it may be restarting, try again")
