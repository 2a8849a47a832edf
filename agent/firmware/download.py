"""Brings a file from the web to local disk, bounded in size, and checks it.

Each address is looked up and checked here, once for each step of the way, and the connection (or the question to the
proxy) names that very address: nothing that a name or a redirect says later can lead elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver
from yarl import URL

from agent.config.file import Config
from agent.config.urls import origin
from agent.firmware.servers import Address, FileServers, is_never_asked, plain
from contract.errors import (
    BadFirmwareError,
    FileTooBigError,
    NoSuchFileError,
    PolicyRefusedError,
    StorageFullError,
    UnreachableError,
)

log = structlog.get_logger(__name__)
_CHUNK: Final = 256 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX: Final = 5
_ADDRESSES_MAX: Final = 8  # of one name, that are tried
_ATTEMPTS: Final = 3
# In words of ours: what aiohttp says may hold a whole url, and with it a signature or a password. What the far side
# said is left to the agent's own log: whoever named the url need not learn what answers there.
_INCOMPLETE: Final = "it did not come whole"
_PROBLEMS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        aiohttp.ClientConnectorCertificateError,
        "its certificate is not trusted: see [cloud] ca_file",
    ),
    (aiohttp.ClientSSLError, "no encrypted connection could be made"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused"),
    (aiohttp.ClientConnectorError, "no connection could be made"),
    (aiohttp.ConnectionTimeoutError, "no connection could be made"),
)


class _UnknownNameError(aiohttp.ClientError):
    """Nobody knows the name, or can say so now."""


class _ServerError(aiohttp.ClientError):
    """The server says that it is in trouble."""


class WebDownloader:
    """Implements `agent.ports.Downloader` with aiohttp."""

    def __init__(
        self,
        servers: FileServers,
        *,
        ca_file: Path | None = None,
        pin: tuple[str, Path] | None = None,
        proxy: str | None = None,
        resolver: AbstractResolver | None = None,
        idle_timeout_s: float = 30.0,
        total_timeout_s: float = 1800.0,
    ) -> None:
        """`ca_file` is of every server; `pin` the cloud's address, and the file of its own authority, which is of no
        other. `resolver` stands in for the names that this host knows.
        """
        self._servers = servers
        self._ca_file = ca_file
        self._pin = pin
        self._proxy = proxy
        self._resolver = resolver
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=15.0, sock_read=idle_timeout_s
        )
        self._total_timeout_s = total_timeout_s

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        """See `agent.ports.Downloader`. Broken transfers are started over a few times; the checksum is
        that of the whole file. Only the web is asked: no files of this host, no other protocols.
        """
        start, shown = _web_url(url), _shown(url)
        target = folder / _file_name(url)
        problem = ""
        async with self._session() as session:
            for _ in range(_ATTEMPTS):
                try:
                    async with asyncio.timeout(self._total_timeout_s):
                        found = await self._once(
                            session, start, target, cap_bytes, may_downgrade=sha256 is not None
                        )
                except (aiohttp.ClientError, OSError) as error:  # TimeoutError is one of these
                    problem = _problem(error)
                    log.warning(
                        "download.broken",
                        url=shown,
                        problem=problem,
                        detail=_detail(error),
                    )
                else:
                    if sha256 is not None and found != sha256.lower():
                        log.warning("download.other_file", url=shown, sha256=found)
                        await asyncio.to_thread(target.unlink, missing_ok=True)
                        raise BadFirmwareError(
                            f"the file at {shown} does not have the sha256 of the task"
                        )
                    return target
        await asyncio.to_thread(target.unlink, missing_ok=True)
        raise UnreachableError(f"{shown} could not be downloaded: {problem}")

    def _session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(
            cafile=None if self._ca_file is None else str(self._ca_file)
        )
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def _once(
        self,
        session: aiohttp.ClientSession,
        start: URL,
        target: Path,
        cap_bytes: int,
        *,
        may_downgrade: bool,
    ) -> str:
        """Follow the redirects to the file and write it; gives its sha256."""
        url, shown = start, _shown(str(start))
        for _ in range(_REDIRECTS_MAX):
            response = await self._ask(session, url, shown)
            async with response:
                if response.status not in _REDIRECTS:
                    return await _save(response, target, cap_bytes, shown)
                following = _redirected(url, response, shown)
            if url.scheme == "https" and following.scheme == "http" and not may_downgrade:
                raise BadFirmwareError(
                    f"{shown} is redirected from https to plain http, where anybody may change the file: "
                    "give its sha256, or an address that stays with https"
                )
            url = following
        raise BadFirmwareError(f"{shown} leads nowhere: it is redirected without end")

    async def _ask(
        self, session: aiohttp.ClientSession, url: URL, shown: str
    ) -> aiohttp.ClientResponse:
        """The answer of the first address that takes a connection. What is asked for by its address is still called by
        its name: in the request, and in the certificate.
        """
        problem: aiohttp.ClientError | None = None
        for address in await self._addresses(url, shown):
            try:
                return await session.get(
                    url.with_host(str(address)),
                    headers={
                        "Host": url.host_port_subcomponent or "",
                        "Accept-Encoding": "identity",
                    },
                    ssl=self._context_of(url),
                    server_hostname=None if _literal(url) else (url.raw_host or "").rstrip("."),
                    proxy=self._proxy,
                    allow_redirects=False,
                )
            except (
                aiohttp.ClientConnectorError,
                aiohttp.ClientHttpProxyError,
                aiohttp.ConnectionTimeoutError,
            ) as error:
                problem = error
        assert problem is not None
        raise problem

    def _context_of(self, url: URL) -> ssl.SSLContext | bool:
        """Whom the server of that url is to prove itself to. True: as all others."""
        if self._pin is None or origin(url) != origin(URL(self._pin[0])):
            return True
        return ssl.create_default_context(cafile=str(self._pin[1]))

    async def _addresses(self, url: URL, shown: str) -> list[Address]:
        """Those of the url's host that may be spoken to; at least one. Raises PolicyRefusedError, _UnknownNameError."""
        literal = _literal(url)
        found = [literal] if literal is not None else await self._look_up(url)
        usable = list(
            dict.fromkeys(plain(each) for each in found if self._servers.may_give(each, url))
        )
        if not usable:
            log.warning("download.refused", url=shown, addresses=[str(each) for each in found[:8]])
            # of an address that stands in the url; what a name leads to is not told
            if literal is not None and is_never_asked(literal):
                raise PolicyRefusedError(
                    f"{shown} leads to an address that firmware is never fetched from, whatever [firmware] allows: it "
                    "hands out the keys of machines"
                )
            raise PolicyRefusedError(
                f"{shown} leads to an address that firmware is not fetched from: it has to be a public one or the "
                "cloud's own, or to be named by allowed in [firmware] of the agent's config"
            )
        if self._proxy is not None:  # which may know the old addresses only
            usable.sort(key=lambda each: each.version)
        return usable[:_ADDRESSES_MAX]

    async def _look_up(self, url: URL) -> list[Address]:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        try:
            answers = await resolver.resolve(
                url.raw_host or "", url.port or 0, socket.AddressFamily.AF_UNSPEC
            )
        except (OSError, UnicodeError) as error:
            raise _UnknownNameError(str(error)) from None
        return [ip_address(each["host"]) for each in answers]


