from __future__ import annotations

import asyncio
import hashlib
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from agent.link.client import CloudLink
from agent.link.enroll import enroll, membership
from agent.ports import CloudError
from contract.link import (
    ClaimReply,
    ClaimRequest,
    EnrollReply,
    FileReply,
    Heartbeat,
    HeartbeatReply,
    MinerReading,
    ReadingsReply,
    ReadingsRequest,
    ReportReply,
    ReportRequest,
    Settings,
)
from drivers.base import LogFile
from tests.agent.certificates import own_certificate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handle: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A far side on a real socket; every path comes to `handle`."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def linked(handle: Handler, **more) -> AsyncIterator[CloudLink]:
    async with served(handle) as url:
        link = CloudLink(url, "t0ken", **more)
        try:
            yield link
        finally:
            await link.close()


def said(message: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), status=status)


CLAIM = ClaimRequest(journal_id="j", last_seq=3, wait_s=0.0)


async def test_each_call_goes_to_its_path_with_the_token() -> None:
    seen: list[tuple[str, str, str]] = []
    replies = {
        "claims": ClaimReply(),
        "reports": ReportReply(acks=()),
        "readings": ReadingsReply(state="ok"),
        "heartbeat": HeartbeatReply(settings_rev=4),
        "settings": Settings(rev=4, ranges=("10.0.0.0/24",)),
    }

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.headers["Authorization"]))
        return said(replies[request.path.rpartition("/")[2]])

    async with linked(handle) as link:
        await link.claim(CLAIM)
        await link.report(ReportRequest(journal_id="j", events=()))
        await link.push(ReadingsRequest(run_id="r", seq=1, readings=()))
        assert (await link.heartbeat(Heartbeat(version="v", uptime_s=1, host={}))).settings_rev == 4
        assert (await link.settings()).ranges == ("10.0.0.0/24",)
    assert [each[:2] for each in seen] == [
        ("POST", "/link/v1/claims"),
        ("POST", "/link/v1/reports"),
        ("POST", "/link/v1/readings"),
        ("POST", "/link/v1/heartbeat"),
        ("GET", "/link/v1/settings"),
    ]
    assert {each[2] for each in seen} == {"Bearer t0ken"}


async def test_big_messages_are_compressed() -> None:
    got: list[tuple[int, ReadingsRequest]] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.headers["Content-Encoding"] == "deflate"
        body = await request.read()  # the server side of aiohttp inflates by itself
        wire = int(request.headers["Content-Length"])
        got.append((wire, msgspec.json.decode(body, type=ReadingsRequest)))
        return said(ReadingsReply(state="ok"))

    readings = tuple(MinerReading(at="2026", ip=f"10.0.0.{n}") for n in range(200))
    async with linked(handle) as link:
        await link.push(ReadingsRequest(run_id="r", seq=1, readings=readings))
    wire, request = got[0]
    assert request.readings == readings
    assert wire < len(msgspec.json.encode(request)) / 4
    assert zlib.decompress(zlib.compress(b"x")) == b"x"


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (409, False),
        (429, True),
        (500, True),
        (503, True),
        (302, True),
    ],
)
async def test_an_error_tells_its_sentence_and_whether_asking_again_can_help(
    status: int, retry: bool
) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return said({"statusCode": status, "message": "because", "error": "x"}, status)

    async with linked(handle) as link:
        with pytest.raises(CloudError, match="because") as raised:
            await link.claim(CLAIM)
    assert (raised.value.retry, raised.value.status) == (retry, status)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"lease_s": "x"}', b"[" * 10_000])
async def test_an_answer_that_is_not_what_was_agreed_is_an_error(body: bytes) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with linked(handle) as link:
        with pytest.raises(CloudError, match="agreed"):
            await link.claim(CLAIM)


