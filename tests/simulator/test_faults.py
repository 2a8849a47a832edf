"""Every fault does what its line says."""

from __future__ import annotations

import asyncio
import json

import pytest

from simulator.faults import KNOWN, FaultError, load_faults, parse_fault


async def after(farm, until, seconds):
    at = farm.clock.now()
    await until(lambda: farm.clock.now() >= at + seconds)


async def test_a_dead_miner_listens_nowhere_and_can_be_revived(start, ask, until):
    farm = await start("antminer/s21", faults={"*": ["dead"]})
    miner = farm.miners[0]
    for port in (miner.http_port, miner.rpc_port):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(miner.ip, port)
    miner.faults.clear()
    await until(lambda: all(listener.is_accepting for listener in miner.listeners.values()))
    assert b"VERSION" in await ask(miner, "version")


async def test_the_api_can_be_closed_alone(start, web):
    farm = await start("antminer/s21", faults={"*": ["refuses_4028"]})
    miner = farm.miners[0]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(miner.ip, miner.rpc_port)
    assert (await web(miner, "GET", "miner_type")).status == 200


async def test_a_hanging_miner_accepts_and_says_nothing(start, ask, web):
    farm = await start("antminer/s21", faults={"*": ["hangs"]})
    for call in (ask(farm.miners[0], "version"), web(farm.miners[0], "GET", "/")):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.2)