def open_downloader(config: Config) -> WebDownloader:
    """The downloader of this config, for the daemon and for tasks given by hand alike."""
    url, pin = config.cloud.url, None
    if url is not None and config.cloud.ca_file is None and config.cloud_ca is not None:
        pin = (url, config.cloud_ca)
    return WebDownloader(
        FileServers(config.firmware, cloud_url=url),
        ca_file=config.cloud.ca_file,
        pin=pin,
        proxy=config.cloud.proxy,
    )


async def _save(response: aiohttp.ClientResponse, target: Path, cap_bytes: int, shown: str) -> str:
    """Write the body to disk, and nothing if it is not the file; gives its sha256."""
    if response.status >= 500 or response.status == 429:
        raise _ServerError(f"status {response.status}")
    if response.status != 200:
        log.warning("download.no_file", url=shown, status=response.status)
        raise NoSuchFileError(f"{shown} is not given by its server: is the address right?")
    if (response.content_length or 0) > cap_bytes:
        raise _too_big(shown, cap_bytes)
    digest, size = hashlib.sha256(), 0
    out = await asyncio.to_thread(_create, target)
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > cap_bytes:
                raise _too_big(shown, cap_bytes)
            digest.update(chunk)
            await asyncio.to_thread(_write, out, chunk)
    except (BadFirmwareError, StorageFullError):
        target.unlink(missing_ok=True)
        raise
    finally:
        await asyncio.to_thread(_close, out)
    if size == 0:
        raise BadFirmwareError(f"the file at {shown} is empty")
    return digest.hexdigest()


def _web_url(text: str) -> URL:
    """Raises BadFirmwareError for what is not the address of a file on the web."""
    try:
        url = URL(text)
        is_web = url.scheme in ("http", "https") and bool(url.host) and bool(url.port)
    except ValueError:  # brackets that do not close, a port that is none
        is_web = False
    if not is_web or any(c.isspace() for c in text):
        raise BadFirmwareError(
            f"{_shown(text)} is not the address of a file on the web (http or https)"
        )
    return url


def _redirected(url: URL, response: aiohttp.ClientResponse, shown: str) -> URL:
    """Where it goes on. A name and password of the url are not carried to another server."""
    try:
        following = url.join(URL(response.headers.get("Location", "")))
        is_web = following.scheme in ("http", "https") and bool(following.host)
    except ValueError:
        is_web = False
    if not is_web or not response.headers.get("Location"):
        raise BadFirmwareError(
            f"{shown} leads nowhere: it is redirected to something that is not on the web"
        )
    if url.raw_user and not following.raw_user and origin(following) == origin(url):
        following = following.with_user(url.user).with_password(url.password)
    return following


def _literal(url: URL) -> Address | None:
    """The address that stands where a name could."""
    try:
        return ip_address(url.raw_host or "")
    except ValueError:
        return None


def _problem(error: Exception) -> str:
    if isinstance(error, _UnknownNameError):
        return "its name is not known here"
    return next((words for kind, words in _PROBLEMS if isinstance(error, kind)), _INCOMPLETE)


def _detail(error: Exception) -> str:
    """For the agent's own log: what kind of trouble, and of ours the words too. The words of others may hold a url."""
    kind = type(error).__name__.lstrip("_")
    return f"{kind}: {error}" if isinstance(error, _ServerError | _UnknownNameError) else kind


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


def _too_big(shown: str, cap_bytes: int) -> FileTooBigError:
    return FileTooBigError(
        f"the file at {shown} is over {cap_bytes / 2**20:.0f} MB: see [limits] firmware_max_mb"
    )
