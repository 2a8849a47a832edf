"""Scripted misbehaviour of web layer and daemon, each seen from outside."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.simulator.iceriver.clients import (
    POOLS,
    act,
    ask,
    daemon,
    daemon_log,
    daemon_raw,
    get,
    http,
    panel,
    request,
    upload,
)


@pytest.fixture
async def miner(start):
    farm = await start("iceriver/ks5l")
    return farm.miners[0]


async def silent(ip, port, line):
    reader, writer = await asyncio.open_connection(ip, port)
    writer.write(line)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)
    writer.close()


async def test_a_closed_daemon_port_does_not_stop_the_web(miner, until):
    miner.faults.add("refuses_4111")
    with pytest.raises(ConnectionRefusedError):
        await daemon(miner, "hello")
    assert (await panel(miner))["online"] is True
    miner.faults.clear()
    await until(lambda: miner.listeners["daemon"].is_accepting)
    assert (await daemon(miner, "hello"))["code"] == 0


async def test_without_its_daemon_the_web_says_error_1(miner):
    miner.faults.add("daemon_down")
    reply = await ask(miner, "userpanel", 4)
    assert reply == {"error": 1, "data": [], "message": "Connect miner failed!"}
    with pytest.raises(ConnectionRefusedError):
        await daemon(miner, "hello")
    assert (await get(miner, "/"))[0].startswith(b"HTTP/1.1 200")


async def test_a_daemon_that_hangs_makes_the_web_say_error_2_after_a_minute(miner):
    miner.faults.add("daemon_hangs")
    began = miner.clock.now()
    reply = await ask(miner, "userpanel", 7)
    assert (reply["error"], reply["message"]) == (2, "Miner return failed!")
    assert miner.clock.now() - began >= 60
    await silent(miner.ip, miner.daemon_port, b'{"id":"hello"}\n')
    miner.faults.clear()
    miner.faults.add("daemon_hangs", match=["boardpow"])
    assert (await ask(miner, "userpanel", 7))["error"] == 0
    assert (await ask(miner, "userpanel", 4))["error"] == 2


async def test_a_dead_web_leaves_the_daemon_well(miner):
    miner.faults.add("web_down")
    with pytest.raises(ConnectionRefusedError):
        await panel(miner)
    assert (await daemon(miner, "info"))["online"] is True


async def test_the_web_slows_down_with_each_page_until_it_is_gone_and_a_reboot_mends_it(
    miner, until
):
    miner.faults.add("leaky_web", loads=6)
    took = []
    for _ in range(5):
        began = miner.clock.now()
        await panel(miner)
        took.append(miner.clock.now() - began)
    assert took[-1] > 5 > took[0]
    assert await act(miner, "userpanel", 4) == b""
    with pytest.raises(ConnectionRefusedError):
        await panel(miner)
    assert (await daemon(miner, "restart"))["code"] == 0
    await until(lambda: miner.boot == 2 and miner.web_up)
    assert (await ask(miner, "userpanel", 99)) == {"data": "userpanel"}


async def test_a_page_instead_of_json_and_json_called_something_else(miner):
    miner.faults.add("login_page", times=1)
    assert b"<TITLE>" in await act(miner, "userpanel", 4)
    miner.faults.add("odd_content_type")
    raw = await http(miner, request("POST", "/user/userpanel", b"post=7"))
    assert b"Content-Type: image/png" in raw


async def test_replies_without_a_code_and_with_any(miner):
    miner.faults.add("no_error_key", times=1)
    assert await ask(miner, "userpanel", 7) == {"data": {}, "message": ""}
    miner.faults.add("answers_error", code=7002, message="offline", match=["post=4"])
    assert (await ask(miner, "userpanel", 4))["error"] == 7002
    assert (await ask(miner, "userpanel", 7))["error"] == 0


async def test_a_web_that_wants_a_login_first(miner):
    miner.faults.add("wants_login")
    assert (await ask(miner, "userpanel", 4))["error"] == 1004
    assert (await ask(miner, "loginpost", 6, user="admin", pwd="no"))["error"] == 1002
    assert (await ask(miner, "userpanel", 4))["error"] == 1004
    await ask(miner, "loginpost", 6, user="admin", pwd="12345678")
    assert (await ask(miner, "userpanel", 4))["error"] == 0
    miner.faults.add("wrong_password")
    assert (await ask(miner, "loginpost", 6, user="admin", pwd="12345678"))["error"] == 1002


@pytest.mark.parametrize(
    ("variant", "body"), [("truncated", None), ("html", b"<html>"), ("empty", b"")]
)
async def test_spoilt_replies_on_both_ports(miner, variant, body):
    miner.faults.add("garbage", variant=variant)
    for reply in (
        await act(miner, "userpanel", 7),
        await daemon_raw(miner, b'{"id":"info"}\n') if body != b"" else b"",
    ):
        with pytest.raises(json.JSONDecodeError):
            json.loads(reply)


async def test_the_line_itself_misbehaves_on_either_port(miner):
    miner.faults.add("cuts", bytes=9, ports=["daemon"])
    assert len(await daemon_raw(miner, b'{"id":"info"}\n')) == 9
    miner.faults.clear()
    miner.faults.add("hangs", ports=["daemon"])
    await silent(miner.ip, miner.daemon_port, b'{"id":"info"}\n')
    assert (await ask(miner, "userpanel", 7))["error"] == 0
    miner.faults.clear()
    miner.faults.add("hangs", ports=["http"])
    await silent(miner.ip, miner.http_port, request("POST", "/user/userpanel", b"post=4"))
    miner.faults.clear()
    miner.faults.add("drips", interval=0.001)
    assert json.loads(await act(miner, "userpanel", 7))["error"] == 0


async def test_figures_no_reader_should_trust(miner):
    miner.faults.add("odd_suffix", text="Q")
    data = await panel(miner)
    assert data["rtpow"].endswith("Q") and data["boards"][0]["avgpow"].endswith("Q")
    miner.faults.clear()
    miner.faults.add("cold")
    assert all(row["intmp"] < 0 and row["outtmp"] < 0 for row in (await panel(miner))["boards"])
    miner.faults.clear()
    miner.faults.add("bad_sensor")
    assert [row["outtmp"] == 126 for row in (await panel(miner))["boards"]] == [False, True, False]
    miner.faults.add("two_addresses")
    assert " " in (await panel(miner))["ip"]
    miner.faults.add("clock_1970")
    assert (await panel(miner))["refTime"].startswith("1970")


async def test_runtimes_that_lie(miner, until):
    miner.faults.add("lies_uptime", variant="constant")
    assert (await panel(miner))["runtime"] == "00:01:10:42"
    miner.faults.clear()
    before = miner.elapsed()
    miner.faults.add("lies_uptime")
    await daemon(miner, "restart")
    await until(lambda: miner.boot == 2 and miner.daemon_up)
    assert miner.elapsed() > before > miner.hasher.elapsed()


async def test_flags_go_down_with_what_they_watch(miner):
    names = ("powstate", "netstate", "fanstate")
    for fault, expected in {
        "no_hash": (False, True, True),
        "overheated": (False, True, True),
        "board_missing": (False, True, True),
        "pools_dead": (True, False, True),
        "fan_failed": (True, True, False),
    }.items():
        miner.faults.clear()
        miner.faults.add(fault)
        data = await panel(miner)
        assert tuple(data[name] for name in names) == expected, fault
    assert data["fans"][0] == 0
    miner.faults.clear()
    miner.faults.add("board_missing", chains=[1])
    assert [row["no"] for row in (await panel(miner))["boards"]] == [1.0, 3.0]


async def test_it_answers_ok_and_ignores(miner):
    farm_ledger = miner.ledger
    miner.faults.add("ignores", actions=["pools"])
    assert (await ask(miner, "machineconfig", 2, **POOLS))["error"] == 0
    assert (await ask(miner, "userpanel", 5, locate="1"))["error"] == 0
    assert miner.light and not miner.pools[0]["url"].startswith("stratum+tcp://new")
    assert [e["phase"] for e in farm_ledger.of(action="pools")] == ["received"]


async def test_answers_that_never_come_and_effects_that_come_late(miner, until):
    miner.faults.add("silent_apply", close=True, times=1)
    assert await act(miner, "userpanel", 5, locate="1") == b""
    await until(lambda: miner.light)
    miner.faults.add("silent_apply", times=1)
    await silent(miner.ip, miner.daemon_port, b'{"id":"setlocate","on":false}\n')
    await until(lambda: not miner.light)
    miner.faults.add("silent_apply", times=1)
    form = request("POST", "/user/userpanel", b"post=5&locate=1")
    await silent(miner.ip, miner.http_port, form)
    await until(lambda: miner.light)
    miner.faults.add("late_apply", seconds=40)
    assert (await ask(miner, "userpanel", 5, locate="0"))["error"] == 0
    assert miner.light
    await until(lambda: not miner.light)


async def test_it_dies_with_the_order_and_what_waited_is_lost(miner, until):
    miner.faults.add("dies_after_write", for_s=20)
    assert await act(miner, "userpanel", 5, locate="1") == b""
    await until(lambda: "dead" not in miner.faults and miner.listeners["http"].is_accepting)
    assert not miner.light and (await panel(miner))["locate"] is False
    miner.faults.clear()
    miner.faults.add("late_apply", seconds=500)
    assert (await ask(miner, "userpanel", 5, locate="1"))["error"] == 0
    miner.power_cycle()
    (lost,) = miner.ledger.of(phase="lost")
    assert lost["action"] == "light"


async def test_an_image_that_does_not_stick_and_one_nobody_checks(miner, until):
    miner.faults.add("upgrade_bad_flash")
    assert (await upload(miner, miner.newer_image()))["error"] == 0
    miner.power_cycle()
    await until(lambda: miner.daemon_up)
    assert (await panel(miner))["softver1"] == "ICM168_3_2_10_ks5L_miner"


async def test_it_reboots_by_itself_and_loses_dhcp(miner, until):
    miner.faults.add("dhcp_reverts")
    miner.faults.add("restarts_often", every_s=100)
    assert (await ask(miner, "ipconfig", 1))["data"]["dhcp"] is True
    await until(lambda: miner.boot >= 3 and miner.daemon_up)
    assert (await ask(miner, "ipconfig", 1))["data"]["dhcp"] is False


async def test_sleep_that_is_told_and_not_kept(miner):
    miner.faults.add("stuck_awake")
    fields = {"fanratio": "60", "fanmode": "sleep"}
    assert (await ask(miner, "machineconfig", 3, **fields))["error"] == 0
    assert (await ask(miner, "machineconfig", 1))["data"]["mode"] == 0
    assert miner.hasher.works


async def test_logs_that_are_empty_cut_or_huge(miner):
    miner.faults.add("log_empty")
    assert (await daemon_log(miner, history=False))[0][1] == b""
    miner.faults.clear()
    miner.faults.add("big_log", bytes=300_000)
    ((head, log),) = await daemon_log(miner, history=False)
    assert head["len"] == len(log) > 290_000
    miner.faults.clear()
    miner.faults.add("log_short")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await daemon_log(miner, history=False)
