"""Brings a file from the web to local disk, bounded in size, and checks it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

import aiohttp
import structlog

from contract.errors import BadFirmwareError, StorageFullError, UnreachableError

log = structlog.get_logger(__name__)
_CHUNK: Final = 256 * 1024
_REDIRECTS_MAX: Final = 5
_ATTEMPTS: Final = 3
# In words of ours, most special first: what aiohttp says may hold a whole url, and with it a signature or a password.
_NOWHERE: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.TooManyRedirects, "it is redirected without end"),
    (aiohttp.NonHttpUrlClientError, "it is redirected to something that is not on the web"),
    (aiohttp.InvalidURL, "it, or where it is redirected to, is no address"),
)
_PROBLEMS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ClientConnectorDNSError, "its name is not known"),
    (
        aiohttp.ClientConnectorCertificateError,
        "its certificate is not trusted: see [cloud] ca_file",
    ),
    (aiohttp.ClientSSLError, "no encrypted connection could be made"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused"),
    (aiohttp.ClientConnectorError, "no connection could be made"),
    (aiohttp.ServerDisconnectedError, "the server hung up"),
    (aiohttp.ClientPayloadError, "the transfer broke off"),
    (aiohttp.ClientResponseError, "the answer is not HTTP as it should be"),
    (OSError, "the connection broke"),
)


class _ServerError(aiohttp.ClientError):
    """The server says that it is in trouble; the words are ours."""


class WebDownloader:
    """Implements `agent.ports.Downloader` with aiohttp."""

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        proxy: str | None = None,
        idle_timeout_s: float = 30.0,
        total_timeout_s: float = 1800.0,
    ) -> None:
        self._ca_file = ca_file
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(
            total=total_timeout_s, sock_connect=15.0, sock_read=idle_timeout_s
        )

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        """See `agent.ports.Downloader`. Broken transfers are begun anew a few times; the checksum is
        that of the whole file. Servers on the farm's own network are as good as others, but only the web
        is: no files of this host, no other protocols.
        """
        _check_url(url)
        target = folder / _file_name(url)
        context = ssl.create_default_context(
            cafile=None if self._ca_file is None else str(self._ca_file)
        )
        connector = aiohttp.TCPConnector(ssl=context)
        problem = ""
        async with aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, auto_decompress=False
        ) as session:
            for _ in range(_ATTEMPTS):
                try:
                    found = await self._once(
                        session, url, target, cap_bytes, may_downgrade=sha256 is not None
                    )
                except TimeoutError:
                    problem = "the server stopped sending"
                except (aiohttp.ClientError, OSError) as error:
                    nowhere = _words(error, _NOWHERE)
                    if nowhere is not None:
                        raise BadFirmwareError(f"{_shown(url)} leads nowhere: {nowhere}") from None
                    problem = _problem(error)
                else:
                    if sha256 is not None and found != sha256.lower():
                        target.unlink(missing_ok=True)
                        raise BadFirmwareError(
                            f"the file at {_shown(url)} has sha256 {found}, not {sha256.lower()}"
                        )
                    return target
                log.warning("download.broken", url=_shown(url), problem=problem)
        target.unlink(missing_ok=True)
        raise UnreachableError(f"{_shown(url)} could not be downloaded: {problem}")

    async def _once(
        self,
        session: aiohttp.ClientSession,
        url: str,
        target: Path,
        cap_bytes: int,
        *,
        may_downgrade: bool,
    ) -> str:
        async with session.get(
            url,
            proxy=self._proxy,
            max_redirects=_REDIRECTS_MAX,
            headers={"Accept-Encoding": "identity"},
        ) as response:
            if not may_downgrade and _is_downgraded(response):
                raise BadFirmwareError(
                    f"{_shown(url)} is redirected from https to plain http, where anybody may change the file: "
                    "give its sha256, or an address that stays with https"
                )
            if response.status >= 500 or response.status == 429:
                raise _ServerError(f"the server answered {response.status}")
            if response.status != 200:
                raise BadFirmwareError(f"{_shown(url)} was answered with status {response.status}")
            if (response.content_length or 0) > cap_bytes:
                raise _too_big(url, cap_bytes)
            digest, size = hashlib.sha256(), 0
            out = await asyncio.to_thread(_create, target)
            try:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > cap_bytes:
                        raise _too_big(url, cap_bytes)
                    digest.update(chunk)
                    await asyncio.to_thread(_write, out, chunk)
            except (BadFirmwareError, StorageFullError):
                target.unlink(missing_ok=True)
                raise
            finally:
                await asyncio.to_thread(_close, out)
            if size == 0:
                raise BadFirmwareError(f"the file at {_shown(url)} is empty")
            return digest.hexdigest()


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        is_web = False
    if not is_web or any(c.isspace() for c in url):
        raise BadFirmwareError(
            f"{_shown(url)} is not the address of a file on the web (http or https)"
        )


def _problem(error: aiohttp.ClientError | OSError) -> str:
    if isinstance(error, _ServerError):
        return str(error)
    return _words(error, _PROBLEMS) or f"the download failed ({type(error).__name__})"


def _words(error: Exception, table: tuple[tuple[type[Exception], str], ...]) -> str | None:
    return next((words for kind, words in table if isinstance(error, kind)), None)


def _is_downgraded(response: aiohttp.ClientResponse) -> bool:
    """Whether it was asked for by https and came, or was sent on, by plain http."""
    schemes = [each.url.scheme for each in (*response.history, response)]
    return "https" in schemes and "http" in schemes[schemes.index("https") :]


def _create(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise StorageFullError(f"cannot create the firmware file: {error}") from None


def _write(out: BinaryIO, chunk: bytes) -> None:
    try:
        out.write(chunk)
    except OSError as error:
        raise StorageFullError(
            f"cannot write the firmware file: {error}; free some disk space"
        ) from None


def _close(out: BinaryIO) -> None:
    try:
        out.close()
    except OSError as error:  # what was still in its buffer
        raise StorageFullError(f"cannot keep the firmware file: {error}") from None


def _file_name(url: str) -> str:
    """The name at the end of the url, fit for a file system."""
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return kept.lstrip(".")[-100:] or "firmware"


def _shown(url: str) -> str:
    """The url without its query, which may hold a signature, and without a name and password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        return "what was given"
    at = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{at}{'' if port is None else f':{port}'}{parts.path}"[:300]


def _too_big(url: str, cap_bytes: int) -> BadFirmwareError:
    return BadFirmwareError(
        f"the file at {_shown(url)} is over {cap_bytes / 2**20:.0f} MB: see [limits] firmware_max_mb"
    )
