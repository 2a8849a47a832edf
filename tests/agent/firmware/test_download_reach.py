"""A url is an order to speak to somebody: whom the agent speaks to for it, and through whom."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from agent.config.firmware import FirmwareSection
from agent.firmware.download import WebDownloader
from agent.firmware.servers import FileServers
from contract.errors import BadFirmwareError, MinerError, PolicyRefusedError, UnreachableError
from tests.agent.firmware.test_download import downloader

DATA = b"image" * 1000
OPEN, INNER = "127.0.0.2", "127.0.0.1"  # the one that the config names, and one that it does not


class Names(AbstractResolver):
    """Names as this host knows them: each look-up takes the next answer, the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked += 1
        known = self.answers.get(host.rstrip(".").partition(".")[0])
        if known is None:
            raise OSError("nobody knows it")
        found = known.pop(0) if len(known) > 1 else known[0]
        return [
            ResolveResult(hostname=host, host=each, port=port, family=0, proto=0, flags=0)
            for each in found
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def server(
    host: str, answer=None, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[web.Request]]]:
    """Gives the file (or another answer) at that address; its port, and what it was asked."""
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return web.Response(body=DATA) if answer is None else answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


def redirect(location: str):
    return lambda _request: web.Response(status=302, headers={"Location": location})


async def fetched(loader: WebDownloader, url: str, folder: Path, sha: str | None = None) -> bytes:
    path = await loader.fetch(url, folder, cap_bytes=10**6, sha256=sha)
    content = path.read_bytes()
    path.unlink()
    return content


async def refused(loader: WebDownloader, url: str, folder: Path) -> PolicyRefusedError:
    with pytest.raises(PolicyRefusedError, match=r"\[firmware\]") as raised:
        await fetched(loader, url, folder)
    assert list(folder.iterdir()) == []
    return raised.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "2130706433", "0x7f000001", "0177.0.0.1", "127.1",
        "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]",
        "user:pw@127.0.0.1", "1.1.1.1@127.0.0.1", "１２７.0.0.1", "127。0。0。1", "[::1%25lo]",
    ],
)  # fmt: skip
async def test_no_spelling_of_this_host_is_connected_to(host: str, tmp_path: Path) -> None:
    async with server(INNER) as (port, asked):
        with pytest.raises(MinerError) as raised:
            await fetched(downloader(OPEN), f"http://{host}:{port}/fw.bmu", tmp_path)
    assert isinstance(raised.value, PolicyRefusedError | BadFirmwareError | UnreachableError)
    assert asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1"]
)
async def test_the_common_spellings_are_refused_by_name(host: str, tmp_path: Path) -> None:
    await refused(downloader(OPEN), f"http://{host}:9/fw.bmu", tmp_path)


async def test_a_server_that_the_config_names_is_fetched_from(tmp_path: Path) -> None:
    async with server(OPEN) as (port, _):
        assert await fetched(downloader(OPEN), f"http://{OPEN}:{port}/fw.bmu", tmp_path) == DATA
        await refused(downloader("127.0.0.3"), f"http://{OPEN}:{port}/fw.bmu", tmp_path)


async def test_an_ipv6_server_that_the_config_names_is_fetched_from(tmp_path: Path) -> None:
    async with server("::1") as (port, asked):
        assert await fetched(downloader("::1"), f"http://[::1]:{port}/fw.bmu", tmp_path) == DATA
        assert asked[0].host == f"[::1]:{port}"


async def test_the_cloud_itself_is_fetched_from(tmp_path: Path) -> None:
    async with server(INNER) as (port, _), server(INNER) as (other, asked):
        servers = FileServers(FirmwareSection(), cloud_url=f"http://127.0.0.1:{port}")
        loader = WebDownloader(servers)
        assert await fetched(loader, f"http://127.0.0.1:{port}/files/1?sig=x", tmp_path) == DATA
        await refused(loader, f"http://127.0.0.1:{other}/fw.bmu", tmp_path)
        assert asked == []


