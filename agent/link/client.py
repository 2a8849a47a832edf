"""The agent's side of the link API: where its tasks come from and its readings go."""

from __future__ import annotations

import asyncio
import ssl
import uuid
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
import structlog

from agent.config.cloud import CloudSection
from agent.config.file import ConfigError
from agent.config.urls import check_cloud_url
from agent.link.exchange import CloudConnections, UntrustedError
from agent.link.trust import CloudTrust, blind, trusting
from agent.ports import CloudError
from contract.enrolment.authorities import certificates_in, fingerprint
from contract.link import (
    LONG_POLL_MAX_S,
    PREFIX,
    Authorities,
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
_SMALL: Final = 1024  # a shorter body is not worth compressing
_UNPROVEN_CAP: Final = 65_536


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
        trust: CloudTrust | None = None,
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
        self._trust = trust or CloudTrust()
        self._proxy = proxy
        self._timeout_s = timeout_s
        self._chunk_bytes = chunk_bytes
        self._begun_uploads: set[str] = set()
        self._reload_token = reload_token
        self._connections = CloudConnections()
        self._said = ""  # why other authorities were not taken
        # Tells this process from one that runs on a copy of its disk.
        self._run_id = uuid.uuid4().hex

    async def close(self) -> None:
        """Close the connections. The link may be used again afterwards."""
        await self._connections.close()

    async def claim(self, request: ClaimRequest) -> ClaimReply:
        wait_s = min(request.wait_s, LONG_POLL_MAX_S)
        request = msgspec.structs.replace(request, run_id=self._run_id)
        return await self._ask("claims", request, ClaimReply, timeout_s=self._timeout_s + wait_s)

    async def report(self, request: ReportRequest) -> ReportReply:
        return await self._ask("reports", request, ReportReply)

    async def push(self, request: ReadingsRequest) -> ReadingsReply:
        return await self._ask("readings", request, ReadingsReply)

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Also learns by which authorities the cloud will be known, where it is known by one of its own."""
        reply = await self._ask("heartbeat", beat, HeartbeatReply)
        if not self._trust.knows(reply.authorities):
            await self._follow()
        return reply

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

    async def _follow(self) -> None:
        """Trust what the cloud says that it is known by, once it has shown a certificate of that. If not, what is
        trusted stays, and the next heartbeat tries again.
        """
        try:
            told = await self._call("GET", "authorities", Authorities)
            proven = trusting(*certificates_in(told.pem))
            await self._call("GET", "authorities", Authorities, context=proven)
            await asyncio.to_thread(self._trust.keep, told.pem)
        except (CloudError, ValueError, OSError) as error:
            if str(error) != self._said:
                log.warning("link.authorities_not_followed", error=str(error)[:300])
            self._said = str(error)
            return
        self._said = ""
        log.info(
            "link.authorities", sha256=[fingerprint(each) for each in certificates_in(told.pem)]
        )

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
        context: ssl.SSLContext | None = None,
    ) -> _T:
        ask = partial(
            self._connections.exchange,
            method,
            f"{self._base}/{path}",
            kind,
            context=context or self._trust.context,
            body=body,
            timeout_s=timeout_s or self._timeout_s,
            proxy=self._proxy,
        )
        try:
            return await ask(headers={**(headers or {}), "Authorization": f"Bearer {self._token}"})
        except UntrustedError:
            self._trust.forget()
            raise
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
    context: ssl.SSLContext | None = None,
    proxy: str | None = None,
    timeout_s: float = _SECTION.request_timeout_s,
) -> EnrollReply:
    """Trade a one-time code for a token. `context`: whom the connection trusts, if not whom this host does. Raises
    CloudError, and ValueError for an unsafe url.
    """
    target = f"{check_cloud_url(url)}{PREFIX}/enroll"
    async with CloudConnections() as connections:
        return await connections.exchange(
            "POST",
            target,
            EnrollReply,
            context=context or CloudTrust().context,
            body=msgspec.json.encode(request),
            headers={"Content-Type": "application/json"},
            timeout_s=timeout_s,
            proxy=proxy,
        )


async def told_authorities(
    url: str, *, proxy: str | None = None, timeout_s: float = _SECTION.request_timeout_s
) -> Authorities:
    """What a server says that the cloud is known by, unproven. Raises CloudError, and
    ValueError for an unsafe url.
    """
    async with CloudConnections() as connections:
        return await connections.exchange(
            "GET",
            f"{check_cloud_url(url)}{PREFIX}/authorities",
            Authorities,
            context=blind(),
            body=None,
            headers={},
            timeout_s=timeout_s,
            proxy=proxy,
            cap=_UNPROVEN_CAP,
        )


def _read_at(source: Any, offset: int, size: int) -> bytes:
    source.seek(offset)
    data: bytes = source.read(size)
    return data
