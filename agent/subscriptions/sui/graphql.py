"""How the network is asked: GraphQL over HTTP, with bounds on what an answer may be."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from agent.config.file import ConfigError
from agent.config.keyfiles import check_ca_file
from contract.hiding import quoted

REPLY_CAP: Final = 4 * 2**20  # bytes; fifty objects are a few dozen kilobytes
_CA_FILE: Final = "[subscriptions.sui] ca_file"
_MESSAGES: Final = 3  # of the errors that an answer names
_T = TypeVar("_T")


class ChainError(Exception):
    """The network could not be asked, or did not answer as agreed: what was asked for may have been done."""


class NotSentError(ChainError):
    """No connection came about: nothing was sent."""


class ChainRefusedError(ChainError):
    """A whole answer that names errors in place of what was asked for."""


class _Fault(msgspec.Struct, frozen=True):
    message: str = "no message"


class GraphQlClient:
    """One endpoint. Nothing is asked again here, and no redirect is followed."""

    def __init__(self, url: str, *, ca_file: Path | None, timeout_s: float) -> None:
        self._url = url
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, document: str, kind: type[_T], **variables: Any) -> _T:
        """The data of the answer. Raises ChainError, by its kinds."""
        content = await self._exchange(
            msgspec.json.encode({"query": document, "variables": variables})
        )
        try:
            reply = msgspec.json.decode(content)
            faults = msgspec.convert(_of(reply, "errors") or [], list[_Fault])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ChainError(
                f"the GraphQL endpoint did not answer in JSON: {quoted(_text(content))}"
            ) from None
        if faults:
            said = "; ".join(quoted(each.message) for each in faults[:_MESSAGES])
            raise ChainRefusedError(f"the network answered with errors: {said}")
        try:
            return msgspec.convert(_of(reply, "data"), kind)
        except msgspec.ValidationError as error:
            raise ChainError(
                f"the network's answer is not what was agreed: {str(error)[:300]}"
            ) from None

    async def _exchange(self, body: bytes) -> bytes:
        """Raises ChainError."""
        if self._session is None:
            try:
                check_ca_file(self._ca_file, _CA_FILE)
            except ConfigError as error:
                raise NotSentError(str(error)) from None
            self._session = _open_session(self._ca_file)
        content = bytearray()
        try:
            async with (
                self._session.post(
                    self._url,
                    data=body,
                    headers={"Content-Type": "application/json", "Accept": "application/json"},
                    allow_redirects=False,  # what is signed goes to the endpoint that was configured, and nowhere else
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                ) as response
            ):
                while len(content) <= REPLY_CAP and (more := await response.content.readany()):
                    content += more
                status = response.status
        except aiohttp.ClientConnectorCertificateError as error:
            await self.close()  # the file may be another when it is asked next
            raise NotSentError(
                f"the GraphQL endpoint's certificate is not trusted ({error.certificate_error}); see {_CA_FILE}"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise NotSentError(
                f"the GraphQL endpoint cannot be reached: {str(error)[:300]}"
            ) from None
        except TimeoutError:
            raise ChainError(
                f"the GraphQL endpoint did not answer within {self._timeout_s:g} s"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ChainError(f"the GraphQL endpoint broke off: {str(error)[:300]}") from None
        if len(content) > REPLY_CAP:
            raise ChainError(f"the GraphQL endpoint's answer is over {REPLY_CAP} bytes")
        if status != 200:
            raise ChainError(f"the GraphQL endpoint answered {status}: {quoted(_text(content))}")
        return bytes(content)


def _of(reply: Any, key: str) -> Any:
    return reply.get(key) if isinstance(reply, dict) else None


def _text(content: bytes | bytearray) -> str:
    return bytes(content[:200]).decode("utf-8", "replace")


def _open_session(ca_file: Path | None) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=4, ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