@pytest.mark.parametrize("host", [INNER, "localhost", "[::ffff:127.0.0.1]", "169.254.169.254"])
async def test_every_step_of_a_redirect_is_checked_anew(host: str, tmp_path: Path) -> None:
    async with server(INNER) as (inner_port, asked):
        target = f"http://{host}:{inner_port}/latest?token=s3cret"
        async with server(OPEN, redirect(target)) as (port, _):
            hop = redirect(f"http://{OPEN}:{port}/on")
            async with server(OPEN, hop) as (first, _):
                with capture_logs() as logs:
                    error = await refused(
                        downloader(OPEN), f"http://{OPEN}:{first}/fw.bmu", tmp_path
                    )
    assert asked == []
    assert f"{OPEN}:{first}/fw.bmu" in str(error)
    assert "s3cret" not in f"{error!r} {logs!r}"
    assert str(inner_port) not in str(error)


async def test_a_name_is_connected_to_at_the_address_that_was_checked(tmp_path: Path) -> None:
    """A name that means something else when it is asked for again (DNS rebinding) is asked for once."""
    async with server(OPEN) as (port, asked), server(INNER) as (_, inner):
        names = Names(files=[[OPEN], [INNER]])
        loader = downloader(OPEN, resolver=names)
        assert await fetched(loader, f"http://files.example:{port}/fw.bmu", tmp_path) == DATA
        assert names.asked == 1
        assert [each.host for each in asked] == [f"files.example:{port}"]
        await refused(loader, f"http://files.example:{port}/fw.bmu", tmp_path)
        assert inner == []


async def test_of_several_addresses_only_those_allowed_are_connected_to(tmp_path: Path) -> None:
    async with server(INNER) as (port, inner):
        for mixed in ([INNER, OPEN], [OPEN, INNER, "::1"], [OPEN, "::ffff:127.0.0.1"]):
            loader = downloader(OPEN, resolver=Names(files=[mixed]))  # nobody listens at OPEN
            with pytest.raises(UnreachableError, match="no connection"):
                await fetched(loader, f"http://files.example:{port}/fw.bmu", tmp_path)
        assert inner == []
    async with server(OPEN) as (port, _):
        loader = downloader("127.0.0.0/8", resolver=Names(files=[["127.0.0.9", OPEN]]))
        assert await fetched(loader, f"http://files.example:{port}/fw.bmu", tmp_path) == DATA


async def test_what_is_refused_says_nothing_of_names_and_servers_inside(tmp_path: Path) -> None:
    loader = downloader(OPEN, resolver=Names(intranet=[["10.20.30.40"]]))
    error = await refused(loader, "http://intranet/fw.bmu", tmp_path)
    assert "10.20" not in str(error)
    with pytest.raises(UnreachableError, match="not known here"):
        await fetched(loader, "http://no-such/fw.bmu", tmp_path)


async def test_what_no_setting_allows_is_not_said_to_be_allowed_by_one(tmp_path: Path) -> None:
    """Unless it is a name that leads there, of which nothing is told."""
    loader = downloader("169.254.0.0/16", resolver=Names(intranet=[["169.254.169.254"]]))
    for url in ("http://169.254.169.254/fw.bmu", "http://[::ffff:169.254.169.254]/fw.bmu"):
        assert "never fetched from" in str(await refused(loader, url, tmp_path))
    words = str(await refused(loader, "http://intranet/fw.bmu", tmp_path))
    assert "never" not in words
    assert "[firmware]" in words


async def test_an_error_is_the_same_whatever_the_server_said(tmp_path: Path) -> None:
    said = set()
    for status in (204, 304, 400, 401, 403, 404, 418):
        async with server(OPEN, lambda _, status=status: web.Response(status=status)) as (port, _):
            with capture_logs() as logs, pytest.raises(BadFirmwareError) as raised:
                await fetched(downloader(OPEN), f"http://{OPEN}:{port}/fw", tmp_path)
        said.add(str(raised.value).replace(str(port), ""))
        # for whoever stands at the agent
        assert [each["status"] for each in logs] == [status]
    assert len(said) == 1


async def test_a_password_of_the_url_goes_to_no_other_server(tmp_path: Path) -> None:
    async with server(OPEN) as (other, strangers):

        def on(request: web.Request) -> web.Response:
            path = "/again" if request.path == "/fw.bmu" else f"http://{OPEN}:{other}/x"
            if request.path == "/fw.bmu":
                path = str(request.url.with_path("/again"))
            return web.Response(status=307, headers={"Location": path})

        async with server(OPEN, on) as (port, asked):
            url = f"http://farm:s3cret@{OPEN}:{port}/fw.bmu"
            assert await fetched(downloader(OPEN), url, tmp_path) == DATA
    assert [each.headers.get("Authorization") is not None for each in asked] == [True, True]
    assert [each.headers.get("Authorization") for each in strangers] == [None]


