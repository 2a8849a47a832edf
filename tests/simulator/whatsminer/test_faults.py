"""Scripted misbehaviour of tokens, seals, frames, uploads and logs, each seen from outside."""

from __future__ import annotations

import asyncio
import json
import struct

import pytest

from simulator.whatsminer import firmware
from tests.simulator.whatsminer.clients import V2

RED = {"color": "red", "period": 200, "duration": 100, "start": 0}


@pytest.fixture
async def old(start):
    farm = await start("whatsminer/m50s")
    return farm.miners[0]


@pytest.fixture
async def new(start):
    farm = await start("whatsminer/m60s")
    return farm.miners[0]


async def silent(reader):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)


async def test_a_token_that_never_comes(old, new, v3):
    for miner in (old, new):
        miner.faults.add("token_never")
    reader, writer = await asyncio.open_connection(old.ip, old.rpc_port)
    writer.write(b'{"cmd":"get_token"}')
    await silent(reader)
    writer.close()
    client = v3(new)
    assert "salt" not in (await client.ask("get.device.info"))["msg"]
    body = b'{"cmd":"get.device.info","param":"salt"}'
    client.writer.write(struct.pack("<I", len(body)) + body)
    await silent(client.reader)


async def test_a_token_that_is_worth_nothing(old, new, v3):
    for miner in (old, new):
        miner.faults.add("token_expires_at_once")
    assert (await V2(old).write("set_led", **RED))["Code"] == 135
    assert (await v3(new).write("set.system.led", "auto"))["code"] == -4


async def test_full_slots_as_text_and_as_a_bare_code(old):
    old.faults.add("busy_slots")
    reply = await V2(old).token()
    assert (reply["STATUS"], reply["Code"], reply["Msg"]) == ("E", 136, "over max connect")
    old.faults.add("bare_136")
    assert json.loads(await V2(old).raw(b'{"cmd":"get_token"}')) == {"Code": 136}


async def test_a_token_may_come_with_another_code(old):
    old.faults.add("token_code")
    assert (await V2(old).token())["Code"] == 131


@pytest.mark.parametrize("fault", ["wrong_key_reply", "wrong_padding", "empty_reply"])
async def test_spoilt_seals_hide_the_answer_and_not_the_effect(old, until, fault):
    old.faults.add(fault, actions=["light"])
    with pytest.raises(ValueError):
        await V2(old).write("set_led", **RED)
    await until(lambda: old.light)


async def test_short_and_oversized_frames(new, v3):
    new.faults.add("short_frames", times=1)
    with pytest.raises(asyncio.IncompleteReadError):
        await v3(new).ask("get.device.info")
    new.faults.add("oversized_length", times=1)
    client = v3(new)
    body = b'{"cmd":"get.miner.setting"}'
    client.reader, client.writer = await asyncio.open_connection(new.ip, new.v3_port)
    client.writer.write(struct.pack("<I", len(body)) + body)
    assert await client.reader.readexactly(4) == b"\xff\xff\xff\xff"


async def test_an_oversized_request_is_hung_up_on(new, v3):
    client = v3(new)
    await client.ask("get.miner.setting")
    client.writer.write(b"\xff\xff\xff\xff" + b"x" * 100)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.next()


async def test_a_miner_that_closes_after_each_command(new, v3):
    new.faults.add("closes_after_each")
    client = v3(new)
    assert (await client.ask("get.miner.setting"))["code"] == 0
    assert await client.reader.read() == b""


async def test_empty_frames_either_way_mean_nothing(new, v3):
    new.faults.add("heartbeats")
    client = v3(new)
    body = b'{"cmd":"get.miner.setting"}'
    client.reader, client.writer = await asyncio.open_connection(new.ip, new.v3_port)
    client.writer.write(b"\0\0\0\0" + struct.pack("<I", len(body)) + body)
    assert await client.next() == b""
    assert json.loads(await client.next())["code"] == 0


async def test_more_than_ten_clients_are_not_served(new):
    lines = [await asyncio.open_connection(new.ip, new.v3_port) for _ in range(11)]
    assert await lines[10][0].read() == b"" or lines[10][0].at_eof()
    body = b'{"cmd":"get.miner.setting"}'
    lines[0][1].write(struct.pack("<I", len(body)) + body)
    assert len(await lines[0][0].readexactly(4)) == 4
    for _, writer in lines:
        writer.close()


async def test_joined_commands_can_be_refused(old, new, v3):
    for miner in (old, new):
        miner.faults.add("joined_refused")
    assert (await V2(old).ask("summary+pools"))["Code"] == 45
    assert (await V2(old).ask("summary"))["STATUS"][0]["STATUS"] == "S"
    assert (await v3(new).ask("get.miner.status", "summary+pools"))["code"] == -1


