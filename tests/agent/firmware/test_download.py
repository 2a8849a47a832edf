from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from aiohttp import web

from agent.config.firmware import FirmwareSection
from agent.firmware.download import WebDownloader
from agent.firmware.servers import FileServers
from contract.errors import BadFirmwareError, UnreachableError
from tests.agent.link.test_client import served

DATA = b"firmware" * 10_000
SHA = hashlib.sha256(DATA).hexdigest()


def downloader(*allowed: str, **more) -> WebDownloader:
    """One that may fetch from these ranges of private addresses; from all of loopback, where none is given."""
    section = FirmwareSection(allowed=allowed or ("127.0.0.0/8",))
    return WebDownloader(FileServers(section, cloud_url=None), **more)


async def fetch(
    handle, tmp_path: Path, *, path="/a/fw.bmu?sig=secret", cap=10**6, sha=None
) -> Path:
    async with served(handle) as url:
        return await downloader(idle_timeout_s=0.5).fetch(
            url + path, tmp_path, cap_bytes=cap, sha256=sha
        )


async def whole(_request: web.Request) -> web.Response:
    return web.Response(body=DATA)


async def test_a_file_is_brought_to_disk_and_checked(tmp_path: Path) -> None:
    path = await fetch(whole, tmp_path, sha=SHA.upper())
    assert path == tmp_path / "fw.bmu"
    assert path.read_bytes() == DATA


async def test_a_file_with_another_checksum_is_refused_and_removed(tmp_path: Path) -> None:
    with pytest.raises(BadFirmwareError, match="sha256 of the task") as raised:
        await fetch(whole, tmp_path, sha="0" * 64)
    assert SHA not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_too_big_is_not_kept_whether_announced_or_not(tmp_path: Path) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        except ConnectionError:
            return response

    for handle in (whole, drip):
        with pytest.raises(BadFirmwareError, match="firmware_max_mb"):
            await fetch(handle, tmp_path, cap=1000)
        assert list(tmp_path.iterdir()) == []


async def test_an_error_status_is_the_files_fault_and_is_told_without_it_and_without_the_signature(
    tmp_path: Path,
) -> None:
    async def gone(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    with pytest.raises(BadFirmwareError, match="not given by its server") as raised:
        await fetch(gone, tmp_path)
    assert "secret" not in str(raised.value)
    assert "404" not in str(raised.value)


async def test_a_transfer_that_breaks_is_begun_anew(tmp_path: Path) -> None:
    asked: list[int] = []

    async def breaks_twice(request: web.Request) -> web.StreamResponse:
        asked.append(1)
        if len(asked) == 3:
            return web.Response(body=DATA)
        response = web.StreamResponse(headers={"Content-Length": str(len(DATA))})
        await response.prepare(request)
        await response.write(DATA[:1000])
        assert request.transport is not None
        request.transport.abort()
        return response

    path = await fetch(breaks_twice, tmp_path, sha=SHA)
    assert path.read_bytes() == DATA


async def test_a_server_that_is_away_or_always_broken_is_unreachable(tmp_path: Path) -> None:
    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    with pytest.raises(UnreachableError, match="did not come whole") as raised:
        await fetch(broken, tmp_path)
    assert "503" not in str(raised.value)
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9/x could not"):
        await downloader().fetch("http://127.0.0.1:9/x", tmp_path, cap_bytes=1000, sha256=None)


async def test_an_empty_file_is_no_firmware(tmp_path: Path) -> None:
    async def empty(_request: web.Request) -> web.Response:
        return web.Response(body=b"")

    with pytest.raises(BadFirmwareError, match="empty"):
        await fetch(empty, tmp_path)


async def test_redirects_lead_to_the_file_but_not_for_ever(tmp_path: Path) -> None:
    async def once(request: web.Request) -> web.Response:
        if request.path == "/file":
            return web.Response(body=DATA)
        return web.Response(status=302, headers={"Location": "/file"})

    assert (await fetch(once, tmp_path)).read_bytes() == DATA

    async def forever(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/again"})

    with pytest.raises(BadFirmwareError, match="nowhere"):
        await fetch(forever, tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/..%2F..%2Fetc%2Fpasswd", "_.._etc_passwd"),
        ("/", "firmware"),
        ("/.hidden", "hidden"),
        ("/a%20b.bmu", "a_b.bmu"),
    ],
)
async def test_the_name_on_disk_never_leaves_the_folder(
    tmp_path: Path, path: str, name: str
) -> None:
    found = await fetch(whole, tmp_path, path=path)
    assert found == tmp_path / name


async def test_compressed_answers_are_not_unpacked(tmp_path: Path) -> None:
    async def packed(_request: web.Request) -> web.Response:
        return web.Response(body=DATA, headers={"Content-Encoding": "gzip"})

    assert (await fetch(packed, tmp_path, sha=SHA)).read_bytes() == DATA