async def test_no_cloud_and_a_silent_cloud_can_be_asked_again() -> None:
    async def handle(_request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return said(ClaimReply())

    async with linked(handle, timeout_s=0.2) as link:
        with pytest.raises(CloudError, match=r"0\.2 s") as raised:
            await link.claim(CLAIM)
        assert raised.value.retry
    link = CloudLink("http://127.0.0.1:9", "t")
    with pytest.raises(CloudError, match="reached") as raised:
        await link.claim(CLAIM)
    assert raised.value.retry
    await link.close()


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with linked(handle) as link:
        with pytest.raises(CloudError):
            await link.claim(CLAIM)
    assert asked == ["/link/v1/claims"]


async def test_a_token_renewed_on_disk_is_taken_up() -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer new":
            return said({"message": "revoked"}, 401)
        return said(ClaimReply(lease_s=7.0))

    async with linked(handle, reload_token=lambda: "new") as link:
        assert (await link.claim(CLAIM)).lease_s == 7.0
    async with linked(handle, reload_token=lambda: "t0ken") as link:
        with pytest.raises(CloudError, match="revoked"):
            await link.claim(CLAIM)


class Shelf:
    """A cloud's file store that can lose the connection or the answer in the middle."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        self.data = b""
        self.ranges: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.ranges.append(request.headers["Content-Range"])
        span, size = self.ranges[-1].removeprefix("bytes ").split("/")
        body = await request.read()
        fault = self.faults.pop(0) if self.faults and body else ""
        if fault == "cut before":
            assert request.transport is not None
            request.transport.abort()
        elif body:
            start = int(span.split("-")[0])
            assert start <= len(self.data)
            self.data = self.data[:start] + body
        if fault == "answer lost":
            assert request.transport is not None
            request.transport.abort()
        complete = (
            len(self.data) == int(size)
            and hashlib.sha256(self.data).hexdigest() == request.headers["X-Sha256"]
        )
        return said(FileReply(received=len(self.data), complete=complete))


def log_of(path: Path, size: int) -> LogFile:
    data = bytes(n % 251 for n in range(size))
    path.write_bytes(data)
    return LogFile(
        path=str(path), name="miner.log", size_bytes=size, sha256=hashlib.sha256(data).hexdigest()
    )


@pytest.mark.parametrize("size", [0, 1, 4096, 10_000])
async def test_a_file_arrives_whole_in_chunks(tmp_path: Path, size: int) -> None:
    shelf, file = Shelf([]), log_of(tmp_path / "log", size)
    async with linked(shelf.handle, chunk_bytes=4096) as link:
        await link.upload("task", file)
    assert shelf.data == Path(file.path).read_bytes()
    assert len(shelf.ranges) == max(1, -(-size // 4096))


@pytest.mark.parametrize("fault", ["cut before", "answer lost"])
async def test_a_broken_upload_goes_on_from_what_the_cloud_has(tmp_path: Path, fault: str) -> None:
    # twice, since aiohttp sends a PUT once more by itself when a kept connection breaks
    shelf, file = Shelf(["", fault, fault]), log_of(tmp_path / "log", 20_000)
    async with linked(shelf.handle, chunk_bytes=4096) as link:
        with pytest.raises(CloudError) as raised:
            await link.upload("task", file)
        assert raised.value.retry
        await link.upload("task", file)
    assert shelf.data == Path(file.path).read_bytes()
    stored = 4096 if fault == "cut before" else 8192
    assert "bytes */20000" in shelf.ranges
    after = shelf.ranges[shelf.ranges.index("bytes */20000") + 1]
    assert after.startswith(f"bytes {stored}-")


async def test_a_cloud_that_keeps_nothing_ends_the_upload(tmp_path: Path) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return said(FileReply(received=0, complete=False))

    async with linked(handle) as link:
        with pytest.raises(CloudError, match="did not keep"):
            await link.upload("task", log_of(tmp_path / "log", 100))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    ca, path = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return ca, context


async def test_the_cloud_must_show_a_certificate_we_trust(
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    ca, context = certificate

    async def handle(_request: web.Request) -> web.Response:
        return said(ClaimReply(lease_s=9.0))

    async with served(handle, context) as url:
        trusting = CloudLink(url, "t", ca_file=ca)
        assert (await trusting.claim(CLAIM)).lease_s == 9.0
        await trusting.close()
        strict = CloudLink(url, "t")
        with pytest.raises(CloudError, match="ca_file"):
            await strict.claim(CLAIM)
        await strict.close()


async def test_enrolling_leaves_a_token_only_the_agent_can_read(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        body = await request.json()
        if body["code"] != "c0de":
            return said({"message": "This code is not valid"}, 401)
        return said(EnrollReply(agent_id="a", workspace_id="w", farm_id="f", token="t0p"))

    token = tmp_path / "state" / "token"
    async with served(handle) as url:
        with pytest.raises(CloudError, match="not valid"):
            await enroll(url, "wrong", token)
        assert not token.exists()
        member = await enroll(url, " c0de\n", token)
    assert (member.agent_id, member.farm_id) == ("a", "f")
    assert membership(token) == member
    assert token.read_text() == "t0p\n"
    assert token.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in token.parent.iterdir()) == ["membership.json", "token"]
    token.with_name("membership.json").write_text("{")
    with pytest.raises(ValueError, match=r"membership\.json is damaged: enroll again"):
        membership(token)


@pytest.mark.parametrize("name", ["token", "membership.json"])
async def test_a_code_is_not_used_up_where_the_token_cannot_be_kept(
    name: str, tmp_path: Path
) -> None:
    """A folder in a file's place is what some containers make of a file that is missing."""

    async def handle(_request: web.Request) -> web.Response:
        raise AssertionError("the code was used")

    (tmp_path / name).mkdir()
    async with served(handle) as url:
        with pytest.raises(IsADirectoryError, match=name):
            await enroll(url, "c0de", tmp_path / "token")


async def test_enrolling_over_plain_http_is_for_this_host_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="clear"):
        await enroll("http://cloud.example.net", "c", tmp_path / "token")
