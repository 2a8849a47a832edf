"""Where a firmware file comes from may be anybody: what is not the file is refused by name, and nothing of it stays."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import resource
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contract.errors import BadFirmwareError, MinerError, StorageFullError, UnreachableError
from tests.agent.firmware.test_download import downloader
from tests.agent.link.test_client import served
from tests.cloud.test_cli import certificate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CAP = 2**20


async def refused(
    handle: Handler, folder: Path, *, path: str = "/fw.bmu", sha: str | None = None
) -> MinerError:
    """What fetching from there ends with; nothing may be left in the folder."""
    async with served(handle) as url:
        with pytest.raises(MinerError) as raised:
            await downloader(idle_timeout_s=0.3, total_timeout_s=2.0).fetch(
                url + path, folder, cap_bytes=CAP, sha256=sha
            )
    assert list(folder.iterdir()) == []
    return raised.value


async def stream(
    request: web.Request, chunk: bytes, pause_s: float = 0.0, **headers: str
) -> web.StreamResponse:
    """Send it over and over, until the client has enough."""
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    try:
        while True:
            await response.write(chunk)
            await asyncio.sleep(pause_s)
    except ConnectionError:
        return response


async def test_an_endless_file_ends_at_the_cap_without_being_held_in_memory(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        return await stream(request, b"x" * 65536)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await refused(endless, tmp_path)
    assert isinstance(error, BadFirmwareError)
    assert "firmware_max_mb" in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


async def test_a_length_beyond_all_bounds_is_refused_before_a_byte_is_read(tmp_path: Path) -> None:
    async def boasts(request: web.Request) -> web.StreamResponse:
        return await stream(request, b"x", 0.01, **{"Content-Length": str(10**15)})

    assert isinstance(await refused(boasts, tmp_path), BadFirmwareError)


async def test_a_file_that_drips_or_hangs_ends_by_its_deadline(tmp_path: Path) -> None:
    async def drips(request: web.Request) -> web.StreamResponse:
        return await stream(request, b"x", 0.05)

    async def hangs(request: web.Request) -> web.StreamResponse:
        return await stream(request, b"x", 60.0)

    for handle in (drips, hangs):
        async with asyncio.timeout(15):
            assert isinstance(await refused(handle, tmp_path), UnreachableError)


async def test_a_bomb_is_stored_as_it_came_and_fails_the_checksum(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))

    async def packed(_request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await refused(packed, tmp_path, sha="0" * 64)
    assert "sha256" in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/fw.bmu",
        "data:text/plain,firmware",
        "gopher://127.0.0.1:70/x",
        "http://",
        "http://[::1/fw",
        "http://127.0.0.1:99999/fw",
        "//127.0.0.1/fw",
        "fw.bmu",
        "http://exa mple/\r\nHost: other/fw",
        "",
    ],
)
async def test_only_http_addresses_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadFirmwareError):
        await downloader().fetch(url, tmp_path, cap_bytes=CAP, sha256=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[::1", ""])
async def test_a_redirect_leads_to_the_web_only(target: str, tmp_path: Path) -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    assert isinstance(await refused(elsewhere, tmp_path), BadFirmwareError)


async def test_an_answer_that_is_no_http_is_unreachable(tmp_path: Path) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x00" * 100_000)
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/fw"
        with pytest.raises(UnreachableError):
            await downloader().fetch(url, tmp_path, cap_bytes=CAP, sha256=None)
    assert list(tmp_path.iterdir()) == []


async def test_a_disk_that_cannot_take_the_file_is_told_as_such(tmp_path: Path) -> None:
    async def whole(_request: web.Request) -> web.Response:
        return web.Response(body=b"firmware")

    gone = tmp_path / "gone"
    async with served(whole) as url:
        with pytest.raises(StorageFullError):
            await downloader().fetch(url + "/fw", gone, cap_bytes=CAP, sha256=None)


@pytest.mark.parametrize(
    "target",
    ["/again?sig=s3cret", "ftp://u:s3cret@127.0.0.1/x?sig=s3cret", "http://u:s3cret@[::1"],
)
async def test_a_redirect_that_fails_is_told_without_signature_and_password(
    target: str, tmp_path: Path
) -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    with capture_logs() as logs:
        error = await refused(elsewhere, tmp_path, path="/fw.bmu?sig=s3cret")
    assert "leads nowhere" in str(error) and "/fw.bmu" in str(error)
    assert "s3cret" not in f"{error!r} {logs!r}"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://u:s3cret@127.0.0.1/fw.bmu?sig=s3cret",
        "u:s3cret@127.0.0.1/fw.bmu",
        "http://u:s3cret@[::1/fw",
        "http://u:s3cret@127.0.0.1:99999/fw",
        "http://u:s3cret@127.0.0.1:9/fw?sig=s3cret",
        "http://u:s3cret@no-such-host.invalid/fw?sig=s3cret",
        "https://u:s3cret@127.0.0.1:9/fw?sig=s3cret",
    ],
)
async def test_an_address_that_cannot_be_fetched_is_told_without_signature_and_password(
    url: str, tmp_path: Path
) -> None:
    with capture_logs() as logs, pytest.raises(MinerError) as raised:
        await downloader().fetch(url, tmp_path, cap_bytes=CAP, sha256=None)
    assert "s3cret" not in f"{raised.value!r} {logs!r}"


async def test_https_does_not_lead_to_plain_http_unless_a_checksum_guards_the_file(
    tmp_path: Path,
) -> None:
    async def whole(_request: web.Request) -> web.Response:
        return web.Response(body=b"image")

    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    folder = tmp_path / "work"
    folder.mkdir()
    async with served(whole) as plain:

        async def elsewhere(_request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{plain}/fw.bmu"})

        async with served(elsewhere, context) as url:
            loader = downloader(ca_file=cert)
            with pytest.raises(BadFirmwareError, match="plain http"):
                await loader.fetch(url + "/fw.bmu", folder, cap_bytes=CAP, sha256=None)
            assert list(folder.iterdir()) == []
            sha = hashlib.sha256(b"image").hexdigest()
            path = await loader.fetch(url + "/fw.bmu", folder, cap_bytes=CAP, sha256=sha)
    assert path.read_bytes() == b"image"