def identity(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for that name alone; the file of its authority, and the server's side."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "files")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_path, key_path)
    return cert_path, context


@asynccontextmanager
async def http_proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy for both kinds of questions; its url, and the targets it was asked for."""
    targets: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        targets.append(target)
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            far, out = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            host, _, port = target.split("/")[2].rpartition(":")
            far, out = await asyncio.open_connection(host.strip("[]"), int(port))
            out.write(head.replace(f"http://{host}:{port}".encode(), b"", 1))
        await asyncio.gather(pump(reader, out), pump(far, writer))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        sink.close()

    proxy = await asyncio.start_server(serve, "127.0.0.5", 0)
    async with proxy:
        yield f"http://127.0.0.5:{proxy.sockets[0].getsockname()[1]}", targets


async def test_https_is_verified_by_the_name_and_connected_to_by_the_address(
    tmp_path: Path,
) -> None:
    ca, context = identity(tmp_path, "files.example")
    folder = tmp_path / "work"
    folder.mkdir()
    sha = hashlib.sha256(DATA).hexdigest()
    async with server(OPEN, context=context) as (port, _), http_proxy() as (proxy, targets):
        for through in (None, proxy):
            loader = downloader(
                OPEN, ca_file=ca, proxy=through, resolver=Names(files=[[OPEN]], other=[[OPEN]])
            )
            for host in ("files.example", "files.example."):
                url = f"https://{host}:{port}/fw.bmu"
                assert await fetched(loader, url, folder, sha) == DATA
            with pytest.raises(UnreachableError, match="certificate"):
                await fetched(loader, f"https://other.example:{port}/fw.bmu", folder)
            with pytest.raises(UnreachableError, match="certificate"):
                await fetched(loader, f"https://{OPEN}:{port}/fw.bmu", folder)
        assert set(targets) == {f"{OPEN}:{port}"}


async def test_a_proxy_is_asked_for_the_address_that_was_checked(tmp_path: Path) -> None:
    async with server(OPEN) as (port, asked), http_proxy() as (proxy, targets):
        loader = downloader(OPEN, proxy=proxy, resolver=Names(files=[[OPEN]], inner=[[INNER]]))
        assert await fetched(loader, f"http://files.example:{port}/a?b=1", tmp_path) == DATA
        assert targets == [f"http://{OPEN}:{port}/a?b=1"]
        assert asked[0].host == f"files.example:{port}"
        for host in (INNER, "inner.example", "169.254.169.254"):
            await refused(loader, f"http://{host}:{port}/a", tmp_path)
        for host in (INNER, "inner.example"):
            await refused(loader, f"https://{host}:{port}/a", tmp_path)
        assert len(targets) == 1  # it was asked for nothing else


async def test_a_redirect_through_a_proxy_is_checked_too(tmp_path: Path) -> None:
    async with server(INNER) as (inner_port, inner), http_proxy() as (proxy, targets):
        target = redirect(f"http://{INNER}:{inner_port}/x")
        async with server(OPEN, target) as (port, _):
            await refused(downloader(OPEN, proxy=proxy), f"http://{OPEN}:{port}/fw", tmp_path)
        assert inner == []
        assert targets == [f"http://{OPEN}:{port}/fw"]


async def test_a_proxy_that_is_away_or_refuses_is_told_as_such(tmp_path: Path) -> None:
    async def forbid(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    gone = downloader(OPEN, proxy="http://127.0.0.5:9")
    with pytest.raises(UnreachableError, match="proxy cannot be reached"):
        await fetched(gone, f"https://{OPEN}:9/fw", tmp_path)
    proxy = await asyncio.start_server(forbid, "127.0.0.5", 0)
    async with proxy:
        at = f"http://127.0.0.5:{proxy.sockets[0].getsockname()[1]}"
        with pytest.raises(UnreachableError, match="the proxy refused"):
            await fetched(downloader(OPEN, proxy=at), f"https://{OPEN}:9/fw", tmp_path)
