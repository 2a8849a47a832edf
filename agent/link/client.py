"""The agent's side of the link API: where its tasks come from and its readings go."""

from __future__ import annotations

import asyncio
import os
import ssl
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import structlog

from agent.config.cloud import CloudSection
from agent.config.file import ConfigError
from agent.config.urls import check_cloud_url
from agent.ports import CloudError
from contract.link import (
    LONG_POLL_MAX_S,
    PREFIX,
    ClaimReply,
    ClaimRequest,
    EnrollReply,
    EnrollRequest,
    FileReply,
    Heartbeat,
    HeartbeatReply,
    ReadingsReply,
    ReadingsRequest,
    ReportReply,
    ReportRequest,
    Settings,
)
from contract.subscription.link import (
    Announced,
    Announcement,
    LedgerReply,
    LedgerRequest,
    LedgerState,
    Stacks,
)
from drivers.base import LogFile

log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_SECTION: Final = CloudSection()
_REPLY_CAP: Final = 8 * 2**20  # several times what a claim with all its room taken needs
_SMALL: Final = 1024  # a shorter body is not worth compressing
_RETRY_STATUS: Final = frozenset({408, 425, 429})


class CloudLink:
    """One client of one cloud: `TaskSource` and `ReadingSink` in one, plus heartbeat and settings.

    Every method raises CloudError, with `retry` false for what asking again cannot mend (a bad request, a
    revoked token). Nothing is retried here: the callers keep the queues.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_file: Path | None = None,
        proxy: str | None = None,
        timeout_s: float = _SECTION.request_timeout_s,
        chunk_bytes: int = _SECTION.upload_chunk_bytes,
        reload_token: Callable[[], str] | None = None,
    ) -> None:
        """`reload_token` is asked when the cloud refuses the token: somebody may have enrolled again meanwhile.
        Raises ValueError for a url that would carry the token in the clear.
        """
        self._base = check_cloud_url(url) + PREFIX
        self._token = token
        self._ca_file = ca_file
        self._proxy = proxy
        self._timeout_s = timeout_s
        self._chunk_bytes = chunk_bytes
        self._begun_uploads: set[str] = set()
        self._reload_token = reload_token
        self._session: aiohttp.ClientSession | None = None
        # Tells this process from one that runs on a copy of its disk.
        self._run_id = uuid.uuid4().hex

    async def close(self) -> None:
        """Close the connections. The link may be used again afterwards."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def claim(self, request: ClaimRequest) -> ClaimReply:
        wait_s = min(request.wait_s, LONG_POLL_MAX_S)
        request = msgspec.structs.replace(request, run_id=self._run_id)
        return await self._ask("claims", request, ClaimReply, timeout_s=self._timeout_s + wait_s)

    async def report(self, request: ReportRequest) -> ReportReply:
        return await self._ask("reports", request, ReportReply)

    async def push(self, request: ReadingsRequest) -> ReadingsReply:
        return await self._ask("readings", request, ReadingsReply)

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        return await self._ask("heartbeat", beat, HeartbeatReply)

    async def settings(self) -> Settings:
        return await self._call("GET", "settings", Settings)

    async def ledger(self, after: int, *, timeout_s: float) -> LedgerState:
        return await self._call("GET", f"ledger?after={after}", LedgerState, timeout_s=timeout_s)

    async def record(self, request: LedgerRequest, *, timeout_s: float) -> LedgerReply:
        return await self._ask("ledger", request, LedgerReply, timeout_s=timeout_s)

    async def announce(self, announcement: Announcement, *, timeout_s: float) -> Announced:
        return await self._ask("ledger/announce", announcement, Announced, timeout_s=timeout_s)

    async def stacks(self, *, timeout_s: float) -> Stacks:
        return await self._call("GET", "stacks", Stacks, timeout_s=timeout_s)

    async def upload(self, task_id: str, file: LogFile) -> None:
        """Send a file in chunks. After a break, calling again goes on from what the cloud has safely stored."""
        headers = {
            "X-Sha256": file.sha256,
            "X-File-Name": quote(file.name),
            "Content-Type": "application/octet-stream",
        }
        size = file.size_bytes

        async def put(content_range: str, body: bytes) -> FileReply:
            return await self._call(
                "PUT",
                f"files/{quote(task_id, safe='')}",
                FileReply,
                body=body,
                headers=headers | {"Content-Range": content_range},
            )

        reply = FileReply(received=0, complete=False)
        if task_id in self._begun_uploads or size == 0:
            reply = await put(f"bytes */{size}", b"")
        self._begun_uploads.add(task_id)
        source = await asyncio.to_thread(open, file.path, "rb")
        try:
            while not reply.complete:
                start = reply.received
                chunk = await asyncio.to_thread(_read_at, source, start, self._chunk_bytes)
                if not chunk:
                    raise CloudError(
                        f"the cloud stored {start} of {size} bytes of {file.name} but does not call it whole",
                        retry=True,
                    )
                reply = await put(f"bytes {start}-{start + len(chunk) - 1}/{size}", chunk)
                if not reply.complete and reply.received <= start:
                    raise CloudError("the cloud did not keep what was sent to it", retry=True)
        finally:
            await asyncio.to_thread(source.close)
        self._begun_uploads.discard(task_id)

    async def _ask(
        self, path: str, message: msgspec.Struct, kind: type[_T], *, timeout_s: float | None = None
    ) -> _T:
        body = msgspec.json.encode(message)
        headers = {"Content-Type": "application/json"}
        if len(body) > _SMALL:
            body = zlib.compress(body, 1)
            headers["Content-Encoding"] = "deflate"
        return await self._call("POST", path, kind, body=body, headers=headers, timeout_s=timeout_s)

    async def _call(
        self,
        method: str,
        path: str,
        kind: type[_T],
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> _T:
        if self._session is None:
            self._session = _open_session(self._ca_file)
        ask = partial(
            _exchange,
            self._session,
            method,
            f"{self._base}/{path}",
            kind,
            body=body,
            timeout_s=timeout_s or self._timeout_s,
            proxy=self._proxy,
        )
        try:
            return await ask(headers={**(headers or {}), "Authorization": f"Bearer {self._token}"})
        except CloudError as error:
            if error.status != 401 or not await self._has_new_token():
                raise
        return await ask(headers={**(headers or {}), "Authorization": f"Bearer {self._token}"})

    async def _has_new_token(self) -> bool:
        if self._reload_token is None:
            return False
        try:
            token = await asyncio.to_thread(self._reload_token)
        except ConfigError as error:
            log.warning("link.token", error=str(error))
            return False
        changed, self._token = token != self._token, token
        return changed


async def enroll(
    url: str,
    request: EnrollRequest,
    *,
    ca_file: Path | None = None,
    proxy: str | None = None,
    timeout_s: float = _SECTION.request_timeout_s,
) -> EnrollReply:
    """Trade a one-time code for a token. Raises CloudError, and ValueError for an unsafe url."""
    target = f"{check_cloud_url(url)}{PREFIX}/enroll"
    async with _session(ca_file) as session:
        return await _exchange(
            session,
            "POST",
            target,
            EnrollReply,
            body=msgspec.json.encode(request),
            headers={"Content-Type": "application/json"},
            timeout_s=timeout_s,
            proxy=proxy,
        )


async def _exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    kind: type[_T],
    *,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout_s: float,
    proxy: str | None,
) -> _T:
    try:
        async with session.request(
            method,
            url,
            data=body,
            headers=headers,
            proxy=proxy,
            allow_redirects=False,  # a redirect would carry the token to whoever it names
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            content = bytearray()
            while len(content) <= _REPLY_CAP and (more := await response.content.readany()):
                content += more
            status = response.status
    except TimeoutError:
        raise CloudError(f"the cloud did not answer within {timeout_s:g} s", retry=True) from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise CloudError(
            f"the cloud's certificate is not trusted ({error.certificate_error}); see [cloud] ca_file",
            retry=True,
            sent=False,
        ) from None
    except aiohttp.ClientConnectorError as error:
        code = error.os_error.errno
        reason = os.strerror(code) if code and code > 0 else str(error.os_error.strerror)
        raise CloudError(
            f"the cloud at {error.host}:{error.port} cannot be reached: {reason[:200].lower()}",
            retry=True,
            sent=False,
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        # what did not look like HTTP is quoted in it, whole
        raise CloudError(f"the cloud cannot be reached: {str(error)[:300]}", retry=True) from None
    if len(content) > _REPLY_CAP:
        raise CloudError("the cloud's answer is too long", retry=True, status=status)
    if not 200 <= status < 300:
        raise CloudError(
            f"the cloud answered {status}: {_message(content)}",
            retry=status >= 500 or status in _RETRY_STATUS or 300 <= status < 400,
            status=status,
        )
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CloudError(
            f"the cloud's answer to {url.rpartition(PREFIX)[2]} is not what was agreed: {str(error)[:300]}",
            retry=True,
            status=status,
        ) from None


def _message(content: bytes | bytearray) -> str:
    """The sentence of an error body, cut, whatever form it has."""
    try:
        body: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return repr(bytes(content[:200]))
    if isinstance(body, dict) and "message" in body:
        return str(body["message"])[:500]
    return repr(bytes(content[:200]))


def _open_session(ca_file: Path | None) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=16, keepalive_timeout=60, ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
    )


@asynccontextmanager
async def _session(ca_file: Path | None) -> AsyncIterator[aiohttp.ClientSession]:
    session = _open_session(ca_file)
    try:
        yield session
    finally:
        await session.close()


def _read_at(source: Any, offset: int, size: int) -> bytes:
    source.seek(offset)
    data: bytes = source.read(size)
    return data