@pytest.mark.parametrize(
    ("fault", "request_name", "text"),
    [
        ("error_list_slip", "get_error_code", b'"error_code":["205":"'),
        ("error_numbers", "get_error_code", b'"error_code":[205]'),
        ("psu_slip", "get_psu", b'""temp0"'),
        ("nul_end", "summary", b'"id":1}\0'),
        ("newline_end", "summary", b'"id":1}\n'),
    ],
)
async def test_slips_of_single_builds(old, fault, request_name, text):
    old.faults.add("error_codes", codes=[205])
    old.faults.add(fault)
    assert text in await V2(old).raw(json.dumps({"command": request_name}).encode())


async def test_hundreds_of_errors_overflow_the_reply(old):
    old.faults.add("error_flood")
    reply = await V2(old).raw(b'{"command":"get_error_code"}')
    assert len(reply) == 4096 and not reply.endswith(b"}")


async def test_high_mode_may_end_in_218(old, until):
    old.faults.add("high_fails")
    assert (await V2(old).write("set_high_power"))["Code"] == 131
    await until(lambda: old.high_failed and old.process.is_up)
    assert old.mode == "normal" and 218 in old.health.codes()


async def test_a_power_off_may_not_hold(start, until):
    farm = await start("whatsminer/m60s-compat", faults={"*": ["power_off_slips"]})
    miner = farm.miners[0]
    await V2(miner).write("power_off", respbefore="true")
    await until(lambda: miner.state == "sleeping")
    await until(lambda: miner.process.is_up)
    assert not miner.is_off


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_an_upload_cut_half_way_installs_nothing(start, v3, key):
    farm = await start(f"whatsminer/{key}", faults={"*": ["upload_cut"]})
    miner = farm.miners[0]
    image = firmware.build_image("H616", "20270101.16.REL", size=200_000)
    client = v3(miner) if key == "m60s" else V2(miner)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.upload(image)
    assert not farm.ledger.of(action="firmware")


async def test_logs_glued_short_empty_and_big(old, new, v3):
    old.faults.add("log_glued")
    head, data = await V2(old).log()
    assert int(head["Msg"]["logfilelen"]) == len(data)
    old.faults.add("log_short")
    head, data = await V2(old).log()
    assert int(head["Msg"]["logfilelen"]) // 2 == len(data)
    old.faults.clear()
    old.faults.add("log_empty")
    assert (await V2(old).log())[0]["Msg"] == {"logfilelen": "0"}
    new.faults.add("big_log", bytes=3_000_000)
    assert len((await v3(new).log())[1]) > 3_000_000


@pytest.mark.parametrize("variant", ["nan", "1e999", "nested", "truncated", "html", "empty"])
async def test_garbage_comes_in_a_proper_frame(new, v3, variant):
    new.faults.add("garbage", variant=variant)
    client = v3(new)
    await client.frame(b'{"cmd":"get.device.info"}')
    await client.frame(b'{"cmd":"get.device.info"}')


@pytest.mark.parametrize("fault", ["dead", "refuses_4433"])
async def test_a_closed_port_refuses(new, v3, fault):
    new.faults.add(fault)
    with pytest.raises(ConnectionRefusedError):
        await v3(new).ask("get.device.info")


async def test_faults_of_the_line_find_their_command_under_the_seal(old):
    old.faults.add("hangs", match=["reboot"])
    client = V2(old)
    assert (await client.write("set_led", param="auto"))["Code"] == 131
    reader, writer = await asyncio.open_connection(old.ip, old.rpc_port)
    writer.write(client.seal({"cmd": "reboot"}))
    await silent(reader)
    writer.close()
    assert not old.ledger.of(action="reboot")


async def test_a_tapped_miner_tells_which_requests_carried_a_secret(old, new, v3):
    for miner in (old, new):
        miner.tapped = True
    await V2(old).ask("summary")
    await V2(old).write("set_led", param="auto")
    await v3(new).write("set.system.led", "auto")
    assert [entry.had_credentials for entry in old.wire_log] == [False, False, True]
    assert [entry.had_credentials for entry in new.wire_log] == [False, True]


@pytest.mark.parametrize("variant", ["never_restarts", "constant", "jumps"])
async def test_uptimes_can_lie(old, variant):
    true = old.uptime()
    old.faults.add("lies_uptime", variant=variant)
    assert (old.uptime() == 4242) == (variant == "constant")
    assert variant != "never_restarts" or abs(old.uptime() - true) < 100


async def test_the_web_page_sends_everyone_to_https(old, web):
    answer = await web(old, "GET", "/", password=None)
    assert (answer.status, answer.headers["location"]) == (307, f"https://{old.ip}/")
