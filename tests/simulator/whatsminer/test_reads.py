"""What each dialect tells, in the shapes recorded from real devices and in its own units."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.simulator.whatsminer.clients import V2, V3, recorded

# the recording, who answers it here, the request, and what the recorded build has beyond ours
SHAPES = [
    ("legacy/m20s-2019-pools.json", "m20s-legacy", "pools", set()),
    ("v1/m30s-pools.json", "m30s-legacy", "pools", set()),
    ("v1/m20s-p21-pools.json", "m20s", "pools", set()),
    ("v1/m20s-p21-get_psu.json", "m20s", "get_psu", set()),
    ("v1/m20s-p21-get_version.json", "m20s", "get_version", set()),
    ("v1/m20s-p21-status.json", "m20s", "status", set()),
    ("v2/asicrs-status.json", "m50s", "status", set()),
    ("v2/asicrs-summary.json", "m50s", "summary", set()),
    ("v2/asicrs-devs.json", "m50s", "devs", {"Frequency"}),
    ("doc-examples/v2-get_psu.json", "m50s", "get_psu", set()),
    ("doc-examples/v2-get_version.json", "m30s", "get_version", set()),
    ("doc-examples/v2-devdetails.json", "m30s", "devdetails", set()),
    ("doc-examples/v2-get_miner_info.json", "m50s", "get_miner_info", set()),
    ("v2-compat/m7bs-rel3-get_version.json", "m60s-compat", "get_version", set()),
    ("v2-compat/m7bs-rel3-summary.json", "m60s-compat", "summary", set()),
    ("v2-compat/m7bs-rel3-edevs.json", "m60s", "edevs", set()),
    ("v2-compat/m7bs-rel3-pools.json", "m60s", "pools", set()),
    ("v2-compat/m7bs-rel3-status.json", "m60s", "status", set()),
    ("v2-compat/m60s-farm-get_miner_info.json", "m60s", "get_miner_info", set()),
    ("v2-compat/m7bs-rel3-get_error_code.json", "m60s", "get_error_code", set()),
    ("v2-compat/m60s-farm-devdetails.json", "m60s", "devdetails", set()),
]
FRAMES = [
    ("v3/m60s-get_device_info.json", "get.device.info", None, set()),
    ("v3/m60s-get_miner_status_summary.json", "get.miner.status", "summary", {"Debug"}),
    ("v3/m60s-get_miner_status_pools.json", "get.miner.status", "pools", {"pool-priority"}),
    ("v3/m60s-get_miner_status_edevs.json", "get.miner.status", "edevs", {"status"}),
    ("doc-examples/v3-get_system_setting.json", "get.system.setting", None, set()),
]


def kind(value):
    return "number" if type(value) in (int, float) else type(value).__name__


def lacking(told, here):
    """Keys of a recording that are missing here, or hold another kind of value."""
    if isinstance(told, dict) and isinstance(here, dict):
        for name, value in told.items():
            if name not in here:
                yield name
            else:
                yield from lacking(value, here[name])
    elif isinstance(told, list) and isinstance(here, list):
        if told and here:
            yield from lacking(told[0], here[0])
    elif kind(told) != kind(here):
        yield f"{told!r} is not {here!r}"


@pytest.mark.parametrize(("file", "key", "request_name", "more"), SHAPES)
async def test_a_reply_on_4028_has_the_shape_of_the_recording(start, file, key, request_name, more):
    farm = await start(f"whatsminer/{key}")
    reply = await V2(farm.miners[0]).ask(request_name)
    assert set(lacking(recorded(file), reply)) == more


@pytest.mark.parametrize(("file", "command", "param", "more"), FRAMES)
async def test_a_frame_has_the_shape_of_the_recording(start, v3, file, command, param, more):
    farm = await start("whatsminer/m60s")
    assert set(lacking(recorded(file), await v3(farm.miners[0]).ask(command, param))) == more


async def test_joined_commands_come_in_one_reply(start):
    farm = await start("whatsminer/m31s+")
    reply = await V2(farm.miners[0]).ask("pools+summary+edevs")
    told = recorded("v1/m31s-pools+summary+edevs.json")
    assert reply.keys() == told.keys()
    assert set(lacking(told["pools"], reply["pools"])) == set()


@pytest.mark.parametrize("names", ["summary+get_version", "summary+pools+edevs+devs+devdetails"])
async def test_what_cannot_be_joined_is_45(start, names):
    farm = await start("whatsminer/m50s")
    reply = await V2(farm.miners[0]).ask(names)
    assert (reply["STATUS"], reply["Code"], reply["Msg"]) == ("E", 45, "command join err")


async def test_the_units_of_all_dialects_tell_the_same_rate(start, v3):
    farm = await start("whatsminer/m50s,whatsminer/m60s")
    farm.clock.hold()
    old, new = farm.miners
    rows = await V2(old).ask("summary+edevs")
    row = rows["summary"][0]["SUMMARY"][0]
    assert row["MHS av"] * 1e6 == pytest.approx(old.process.rate_avg(), rel=1e-6)
    boards = sum(each["MHS av"] for each in rows["edevs"][0]["DEVS"])
    assert boards == pytest.approx(row["MHS av"], rel=1e-6)
    reduced = (await V2(new).ask("summary"))["Msg"]
    boards = sum(each["MHS av"] for each in (await V2(new).ask("edevs"))["DEVS"])
    full = (await v3(new).ask("get.miner.status", "summary+edevs"))["msg"]
    assert full["summary"]["hash-average"] * 1e6 == pytest.approx(reduced["MHS av"], rel=1e-5)
    assert boards == pytest.approx(full["summary"]["hash-average"], rel=1e-3)
    assert sum(each["hash-average"] for each in full["edevs"]) == pytest.approx(boards, rel=1e-3)
    assert full["summary"]["elapsed"] == int(reduced["Elapsed"])


@pytest.mark.parametrize("key", ["m20s", "m50s", "m60s-compat", "m60s"])
async def test_asleep_the_process_is_refused_and_the_daemon_answers(start, key):
    farm = await start(f"whatsminer/{key}")
    miner = farm.miners[0]
    miner.power_off()
    refused = b"Socket connect failed: Connection refused\n"
    for name in ("summary", "pools", "summary+pools"):
        assert await V2(miner).raw(json.dumps({"command": name}).encode()) == refused
    told = (await V2(miner).ask("status"))["Msg"]
    assert told.get("mineroff", told.get("btmineroff")) == "true"


async def test_asleep_v3_answers_pools_only_beside_the_summary(start, v3):
    farm = await start("whatsminer/m60s")
    miner, client = farm.miners[0], v3(farm.miners[0])
    miner.power_off()
    assert (await client.ask("get.miner.status", "pools"))["code"] == -1
    both = (await client.ask("get.miner.status", "summary+pools"))["msg"]
    assert both["summary"]["hash-realtime"] == 0 and len(both["pools"]) == 2
    assert (await client.ask("get.device.info", "miner"))["msg"]["miner"]["working"] == "false"


async def test_the_legacy_miner_knows_one_key_only_and_no_tokens(start):
    farm = await start("whatsminer/m30s-legacy")
    client = V2(farm.miners[0])
    told = recorded("errors/missing-json-command.json")
    reply = await client.ask("summary", key="cmd")
    assert {**reply["STATUS"][0], "When": 0} == {**told["STATUS"][0], "When": 0}
    assert (await client.ask("get_token"))["STATUS"][0]["Code"] == 14
    assert [row["POOL"] for row in (await client.ask("pools"))["POOLS"]] == [0, 1]


async def test_the_m3_of_2018_tells_little_and_that_at_length(start):
    farm = await start("whatsminer/m3")
    client = V2(farm.miners[0])
    row = (await client.ask("summary"))["SUMMARY"][0]
    assert {"Fan Speed In", "fan_speed_set", "freq_max"} <= row.keys()
    assert not {"MAC", "Power Fanspeed", "Power"} & row.keys()
    assert {each["Driver"] for each in (await client.ask("devdetails"))["DEVDETAILS"]} == {
        "bitmicro"
    }
    reader, writer = await asyncio.open_connection(farm.miners[0].ip, farm.miners[0].rpc_port)
    writer.write(b'{"command":"stats"}')
    assert len(await reader.read(-1)) == 67_285
    writer.close()


async def test_a_legacy_miner_whose_process_is_down_refuses_connections(start, until):
    farm = await start("whatsminer/m30s-legacy")
    miner = farm.miners[0]
    miner.crash_process()
    with pytest.raises(ConnectionRefusedError):
        await V2(miner).ask("summary")
    await until(lambda: miner.process.is_up)
    assert (await V2(miner).ask("summary"))["SUMMARY"][0]["Elapsed"] < 60


async def test_a_closed_4433_is_what_makes_the_reduced_dialect(start):
    farm = await start("whatsminer/m60s-compat,whatsminer/m50s,whatsminer/m60s")
    assert [miner.generation for miner in farm] == ["v2-compat", "v2", "v3"]
    for miner in farm.miners[:2]:
        with pytest.raises(ConnectionRefusedError):
            await V3(miner).ask("get.device.info")


@pytest.mark.parametrize("cut", [1, 5, 12])
async def test_where_the_network_cuts_a_request_does_not_matter(start, until, cut):
    farm = await start("whatsminer/m50s")
    miner = farm.miners[0]
    reader, writer = await asyncio.open_connection(miner.ip, miner.rpc_port)
    request = b'{"command":"get_version"}'
    writer.write(request[:cut])
    await until(lambda: any(c._data for c in miner.listeners["rpc"].live))
    writer.write(request[cut:])
    assert json.loads(await reader.read())["Code"] == 131
    writer.close()


@pytest.mark.parametrize("request_bytes", [b"summary", b"[1]", b'{"cmd":"summary"]}', b"\xff\xfe{"])
async def test_nonsense_is_23(start, request_bytes):
    farm = await start("whatsminer/m50s")
    assert json.loads(await V2(farm.miners[0]).raw(request_bytes))["Code"] == 23


@pytest.mark.parametrize("key", ["m20s", "m50s", "m60s-compat", "m60s"])
async def test_errors_are_where_the_dialect_keeps_them(start, v3, key):
    faults = [{"fault": "error_codes", "codes": [205, 2320]}, "fan_failed"]
    farm = await start(f"whatsminer/{key}", faults={"*": faults})
    miner = farm.miners[0]
    wanted = {"205", "2320", "110"}
    if key == "m20s":
        row = (await V2(miner).ask("summary"))["SUMMARY"][0]
        assert row["Error Code Count"] == 3
        assert {str(row[f"Error Code {n}"]) for n in range(3)} == wanted
        return
    rows = (await V2(miner).ask("get_error_code"))["Msg"]["error_code"]
    assert {name for row in rows for name in row} == wanted
    if key == "m60s":
        rows = (await v3(miner).ask("get.device.info", "error-code"))["msg"]["error-code"]
        assert {name for row in rows for name in row} == {*wanted, "reason"}


async def test_a_missing_board_is_missing_everywhere(start, v3):
    faults = [{"fault": "board_missing", "chains": [1]}]
    farm = await start("whatsminer/m50s,whatsminer/m60s", faults={"*": faults})
    for miner in farm:
        assert 531 in miner.health.codes()
        assert [row["Slot"] for row in (await V2(miner).ask("edevs"))["DEVS"]] == [0, 2]
    info = (await v3(farm.miners[1]).ask("get.device.info"))["msg"]["miner"]
    assert "pcbsn1" not in info and info["board-num"] == "3"


async def test_a_hydro_miner_has_no_fans(start, v3):
    farm = await start("whatsminer/m63s")
    summary = (await v3(farm.miners[0]).ask("get.miner.status", "summary"))["msg"]["summary"]
    assert (summary["fan-speed-in"], summary["fan-speed-out"]) == (0, 0)
    assert len(summary["board-temperature"]) == 4


async def test_an_unknown_command_names_nobody(start, v3):
    farm = await start("whatsminer/m60s")
    reply = await v3(farm.miners[0]).ask("get.unknown")
    assert (reply["code"], reply["msg"]) == (-2, "invalid command")
    assert (await v3(farm.miners[0]).ask("get.miner.status"))["code"] == -3


async def test_the_listing_names_port_and_dialect(start):
    farm = await start("whatsminer:10,antminer/s21")
    listed = farm.describe()
    assert {each["generation"] for each in listed[:10]} == {"v1", "v2", "v2-compat", "v3"}
    assert {each["v3_port"] for each in listed[:10]} == {farm.ports["v3"]}
    assert all(each["make"] == "whatsminer" for each in listed[:10])
    assert "v3_port" not in listed[10]


async def test_a_client_that_says_nothing_is_hung_up_on(start, v3):
    # two real seconds at the least, however fast the devices live
    farm = await start("whatsminer/m50s,whatsminer/m60s")
    old, new = farm.miners
    lines = [
        await asyncio.open_connection(old.ip, old.rpc_port),
        await asyncio.open_connection(new.ip, new.v3_port),
    ]
    begin = farm.clock.now()
    ends = await asyncio.gather(*(reader.read() for reader, _ in lines), return_exceptions=True)
    assert all(end == b"" or isinstance(end, ConnectionError) for end in ends)
    assert farm.clock.now() - begin >= 200
    for _, writer in lines:
        writer.close()


async def test_without_autostart_a_boot_leaves_it_asleep(start, until):
    farm = await start("whatsminer/m50s")
    miner = farm.miners[0]
    assert (await V2(miner).write("disable_btminer_init"))["Code"] == 131
    await until(lambda: not miner.settings["autostart"])
    miner.power_cycle()
    await until(lambda: miner.api_up)
    assert miner.state == "sleeping"
