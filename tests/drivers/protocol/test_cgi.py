"""The web side: whom a password is given to, what is asked, what is never asked."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest

from contract.errors import (
    AuthFailedError,
    MalformedError,
    OutcomeUnknownError,
    PolicyRefusedError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Endpoint
from drivers.antminer.protocol.cgi import Cgi
from drivers.base import Credentials
from tests.drivers.effects import MemoryEffect
from tests.drivers.servers import serving, wire
from tests.virtual_time import VirtualClock

REALM = "antMiner Configuration"


class Web:
    """A web server that asks for Digest and writes down every request."""

    def __init__(self, *, realm: str = REALM, password: str = "root", nonce_uses: int = 1 << 30):
        self.realm = realm
        self.password = password
        self.nonce_uses = nonce_uses
        self.requests: list[str] = []
        self.bodies: list[bytes] = []
        self.reply = b'HTTP/1.1 200 OK\r\n\r\n\n\n{"a": 1}'
        self.accepts = True
        self._nonces: dict[str, int] = {}

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head)
        length = re.search(r"Content-Length: (\d+)", head)
        self.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
        nonce = re.search(r'nonce="([^"]+)"', head)
        used = self._nonces.get(nonce[1], 0) if nonce else None
        is_fresh = nonce is not None and nonce[1] in self._nonces
        if not is_fresh or (used or 0) >= self.nonce_uses or self.password != "root":
            number = f"n{len(self._nonces)}"
            self._nonces[number] = 0
            writer.write(
                b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Digest "
                b'realm="%s", nonce="%s", qop="auth"\r\n\r\n'
                % (self.realm.encode(), number.encode())
            )
            return
        assert nonce is not None
        self._nonces[nonce[1]] += 1
        writer.write(self.reply)

    @property
    def with_password(self) -> list[str]:
        return [each for each in self.requests if "Authorization" in each]


@contextlib.asynccontextmanager
async def cgi_on(
    web: Web, *, stock: bool = True, password: str | None = "root"
) -> AsyncIterator[Cgi]:
    async with serving(web) as endpoint:
        credentials = Credentials("root", password) if password is not None else None
        yield Cgi(wire(endpoint), credentials, stock=stock)


async def test_one_refusal_is_enough_for_every_later_request():
    web = Web()
    async with cgi_on(web) as cgi:
        for _ in range(3):
            assert await cgi.get_json("get_miner_conf.cgi") == {"a": 1}
    assert len(web.requests) == 4
    assert len(web.with_password) == 3
    assert cgi.realm == REALM


async def test_a_nonce_grown_old_costs_one_more_request_and_no_failure():
    web = Web(nonce_uses=1)
    async with cgi_on(web) as cgi:
        for _ in range(3):
            assert await cgi.get_json("stats.cgi") == {"a": 1}
    assert len(web.requests) == 6


async def test_a_wrong_password_is_offered_once_and_then_rested():
    web = Web(password="other")
    async with cgi_on(web) as cgi:
        for _ in range(3):
            with pytest.raises(AuthFailedError):
                await cgi.get("stats.cgi")
        assert len(web.with_password) == 1
        web.password = "root"
        cgi.replace_credentials(Credentials("root", "root"))
        assert (await cgi.get("stats.cgi")).status == 200


async def test_without_a_password_none_is_sent():
    web = Web()
    async with cgi_on(web, password=None) as cgi:
        with pytest.raises(AuthFailedError):
            await cgi.get("stats.cgi")
    assert web.requests == []


async def test_a_miner_not_known_as_stock_gets_no_request_at_all():
    web = Web()
    async with cgi_on(web, stock=False) as cgi:
        with pytest.raises(WrongDeviceError):
            await cgi.get("stats.cgi")
        with pytest.raises(WrongDeviceError):
            await cgi.act("GET", "reboot.cgi", b"", MemoryEffect(VirtualClock()))
    assert web.requests == []


@pytest.mark.parametrize("realm", ["blackMiner Configuration", "Daoge", "", "x antMiner"])
async def test_a_foreign_realm_never_sees_our_password(realm: str):
    web = Web(realm=realm)
    async with cgi_on(web) as cgi:
        with pytest.raises(WrongDeviceError):
            await cgi.get("stats.cgi")
        with pytest.raises(WrongDeviceError):
            await cgi.act("POST", "blink.cgi", b"{}", MemoryEffect(VirtualClock()))
    assert web.with_password == []


async def test_the_realm_is_compared_without_its_case():
    async with cgi_on(Web(realm="ANTMINER configuration")) as cgi:
        assert (await cgi.get("stats.cgi")).status == 200


async def test_a_web_server_that_asks_no_password_is_no_stock_antminer():
    async def open_door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")

    async with serving(open_door) as endpoint:
        cgi = Cgi(wire(endpoint), Credentials("root", "root"), stock=True)
        with pytest.raises(WrongDeviceError):
            await cgi.get("stats.cgi")


async def test_a_change_is_sent_once_with_its_body_and_after_the_leave():
    web = Web()
    effect = MemoryEffect(VirtualClock())
    async with cgi_on(web) as cgi:
        response = await cgi.act("POST", "blink.cgi", b'{"blink":true}', effect)
    assert response.status == 200
    assert effect.sent == 1
    # The first request only fetched the challenge, so that no body was sent to be refused.
    assert [body for body in web.bodies if body] == [b'{"blink":true}']


async def test_a_change_refused_for_its_nonce_is_sent_again_and_only_then():
    web = Web(nonce_uses=1)
    effect = MemoryEffect(VirtualClock())
    async with cgi_on(web) as cgi:
        await cgi.get("stats.cgi")
        await cgi.act("POST", "blink.cgi", b"{}", effect)
    assert effect.sent == 2  # a 401 proves that the script did not run


async def test_a_change_whose_answer_is_lost_is_unknown_and_not_repeated():
    web = Web()
    web.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut"
    effect = MemoryEffect(VirtualClock())
    async with cgi_on(web) as cgi:
        with pytest.raises(OutcomeUnknownError):
            await cgi.act("POST", "set_miner_conf.cgi", b"{}", effect)
    assert effect.sent == 1
    assert len([body for body in web.bodies if body]) == 1


@pytest.mark.parametrize(
    "name", ["reset_conf.cgi", "upload_conf.cgi", "upgrade_clear.cgi", "passwd.cgi"]
)
async def test_dangerous_scripts_cannot_be_asked(name: str):
    web = Web()
    async with cgi_on(web) as cgi:
        with pytest.raises(PolicyRefusedError):
            await cgi.get(name)
        for method in ("GET", "POST"):
            with pytest.raises(PolicyRefusedError):
                await cgi.act(method, name, b"", MemoryEffect(VirtualClock()))
        with pytest.raises(PolicyRefusedError):
            await cgi.look(name, b"")
    assert web.requests == []


async def test_a_look_by_post_is_only_the_one_known_to_change_nothing():
    web = Web()
    async with cgi_on(web) as cgi:
        with pytest.raises(PolicyRefusedError):
            await cgi.look("blink.cgi", b"action=startBlink")
        assert (await cgi.look("blink.cgi", b"action=onPageLoaded")).status == 200


async def test_statuses_have_names():
    web = Web()
    async with cgi_on(web) as cgi:
        await cgi.establish()
        web.reply = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(UnsupportedError):
            await cgi.get_json("miner_type.cgi")
        web.reply = (
            b"HTTP/1.1 302 Found\r\nLocation: http://198.51.100.1/\r\nContent-Length: 0\r\n\r\n"
        )
        with pytest.raises(MalformedError, match="302"):
            await cgi.get_json("miner_type.cgi")
        web.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(MalformedError, match="empty"):
            await cgi.get_json("miner_type.cgi")


async def test_a_log_is_streamed_and_cut_at_its_cap():
    web = Web()
    web.reply = b"HTTP/1.1 200 OK\r\n\r\n" + b"log line\n" * 100_000

    class Sink:
        size = 0
        drains = 0

        def write(self, data: bytes) -> None:
            self.size += len(data)

        async def drain(self) -> None:
            self.drains += 1
            await asyncio.sleep(0)

    sink = Sink()
    async with cgi_on(web) as cgi:
        response = await cgi.fetch("log.cgi", sink, cap_bytes=200_000)
    assert response.truncated
    assert sink.size == 200_000
    assert sink.drains > 0


async def test_a_dead_web_port_is_unreachable():
    from contract.errors import UnreachableError
    from tests.drivers.servers import address

    cgi = Cgi(
        wire(Endpoint(host=address(), http_port=9)),
        Credentials("r", "r"),
        stock=True,
    )
    with pytest.raises(UnreachableError):
        await cgi.get("stats.cgi")
