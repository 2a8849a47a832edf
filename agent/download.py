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
_NOWHERE: Final = (
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.TooManyRedirects,
)


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
                    found = await self._once(session, url, target, cap_bytes)
                except TimeoutError:
                    problem = "the server stopped sending"
                except (aiohttp.ClientError, OSError) as error:
                    if isinstance(error, _NOWHERE):
                        raise BadFirmwareError(f"{_shown(url)} leads nowhere: {error}") from None
                    problem = str(error) or type(error).__name__
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
        self, session: aiohttp.ClientSession, url: str, target: Path, cap_bytes: int
    ) -> str:
        async with session.get(
            url,
            proxy=self._proxy,
            max_redirects=_REDIRECTS_MAX,
            headers={"Accept-Encoding": "identity"},
        ) as response:
            if response.status >= 500 or response.status == 429:
                raise aiohttp.ClientError(f"the server answered {response.status}")
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
            f"{url[:100]!r} is not the address of a file on the web (http or https)"
        )


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
    """The url without its query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:300]


def _too_big(url: str, cap_bytes: int) -> BadFirmwareError:
    return BadFirmwareError(
        f"the file at {_shown(url)} is over {cap_bytes / 2**20:.0f} MB: see [limits] firmware_max_mb"
    )
