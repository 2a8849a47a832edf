"""The log of a miner, streamed to disk: plain from its daemon, or out of the page its web side makes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from contract.errors import MalformedError, RefusedError, UnreachableError, UnsupportedError
from drivers.base import LogFile
from drivers.changes.logfile import FileSink, log_name, new_log
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.protocol.replies import checked, decode_web
from drivers.iceriver.protocol.web import LOG
from drivers.protocol.log import EMPTY_LOG, EmptyLogError

_DAEMON_PATIENCE: Final = 2.0  # of what a plain log takes: the daemon has other work
_WEB_PATIENCE: Final = 3.5
# How much longer a page can be than the log in it; most of a log is plain text.
_SWELLING: Final = 4


async def fetch_log(miner: Iceriver, folder: Path, size_cap_bytes: int) -> LogFile:
    """Stream the current log into a new file in `folder`: from the daemon, else from the web side.

    Raises UnsupportedError when neither gives one, MalformedError when it is empty or was cut short, BusyError when a
    page of the web side was asked for too soon, StorageFullError when it does not fit on our disk.
    """
    path = folder / log_name("iceriver", miner.identity, miner.endpoint, miner.clock, "log")
    try:
        return await _kept(_from_daemon, miner, path, size_cap_bytes)
    except EmptyLogError:
        raise
    except (UnreachableError, UnsupportedError, RefusedError, MalformedError):
        return await _kept(_from_web, miner, path, size_cap_bytes)


class LogPage:
    """Takes the page piece by piece and writes the log in it, at most `cap_bytes`, into `sink`.

    The page is JSON with one long text, made by `sprintf`: quotes in the log may stand there as they are, so the text
    ends at the last quote before a brace, and the end of what came is held back until it is known to be no end.
    """

    def __init__(self, sink: FileSink, cap_bytes: int) -> None:
        self.is_cut = False
        """The log was longer than the cap."""
        self._sink = sink
        self._cap_bytes = cap_bytes
        self._taken = 0
        self._buffer = bytearray()
        self._in_text = False

    def write(self, data: bytes) -> None:
        """Take a piece. Raises MalformedError for what is no such page."""
        self._buffer += data
        if not self._in_text:
            match = _BEGIN.search(self._buffer)
            if match is None:
                if len(self._buffer) > _HEAD_CAP_BYTES:
                    raise MalformedError(f"no log page; it began {bytes(self._buffer[:40])!r}")
                return
            del self._buffer[: match.end()]
            self._in_text = True
        self._emit(len(self._buffer) - _HELD_BYTES)

    async def drain(self) -> None:
        """Bring what was taken to disk. Raises StorageFullError."""
        await self._sink.drain()

    def finish(self, *, truncated: bool) -> bool:
        """Take the end of the page; whether the log was cut at the cap. `truncated`: the page itself was.

        Raises MalformedError for a page that ends early, and what the code of a refusal means.
        """
        if not self._in_text:
            checked(decode_web(bytes(self._buffer)), str(LOG))
            raise MalformedError("its log page holds no text")
        if truncated:
            return True
        match = _END.search(self._buffer)
        if match is None:
            raise MalformedError(f"its log page was cut ({self._taken} bytes of the log came)")
        del self._buffer[match.start() :]
        self._emit(len(self._buffer))
        return self.is_cut

    def _emit(self, limit: int) -> None:
        """Write what begins before `limit`. What a mark stands for is never cut in two: what follows is still here."""
        if limit <= 0:
            return
        at = 0
        parts: list[bytes] = []
        for match in _MARKS.finditer(self._buffer):
            if match.start() >= limit:
                break
            parts += (bytes(self._buffer[at : match.start()]), _meant(match[0]))
            at = match.end()
        if at < limit:
            parts.append(bytes(self._buffer[at:limit]))
        del self._buffer[: max(at, limit)]
        self._give(b"".join(parts))

    def _give(self, data: bytes) -> None:
        room = self._cap_bytes - self._taken
        self.is_cut = self.is_cut or len(data) > room
        data = data[:room]
        self._taken += len(data)
        if data:
            self._sink.write(data)


_Source = Callable[[Iceriver, FileSink, int], Awaitable[bool]]  # whether the log was cut at the cap


async def _kept(source: _Source, miner: Iceriver, path: Path, cap_bytes: int) -> LogFile:
    async with new_log(path) as sink:
        is_cut = await source(miner, sink, cap_bytes)
        await sink.drain()
        if sink.is_blank:
            raise EmptyLogError(EMPTY_LOG)
    return await asyncio.to_thread(sink.close, truncated=is_cut)


async def _from_daemon(miner: Iceriver, sink: FileSink, cap_bytes: int) -> bool:
    deadline_s = _DAEMON_PATIENCE * miner.timing.log_s
    return await miner.daemon.fetch_log(sink, cap_bytes=cap_bytes, deadline_s=deadline_s)


async def _from_web(miner: Iceriver, sink: FileSink, cap_bytes: int) -> bool:
    page = LogPage(sink, cap_bytes)
    response = await miner.web.fetch(
        *LOG,
        page,
        cap_bytes=_SWELLING * cap_bytes + _HEAD_CAP_BYTES,
        deadline_s=_WEB_PATIENCE * miner.timing.log_s,
    )
    return page.finish(truncated=response.truncated)


_HEAD_CAP_BYTES: Final = 4096
_HELD_BYTES: Final = 256  # longer than any mark, and than all that follows the text
_BEGIN: Final = re.compile(rb'"text"\s*:\s*"')
_END: Final = re.compile(rb'"\s*\}\s*(?:,\s*"message"\s*:\s*"[^"{}]{0,64}"\s*)?\}\s*\Z')
_MARKS: Final = re.compile(
    rb'<br ?/?>|&nbsp;&nbsp;|&nbsp;|&lt;|&gt;|\\u[0-9A-Fa-f]{4}|\\["\\/bfnrt]'
)
_MEANT: Final = {
    b"&nbsp;&nbsp;": b"\t",
    b"&nbsp;": b" ",
    b"&lt;": b"<",
    b"&gt;": b">",
    b"\\b": b"\b",
    b"\\f": b"\f",
    b"\\n": b"\n",
    b"\\r": b"\r",
    b"\\t": b"\t",
}


def _meant(mark: bytes) -> bytes:
    """What a mark of the page or of its JSON stands for."""
    if mark.startswith(b"\\u"):
        return chr(int.from_bytes(bytes.fromhex(mark[2:].decode()))).encode("utf-8", "replace")
    if mark.startswith(b"<br"):
        return b"\n"
    return _MEANT.get(mark) or mark[1:]
