"""One request to a cloud and its answer, bounded, and what went wrong in words. Nothing is tried again here."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec

from agent.ports import CloudError
from contract.link import PREFIX

_T = TypeVar("_T")
_REPLY_CAP: Final = 8 * 2**20  # several times what a claim with all its room taken needs
_OTHER_NAME: Final = frozenset({62, 64})  # of X509_V_ERR: of a name, of an address
_BY_THE_CLOCK: Final = frozenset({9, 10})  # not yet, not any more
_RETRY_STATUS: Final = frozenset({408, 425, 429})


class UntrustedError(CloudError):
    """Whoever answers shows no certificate that says it is our cloud."""


class CloudConnections:
    """Connections to one cloud, made when one is needed and kept for the next request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """They may be used again afterwards."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(
        self,
        method: str,
        url: str,
        kind: type[_T],
        *,
        context: ssl.SSLContext,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float,
        proxy: str | None,
        cap: int = _REPLY_CAP,
    ) -> _T:
        """The answer to one request, by a connection that proved itself to `context`. `cap` is of bytes. Raises
        CloudError.
        """
        if self._session is None:
            self._session = _open_session()
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                proxy=proxy,
                ssl=context,
                allow_redirects=False,  # a redirect would carry the token to whoever it names
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                content = bytearray()
                while len(content) <= cap and (more := await response.content.readany()):
                    content += more
                status = response.status
        except TimeoutError:
            raise CloudError(
                f"the cloud did not answer within {timeout_s:g} s", retry=True
            ) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise UntrustedError(
                _why_untrusted(error.certificate_error), retry=True, sent=False
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
            raise CloudError(
                f"the cloud cannot be reached: {str(error)[:300]}", retry=True
            ) from None
        if len(content) > cap:
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


def _why_untrusted(error: Exception) -> str:
    """What is wrong with a certificate, and what mends it."""
    code = getattr(error, "verify_code", None)
    if code in _OTHER_NAME:
        mend = "use a name of its certificate; miner-cloud tls add-name NAME, on the cloud's host, adds one"
    elif code in _BY_THE_CLOCK:
        mend = "compare this host's clock with the cloud's"
    else:
        mend = "see [cloud] ca_file, or enrol with a code that names the cloud's authority (miner-cloud enroll-code)"
    return f"the cloud's certificate is not trusted ({error}); {mend}"


def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=16, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=True,
    )
