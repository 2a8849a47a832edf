"""A server that renews its certificate while it runs, and takes up what a command made."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from cloud.context import AUTHORITIES
from cloud.http.listener import CloudListener
from cloud.server import create_runner
from cloud.tls.certificates import print_of
from cloud.tls.folder import TlsFolder
from cloud.tls.keeper import TlsKeeper
from cloud.tls.public import OwnAuthorities, TlsError
from contract.enrolment.authorities import fingerprint
from tests.cloud.conftest import Cloud, HandClock
from tests.handshakes import client_context, shake
from tests.waiting import until

NAME = "cloud.example.net"
YEAR_S = timedelta(days=365).total_seconds()


class Site:
    """The certificates of one cloud, and the part of a server that keeps them."""

    def __init__(self, data: Path) -> None:
        self.clock = HandClock()
        self.folder = TlsFolder(data)
        self.folder.init((NAME,), self.clock.now())
        self.told = OwnAuthorities()
        self.keeper = TlsKeeper(self.folder, self.clock, self.told)

    @property
    def shown(self) -> str:
        return print_of(self.folder.shown().certificate)

    def seen(self, server: ssl.SSLContext) -> str:
        return fingerprint(shake(client_context(self.folder.trusted), server, NAME))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "data")


def test_a_server_that_was_off_for_years_renews_before_it_listens(site: Site) -> None:
    before = site.shown
    site.clock.move(5 * YEAR_S)
    assert site.seen(site.keeper.open()) == site.shown != before


def test_one_that_runs_renews_long_before_the_end_and_then_rests(site: Site) -> None:
    first = site.seen(site.keeper.open())
    site.clock.move(YEAR_S - 86_400)
    assert site.keeper.look() is None
    site.clock.move(86_400)
    renewed = site.keeper.look()
    assert renewed is not None
    assert site.seen(renewed) == site.shown != first
    site.clock.move(7200)
    assert site.keeper.look() is None


def test_what_a_command_made_is_shown_within_seconds_and_told(site: Site) -> None:
    site.keeper.open()
    (alone,) = site.told.fingerprints
    site.folder.rotate(site.clock.now())
    taken = site.keeper.look()
    assert taken is not None
    assert site.seen(taken) == site.shown
    new, former = site.told.fingerprints
    assert former == alone
    site.folder.finish(site.clock.now())
    site.keeper.look()
    assert site.told.fingerprints == (new,)
    assert site.told.pem == site.folder.trusted.read_text()


@pytest.mark.parametrize("days", [-20_000, 26_000])
def test_a_clock_that_is_wrong_by_decades_is_said_and_leaves_what_works(
    site: Site, days: float
) -> None:
    """1972 and 2098."""
    site.clock.step(days)
    with structlog.testing.capture_logs() as logs:
        shown = site.keeper.open()
    assert {each["event"] for each in logs} & {"tls.clock", "tls.expired"}
    site.clock.step(-days)
    assert site.keeper.look() is None
    authority = site.folder.authority()
    assert site.folder.shown().certificate.not_valid_after_utc <= (
        authority.certificate.not_valid_after_utc
    )
    assert site.seen(shown) == site.shown
    site.clock.move(7200)
    with structlog.testing.capture_logs():
        again = site.keeper.look()
    assert site.seen(again or shown) == site.shown


def test_the_end_of_the_authority_is_said_two_years_before(site: Site) -> None:
    site.clock.move(17.9 * YEAR_S)
    with structlog.testing.capture_logs() as logs:
        site.keeper.open()
    assert [each["event"] for each in logs] == ["tls.shown"]
    site.clock.move(0.2 * YEAR_S)
    with structlog.testing.capture_logs() as logs:
        site.keeper.open()
    assert [each["event"] for each in logs] == ["tls.authority_ends", "tls.shown"]
    site.folder.rotate(site.clock.now())
    with structlog.testing.capture_logs() as logs:
        site.keeper.open()
    assert [each["event"] for each in logs] == ["tls.shown"]


def test_where_it_cannot_be_renewed_it_is_shown_as_it_is_and_that_is_said(site: Site) -> None:
    (site.folder.root / "authority.pem").unlink()
    before = site.shown
    site.clock.move(3 * YEAR_S)
    with structlog.testing.capture_logs() as logs:
        site.keeper.open()
    assert [each["event"] for each in logs] == ["tls.not_renewed", "tls.expired"]
    assert "authority.pem is missing" in logs[0]["error"]
    assert site.shown == before


def test_what_is_damaged_while_it_runs_takes_nothing_away(site: Site) -> None:
    site.keeper.open()
    site.folder.server.write_bytes(b"damaged")
    with structlog.testing.capture_logs() as logs:
        assert site.keeper.look() is None
        assert site.keeper.look() is None
    assert [each["event"] for each in logs] == ["tls.unusable"]


def test_a_server_that_has_nothing_to_show_does_not_start_without(site: Site) -> None:
    site.folder.server.unlink()
    with structlog.testing.capture_logs(), pytest.raises(TlsError, match="tls init"):
        site.keeper.open()


def test_while_a_command_changes_them_the_server_waits_for_the_next_look(site: Site) -> None:
    site.keeper.open()
    site.clock.move(2 * YEAR_S)
    with site.folder._changing(), structlog.testing.capture_logs() as logs:
        assert site.keeper.look() is None
    assert "try again" in logs[0]["error"]
    site.clock.move(7200)
    assert site.keeper.look() is not None


@asynccontextmanager
async def listening(cloud: Cloud, site: Site) -> AsyncIterator[str]:
    """A second door of the cloud, with certificates of its own making."""
    runner = create_runner(cloud.app)
    site.keeper = TlsKeeper(site.folder, site.clock, cloud.app[AUTHORITIES])
    context = site.keeper.open()
    await runner.setup()
    listener = CloudListener(runner, "127.0.0.1", 0, cloud.settings, most=20, ssl_context=context)
    await listener.start()
    keeping = asyncio.create_task(site.keeper.run(listener.show))
    try:
        yield f"https://127.0.0.1:{listener.port}"
    finally:
        keeping.cancel()
        await listener.stop()


class Line:
    """One connection to a server, as a client without a pool holds it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.shown = fingerprint(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, client: ssl.SSLContext) -> AsyncIterator[Line]:
        host, _, port = url.removeprefix("https://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=client)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def ask(self) -> bytes:
        self._writer.write(b"GET /health HTTP/1.1\r\nHost: cloud\r\n\r\n")
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        return await self._reader.readexactly(len(b'{"ok":true}'))


async def test_connections_that_are_open_outlive_a_renewal_and_new_ones_see_the_new(
    cloud: Cloud, site: Site
) -> None:
    client, old = client_context(site.folder.trusted), site.shown
    async with listening(cloud, site) as url, Line.to(url, client) as line:
        assert await line.ask() == b'{"ok":true}'
        assert line.shown == old
        site.clock.move(YEAR_S)
        await until(lambda: site.shown != old)

        async def is_new() -> bool:
            async with Line.to(url, client) as another:
                return another.shown == site.shown and bool(await another.ask())

        await until(is_new)
        assert await line.ask() == b'{"ok":true}'


async def test_whoever_asks_is_told_the_authorities_and_agents_their_fingerprints(
    cloud: Cloud, site: Site
) -> None:
    agent = await cloud.agent()
    async with cloud.http.get(f"{cloud.base}/link/v1/authorities") as response:
        assert response.status == 404
    cloud.app[AUTHORITIES].take(site.folder.trusted.read_text())
    async with cloud.http.get(f"{cloud.base}/link/v1/authorities") as response:
        assert response.status == 200
        assert await response.json() == {"pem": site.folder.trusted.read_text()}
    beat = {"version": "v", "uptime_s": 1.0, "host": {}}
    _, answer = await agent.call("POST", "heartbeat", json=beat)
    assert answer["authorities"] == [print_of(site.folder.authority().certificate)]
