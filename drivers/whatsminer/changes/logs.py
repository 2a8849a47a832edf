"""The log package of a miner, streamed to disk on the connection it was asked for by."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from contract.errors import MalformedError
from drivers.base import LogFile
from drivers.changes.logfile import FileSink, log_name, new_log
from drivers.protocol.log import EmptyLogError, MessageReader
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.protocol.api import REPLY_CAP_BYTES
from drivers.whatsminer.protocol.frames import question
from drivers.whatsminer.protocol.tokens import Sealed
from drivers.whatsminer.protocol.transfer import (
    Framed4433,
    PackedLogDecoder,
    Sealed4028,
)

COMMAND_4028: Final = "download_logs"
COMMAND_4433: Final = "get.log.download"
_TRIES: Final = 3
# It packs the log before the first byte, so all takes that much longer than a plain one.
_PACKING: Final = 5.0


async def fetch_log(miner: Whatsminer, folder: Path, size_cap_bytes: int) -> LogFile:
    """Stream the log (a gzip tar) into a new file in `folder`; one that was cut short is asked for again.

    Port 4028 gives it only to who knows the password and while the API switch is on. Raises MalformedError when it is
    empty or stays cut, StorageFullError when it does not fit on our disk, and the refusals of a write.
    """
    path = folder / log_name("whatsminer", miner.identity, miner.endpoint, miner.clock, "tgz")
    for attempt in range(1, _TRIES + 1):
        try:
            async with new_log(path) as sink:
                is_cut = await _stream(miner, sink, size_cap_bytes)
        except EmptyLogError:
            raise
        except MalformedError:
            if attempt == _TRIES:
                raise
        else:
            return await asyncio.to_thread(sink.close, truncated=is_cut)
    raise AssertionError("unreachable")


async def _stream(miner: Whatsminer, sink: FileSink, cap_bytes: int) -> bool:
    async def exchange(port: int, request: bytes, answers: MessageReader, key: str) -> bool:
        return await miner.wire.exchange(
            port,
            request,
            PackedLogDecoder(answers, key, sink, cap_bytes),
            deadline_s=_PACKING * miner.timing.log_s,
            cap_bytes=cap_bytes + REPLY_CAP_BYTES,
            sink=sink,
        )

    async def by_4028(sealed: Sealed) -> bool:
        answers = Sealed4028(sealed.token)
        return await exchange(miner.endpoint.rpc_port, sealed.request, answers, "logfilelen")

    if miner.is_v3:
        answers = Framed4433(COMMAND_4433)
        return await exchange(miner.endpoint.v3_port, question(COMMAND_4433), answers, "logsize")
    return await miner.tokens.run({"cmd": COMMAND_4028}, by_4028)
