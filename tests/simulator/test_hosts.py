"""Hosts that are no miners: what each says, and that every byte it is sent is kept."""

from __future__ import annotations

import asyncio

import pytest

from simulator.hosts.catalogue import EVERYTHING, HOSTS, MINERS_PORTS


async def exchange(ip: str, port: int, data: bytes, *, least: int = 1) -> bytes:
    reader, writer = await asyncio.open_connection(ip, port)
    writer.write(data)
    found = await reader.readexactly(least)
    writer.close()
    return found


async def opens(farm, kind) -> bool:
    try:
        _, writer = await asyncio.open_connection(farm.miners[0].ip, farm.ports[kind])
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("key", HOSTS)
async def test_a_host_listens_where_its_kind_does_and_nowhere_else(start, key):
    farm = await start(f"host/{key}")
    assert {kind for kind in farm.ports if await opens(farm, kind)} == set(HOSTS[key].says)
    shown = farm.miners[0].describe()
    assert (shown["make"], shown["key"], shown["foreign"]) == ("host", key, True)


@pytest.mark.parametrize(
    ("key", "status", "word"),
    [
        ("printer", 200, "LaserJet"),
        ("title", 200, "<TITLE>用户界面</TITLE>"),
        ("luci", 307, ""),
        ("camera", 401, ""),
        ("blackminer", 401, ""),
        ("axeos", 200, "AxeOS"),
    ],
)
async def test_a_page_is_shown_and_orders_are_turned_away(start, web, key, status, word):
    farm = await start(f"host/{key}")
    host = farm.miners[0]
    page = await web(host, "GET", "/", password=None)
    assert page.status == status and word in page.text
    order = await web(host, "POST", "/user/userpanel", b"post=4")
    assert order.status in (404, 401, 307)
    get, post = host.wire_log
    assert get.data.startswith(b"GET / ") and not get.had_credentials
    assert post.data.endswith(b"post=4") and post.had_credentials
    assert farm.ledger.entries == []


async def test_the_router_sends_everyone_to_its_own_https_page(start, web):
    farm = await start("host/luci")
    page = await web(farm.miners[0], "GET", "/", password=None)
    assert page.headers["location"] == f"https://{farm.miners[0].ip}/cgi-bin/luci"


async def test_one_has_the_same_page_at_every_path(start, web):
    farm = await start("host/title-everywhere")
    page = await web(farm.miners[0], "GET", "/", password=None)
    panel = await web(farm.miners[0], "POST", "/user/userpanel", b"post=4", password=None)
    assert page.status == panel.status == 200 and page.body == panel.body


@pytest.mark.parametrize(("key", "word"), [("teamredminer", "SGMiner"), ("avalon", "PROD")])
async def test_other_miners_speak_the_api_and_name_themselves(start, legacy, key, word):
    farm = await start(f"host/{key}")
    assert word in (await legacy(farm.miners[0], "version"))["VERSION"][0]
    refused = await legacy(farm.miners[0], "get_version")
    assert refused["STATUS"][0]["STATUS"] == "E" and len(farm.miners[0].wire_log) == 2


async def test_what_says_nothing_says_nothing_and_keeps_what_it_hears(start, until):
    farm = await start("host/silent")
    host = farm.miners[0]
    for kind in MINERS_PORTS:
        reader, writer = await asyncio.open_connection(host.ip, farm.ports[kind])
        writer.write(b"hello")
        await until(lambda kind=kind: [each.kind for each in host.wire_log][-1:] == [kind])
        assert not reader.at_eof()
        writer.close()
    assert {each.data for each in host.wire_log} == {b"hello"}


async def test_every_port_echoes_or_says_that_it_is_an_antminer(start):
    farm = await start("host/echo,host/banner")
    echo, banner = farm.miners
    for port in farm.ports.values():
        assert await exchange(echo.ip, port, b'{"command":"version"}', least=21) == (
            b'{"command":"version"}'
        )
        assert (await exchange(banner.ip, port, b"", least=10)) == b'{"STATUS":'


async def test_the_queue_accepts_one_and_answers_nobody(start, until):
    farm = await start("host/queue")
    host = farm.miners[0]
    clients = [await asyncio.open_connection(host.ip, host.rpc_port) for _ in range(3)]
    for _, writer in clients:
        writer.write(b"version")
    await until(lambda: host.wire_log)
    live = host.listeners["rpc"].live
    assert (len(live), len(host.wire_log), host.connections) == (1, 1, 1)
    clients[0][1].close()
    await until(lambda: len(host.wire_log) == 2)
    assert (len(live), host.connections) == (1, 2)
    for reader, writer in clients[1:]:
        assert not reader.at_eof()
        writer.close()


async def test_one_is_a_miner_of_every_maker(start, legacy, web):
    farm = await start(f"host/{EVERYTHING}")
    host = farm.miners[0]
    assert all([await opens(farm, kind) for kind in MINERS_PORTS])
    assert (await legacy(host, "version"))["VERSION"][0]["Type"] == "Antminer S19 Pro"
    assert (await web(host, "GET", "/", password=None)).status == 401
    said = await exchange(host.ip, farm.ports["daemon"], b'{"id":"info"}\n', least=200)
    assert b'"softver1"' in said
    frame = b'{"cmd":"get.device.info"}'
    found = await exchange(
        host.ip, farm.ports["v3"], len(frame).to_bytes(4, "little") + frame, least=40
    )
    assert b'"code":0' in found.replace(b" ", b"")
    assert len(host.wire_log) == 4
