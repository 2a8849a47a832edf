"""The monitor's HTTP API as six calls, and what its answers mean for whoever asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from agent.sinks.rigmonitor.machines import ApiCode
from contract.rigmonitor.asic import (
    BULK_MAX,
    EXPECTED_STATUS,
    EXPECTED_STATUS_BULK,
    LOGS,
    SPECS,
    AsicLog,
    AsicSpec,
    BulkRequest,
)
from contract.rigmonitor.playbook import PLAYBOOKS
from contract.rigmonitor.rig import RIG_LOGS, RIG_SPECS, RigLog, RigSpec
from contract.rigmonitor.shared import HEADER, PING

_REPLY_CAP: Final = 2**20  # several times a bulk reply for BULK_MAX codes
_BUSY: Final = frozenset({408, 425, 429})
_SHOWN: Final = 300
_BESIDES: Final = 2  # connections kept for questions, which wait behind no record


class MonitorError(Exception):
    """The monitor did not take what was sent, or did not say what was asked."""


class AwayError(MonitorError):
    """No usable answer: no connection, too slow, a server error, something else at its address. May pass."""


class UnknownCodeError(MonitorError):
    """401: the monitor does not know this code."""


class InvalidError(MonitorError):
    """422: the record breaks a rule of the server; the same again would too. `errors` is its map, cut."""

    def __init__(self, errors: str) -> None:
        super().__init__(f"the monitor finds the record invalid: {errors}")
        self.errors = errors


class RejectedError(MonitorError):
    """Another refusal, which asking the same again will not mend."""


class HeldBackError(RejectedError):
    """423: people work on the machine, and what is wished of it is told later."""


class MonitorClient:
    """One client of one server. Every call raises the errors above; nothing is repeated here."""

    def __init__(self, base: str, *, ca_file: Path | None, timeout_s: float, at_once: int) -> None:
        """`base` is without the prefix of the API. `at_once` bounds the turns, see `turn`."""
        self._base = base
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._timeout_s = timeout_s
        self._at_once = at_once
        self._turns = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    def turn(self) -> AbstractAsyncContextManager[None]:
        """To be held by whoever sends a record, and waited for before the record is made: in a long row behind a
        server that hangs it would grow old, and records do not tell their age.
        """
        return self._turns

    async def close(self) -> None:
        """Close the connections. The client may be used again afterwards."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ping(self) -> None:
        """Whether somebody is there who answers as a monitor does."""
        reply = await self._call("GET", PING)
        if not isinstance(reply, dict) or reply.get("message") != "pong":
            raise AwayError("what answers there is no Mining Rig Monitor")

    async def send_spec(self, code: ApiCode, spec: AsicSpec | RigSpec) -> None:
        path = SPECS if isinstance(spec, AsicSpec) else RIG_SPECS
        await self._call("POST", path, code=code, body=spec)

    async def send_log(self, code: ApiCode, record: AsicLog | RigLog) -> None:
        path = LOGS if isinstance(record, AsicLog) else RIG_LOGS
        await self._call("POST", path, code=code, body=record)

    async def playbooks(self, code: ApiCode) -> Any:
        """What a rig is to mine, as it came."""
        return await self._call("GET", PLAYBOOKS, code=code)

    async def expected(self, code: ApiCode) -> Mapping[str, Any]:
        """What is expected of one machine, as it came."""
        return _mapping(await self._call("GET", EXPECTED_STATUS, code=code))

    async def expected_bulk(self, codes: tuple[ApiCode, ...]) -> Mapping[str, Any]:
        """What is expected of several, by code, as it came; a code unknown there is absent. At most BULK_MAX."""
        assert len(codes) <= BULK_MAX
        texts = tuple(code.text for code in codes)
        body = BulkRequest.of(texts)
        return _mapping(await self._call("POST", EXPECTED_STATUS_BULK, body=body, hide=texts))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        code: ApiCode | None = None,
        body: msgspec.Struct | None = None,
        hide: tuple[str, ...] = (),
    ) -> Any:
        """`hide`: what is secret of this call, besides `code`, should the server repeat it."""
        headers = {"Accept": "application/json"}
        if code is not None:
            headers[HEADER] = code.text
            hide = (*hide, code.text)
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else msgspec.json.encode(body)
        status, content = await self._exchange(method, path, headers, data)
        return _judged(status, content, hide)

    async def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes | None
    ) -> tuple[int, bytes]:
        if self._session is None:
            self._session = _open_session(self._at_once + _BESIDES)
        content = bytearray()
        try:
            if self._context is None:
                file = None if self._ca_file is None else str(self._ca_file)
                self._context = ssl.create_default_context(cafile=file)
            async with self._session.request(
                method,
                self._base + path,
                data=data,
                headers=headers,
                ssl=self._context,
                allow_redirects=False,  # a redirect would carry the code to whoever it names
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            ) as response:
                while len(content) <= _REPLY_CAP and (more := await response.content.readany()):
                    content += more
                status = response.status
        except TimeoutError:
            raise AwayError(f"the monitor did not answer within {self._timeout_s:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            self._context = None  # the file may have been written since
            raise AwayError(
                f"the monitor's certificate is not trusted ({error.certificate_error}); "
                "see [rigmonitor] ca_file"
            ) from None
        except aiohttp.ClientConnectorError as error:
            reason = str(error.os_error.strerror or error.os_error)[:_SHOWN].lower()
            raise AwayError(f"the monitor cannot be reached: {reason}") from None
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp puts what it was sent into some of its texts: only the kind is told
            raise AwayError(f"the monitor's answer broke off ({type(error).__name__})") from None
        if len(content) > _REPLY_CAP:
            raise AwayError("the monitor's answer is too long")
        return status, bytes(content)


def _judged(status: int, content: bytes, hide: tuple[str, ...] = ()) -> Any:
    """What a 200 holds (`None` for no body). Raises for everything else."""
    if status == 401:
        raise UnknownCodeError(f"the monitor does not know the code: {_message(content, hide)}")
    if status == 422:
        raise InvalidError(_message(content, hide))
    if status >= 500 or status in _BUSY:
        raise AwayError(f"the monitor answered {status}")
    if status == 423:
        raise HeldBackError("the monitor holds back what it wishes, since people work on the miner")
    if not 200 <= status < 300:
        raise RejectedError(f"the monitor answered {status}: {_message(content, hide)}")
    if not content:
        return None  # the published text's own answer to what was accepted
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AwayError("what answers there does not speak JSON") from None


def _mapping(reply: Any) -> Mapping[str, Any]:
    if not isinstance(reply, dict):
        raise AwayError("the monitor's answer is not what was agreed")
    return reply


def _message(content: bytes, hide: tuple[str, ...]) -> str:
    """The sentence or the map of an error, cut, whatever form it has; with stars for what is to be hidden."""
    try:
        body: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = repr(content)
    else:
        if isinstance(body, dict):
            body = body.get("errors", body.get("message", body))
        text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    for secret in hide:
        text = text.replace(secret, "****")
    return text[:_SHOWN]


def _open_session(connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