async def test_a_cut_reply_ends_after_so_many_bytes(start, ask, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("cuts", bytes=33)
    assert len(await ask(miner, "version")) == 33
    assert len((await web(miner, "GET", "/")).raw) == 33


async def test_a_dripping_reply_comes_byte_by_byte(start):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("drips", interval=0.01)
    reader, writer = await asyncio.open_connection(miner.ip, miner.rpc_port)
    writer.write(b'{"command":"version"}')
    assert [len(await reader.read(100)) for _ in range(4)] == [1, 1, 1, 1]
    writer.close()


@pytest.mark.parametrize("fault", ["endless", "huge_json"])
async def test_bytes_without_end_do_not_fill_the_simulator(start, fault):
    farm = await start("antminer/s21", faults={"*": [fault]})
    miner = farm.miners[0]
    for port, request in (
        (miner.rpc_port, b'{"command":"stats"}'),
        (miner.http_port, b"GET / HTTP/1.1\r\n\r\n"),
    ):
        reader, writer = await asyncio.open_connection(miner.ip, port)
        writer.write(request)
        got = 0
        while got < 4_000_000:
            got += len(await reader.read(1 << 16))
        await asyncio.sleep(0.05)  # not reading now: the far side must stop, too
        (connection,) = miner.listeners["http" if port == miner.http_port else "rpc"].live
        assert connection.transport.get_write_buffer_size() < 1_000_000
        writer.close()


async def test_a_huge_json_ends_at_its_size(start, ask):
    farm = await start("antminer/s21")
    farm.miners[0].faults.add("huge_json", bytes=1_000_000)
    data = await ask(farm.miners[0], "stats")
    assert len(data) > 1_000_000 and json.loads(data)


async def test_a_bomb_is_small_on_the_wire(start, web):
    farm = await start("antminer/s21")
    farm.miners[0].faults.add("gzip_bomb", megabytes=64)
    answer = await web(farm.miners[0], "GET", "miner_type")
    assert answer.headers["content-encoding"] == "gzip" and len(answer.body) < 100_000
    import gzip

    assert len(gzip.decompress(answer.body)) == 64 << 20


async def test_a_redirect_points_elsewhere(start, web):
    farm = await start("antminer/s21")
    farm.miners[0].faults.add("redirect", to="http://127.9.9.9/x")
    answer = await web(farm.miners[0], "GET", "/")
    assert answer.status == 302 and answer.headers["location"] == "http://127.9.9.9/x"


@pytest.mark.parametrize(
    ("variant", "sign"),
    [
        ("nan", b"NaN"),
        ("1e999", b"1e999"),
        ("nested", b"[[[["),
        ("html", b"<html>"),
        ("binary", b"\x00\x01"),
        ("truncated", b"STATUS"),
        ("empty", b""),
    ],
)
async def test_garbage_comes_in_kinds(start, ask, web, variant, sign):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("garbage", variant=variant)
    data = await ask(miner, "summary")
    assert sign in data
    body = (await web(miner, "GET", "summary")).body
    assert sign in body
    if variant in ("nan", "1e999"):
        json.loads(data.rstrip(b"\0"))  # Python takes it: the reader must look itself


async def test_a_reset_is_a_reset(start, ask):
    farm = await start("antminer/s21", faults={"*": ["resets"]})
    with pytest.raises(ConnectionResetError):
        await ask(farm.miners[0], "version")


async def test_filters_choose_requests_ports_and_number(start, ask, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("garbage", variant="html", match=["stats"], ports=["rpc"], times=1)
    assert b"<html>" not in await ask(miner, "version")
    assert b"<html>" not in (await web(miner, "GET", "stats")).body
    assert b"<html>" in await ask(miner, "stats")
    assert b"<html>" not in await ask(miner, "stats")


async def test_the_liar_says_ok_and_does_nothing(start, web, until):
    farm = await start("antminer/s21", faults={"*": ["ignores"]})
    miner = farm.miners[0]
    assert (await web(miner, "POST", "blink", {"blink": True})).json == {"code": "B000"}
    assert (await web(miner, "GET", "reboot")).status == 200
    sent = {"miner-mode": 1}
    assert (await web(miner, "POST", "set_miner_conf", sent)).json["code"] == "M000"
    await after(farm, until, 10)
    assert (miner.blinking, miner.boot, miner.mode) == (False, 1, 0)
    assert {entry["phase"] for entry in farm.ledger.entries} == {"received"}


async def test_the_liar_may_lie_about_one_thing_only(start, web, until):
    farm = await start("antminer/s21", faults={"*": [{"fault": "ignores", "actions": ["mode"]}]})
    miner = farm.miners[0]
    await web(miner, "POST", "blink", {"blink": True})
    await until(lambda: miner.blinking)
    await web(miner, "POST", "set_miner_conf", {"miner-mode": 1})
    assert miner.mode == 0


async def test_done_in_silence(start, web, until):
    farm = await start("antminer/s21:2")
    holds, closes = farm.miners
    holds.faults.add("silent_apply")
    closes.faults.add("silent_apply", close=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(web(holds, "POST", "blink", {"blink": True}), 0.3)
    assert (await web(closes, "POST", "blink", {"blink": True})).raw == b""
    await until(lambda: holds.blinking and closes.blinking)


async def test_done_late(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("late_apply", seconds=20)
    await web(miner, "POST", "blink", {"blink": True})
    await after(farm, until, 10)
    assert not miner.blinking
    await until(lambda: miner.blinking)


@pytest.mark.parametrize("applied", [True, False])
async def test_dies_of_an_order(start, web, until, applied):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("dies_after_write", applied=applied, for_s=5)
    try:
        answer = (await web(miner, "POST", "set_miner_conf", {"miner-mode": 1})).raw
    except ConnectionResetError:
        answer = b""
    assert answer == b"" and miner.mode == int(applied)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(miner.ip, miner.http_port)
    miner.faults.remove("dies_after_write")
    await until(lambda: "dead" not in miner.faults)


async def test_a_slow_script_takes_real_seconds(start, web):
    farm = await start("antminer/s21")
    farm.miners[0].faults.add("slow_cgi", seconds=0.3, match=["miner_type"])
    begin = asyncio.get_running_loop().time()
    await web(farm.miners[0], "GET", "stats")
    assert asyncio.get_running_loop().time() - begin < 0.3
    await web(farm.miners[0], "GET", "miner_type")
    assert asyncio.get_running_loop().time() - begin >= 0.3


async def test_another_password_and_none_after_a_while(start, web):
    farm = await start("antminer/s21:2")
    other, later = farm.miners
    other.faults.add("wrong_password", password="s3cret")
    later.faults.add("unauthorized_after", requests=2)
    assert (await web(other, "POST", "blink", {"blink": True})).status == 401
    assert (await web(other, "GET", "miner_type", password="s3cret")).status == 200
    assert [(await web(later, "GET", "miner_type")).status for _ in range(3)] == [200, 200, 401]
    refused = farm.ledger.of(phase="rejected")
    assert [(e["action"], e["reason"]) for e in refused] == [("light", "bad_credentials")]


async def test_busy_so_many_times(start, web):
    farm = await start("antminer/s21")
    farm.miners[0].faults.add("busy", times=1)
    replies = [
        (await web(farm.miners[0], "POST", "set_miner_conf", {"miner-mode": 1})).json["code"]
        for _ in range(2)
    ]
    assert replies == ["M001", "M000"]


async def test_another_mac_from_now_on(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("changes_mac", mac="02:00:00:00:00:99")
    assert (await web(miner, "GET", "get_system_info")).json["macaddr"] == "02:00:00:00:00:99"


@pytest.mark.parametrize("variant", ["never_restarts", "constant", "jumps"])
async def test_uptime_can_lie(start, until, variant):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("lies_uptime", variant=variant)
    before = miner.elapsed()
    miner.power_cycle()
    await until(lambda: miner.process.is_up)
    assert (miner.elapsed() == before) is (variant == "constant")
    assert miner.elapsed() >= before or variant == "jumps"


async def test_a_stuck_miner_sleeps_only_after_a_reboot(start, web, until):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    miner.faults.add("stuck_awake")
    await web(miner, "POST", "set_miner_conf", {"miner-mode": 1})
    await until(lambda: not miner.process.is_up)
    await until(lambda: miner.process.is_up)
    assert miner.mode == 1 and not miner.process.asleep
    await web(miner, "GET", "reboot")
    await until(lambda: miner.boot == 2 and miner.process.is_up)
    assert miner.process.asleep


async def test_it_may_boot_and_never_hash(start, until):
    farm = await start("antminer/s21", faults={"*": ["no_hash"]})
    miner = farm.miners[0]
    miner.power_cycle()
    await until(lambda: miner.process.is_up and miner.elapsed() > 600)
    assert miner.process.rate_5s() == 0 and miner.state == "starting"


@pytest.mark.parametrize(
    ("fault", "command", "sign"),
    [
        ("status_array", "stats", b'"STATUS":[{'),
        ("rate_unit_ths", "stats", b'"rate_unit":"TH/s"'),
    ],
)
async def test_new_shapes_differ(start, ask, fault, command, sign):
    farm = await start("antminer/s21", faults={"*": [fault]})
    assert sign in await ask(farm.miners[0], {"command": command, "new_api": True})


async def test_legacy_stats_differ(start, ask):
    farm = await start("antminer/s21:3")
    power, cut, platform = farm.miners
    power.faults.add("chain_power")
    cut.faults.add("truncated_stats")
    platform.faults.add("platform_type")
    assert b'"chain_power":"3' in await ask(power, "stats")
    with pytest.raises(ValueError):
        json.loads((await ask(cut, "stats"))[:-1])
    assert b'"Type":"Antminer BHB68XXX"' in await ask(platform, "version")


@pytest.mark.parametrize("variant", ["leading_comma", "trailing_comma", "raw_newline"])
async def test_builds_slip_in_their_json(start, ask, variant):
    farm = await start("antminer/s19pro")
    farm.miners[0].faults.add("json_slips", variant=variant)
    text = (await ask(farm.miners[0], "stats"))[:-1].decode()
    with pytest.raises(ValueError):
        json.loads(text)
    mended = text.replace("[,{", "[{").replace(",}]", "}]")
    assert json.loads(mended, strict=False)["STATS"][1]["miner_count"] == 3


async def test_figures_and_names_can_be_wrong(start, legacy, web):
    farm = await start("antminer/l9,antminer/l3+,antminer/s21,antminer/s9")
    unit, suffix, clock, crash = farm.miners
    unit.faults.add("wrong_unit")
    suffix.faults.add("type_suffix")
    clock.faults.add("clock_1970")
    crash.faults.add("cgi_fails", match=["get_system_info"])
    assert (await legacy(unit, "stats"))["STATS"][1]["total_rateideal"] == 16_000_000.0
    assert (await legacy(suffix, "version"))["VERSION"][0]["Type"] == "Antminer L3+ (024)"
    assert (await legacy(clock, "version"))["STATUS"][0]["When"] < 20 * 86400
    assert (await web(crash, "GET", "get_system_info")).status == 500
    assert (await web(crash, "GET", "get_miner_conf")).status == 200


async def test_light_and_reboot_scripts_differ(start, web, until):
    farm = await start("antminer/s21:4")
    text, blind, poster, rootless = farm.miners
    text.faults.add("blink_as_string")
    blind.faults.add("no_blink_status")
    poster.faults.add("reboot_post_only", answer=404)
    rootless.faults.add("root_404")
    assert (await web(text, "POST", "blink", {"blink": True})).status == 400
    assert (await web(text, "POST", "blink", {"blink": "true"})).json == {"code": "B000"}
    assert (await web(blind, "GET", "get_blink_status")).status == 404
    assert (await web(poster, "GET", "reboot")).status == 404
    assert (await web(poster, "POST", "reboot", b"")).status == 200
    assert (await web(rootless, "GET", "/", password=None)).status == 404
    assert (await web(rootless, "GET", "miner_type", password=None)).status == 401
    await until(lambda: poster.boot == 2)


def test_unknown_faults_and_broken_files_are_refused(tmp_path):
    with pytest.raises(FaultError, match="unknown fault 'sleepy'"):
        parse_fault("sleepy")
    with pytest.raises(FaultError):
        parse_fault({"name": "dead"})
    file = tmp_path / "faults.json"
    for text in ("nonsense", "[]", '{"*": "dead"}', '{"*": ["sleepy"]}'):
        file.write_text(text)
        with pytest.raises(FaultError):
            load_faults(file)
    assert len(KNOWN) > 40
