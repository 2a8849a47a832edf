"""Port 4028 as documented: framing, forms of requests, shapes and units of replies."""

from __future__ import annotations

import asyncio
import json

import pytest

NEW = ["s21", "s19pro", "l7", "ks5"]
OLD = ["s9", "l3+", "t17+", "z11", "e3"]
EVERY = "s9 s9i s9k t9+ l3+ d3 z11 e3 s15 s17pro t17+ s19-2020 s19pro s19kpro s21 s21hyd l7 l9 ks5 e9pro d9"


@pytest.mark.parametrize("key", [*OLD, *NEW])
async def test_a_reply_is_json_with_one_nul_and_then_the_line_closes(start, ask, key):
    farm = await start(f"antminer/{key}")
    data = await ask(farm.miners[0], "version")
    assert data.count(b"\0") == 1 and data.endswith(b"\0")
    row = json.loads(data[:-1])["VERSION"][0]
    assert row["Type"] == farm.miners[0].model and row["API"] == "3.1"


async def test_only_the_first_packet_of_a_request_is_read(start, ask):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    reader, writer = await asyncio.open_connection(miner.ip, miner.rpc_port)
    writer.write(b"{")
    assert b"Code=14" in await reader.read()
    writer.close()
    long = b'{"command":"version"' + b" " * 4095 + b"}"
    assert b"Code=14" in await ask(miner, long)


async def test_a_silent_client_blocks_the_others_for_ten_seconds_and_no_longer(start, ask, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    reader, silent = await asyncio.open_connection(miner.ip, miner.rpc_port)
    await until(lambda: miner.connections == 1)
    begin = farm.clock.now()
    assert b"VERSION" in await ask(miner, "version")
    assert 8 <= farm.clock.now() - begin < 13
    assert await reader.read() == b""
    silent.close()


async def test_a_probe_that_closes_at_once_blocks_nobody(start, ask):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    _, probe = await asyncio.open_connection(miner.ip, miner.rpc_port)
    probe.close()
    async with asyncio.timeout(2):
        assert b"VERSION" in await ask(miner, "version")


async def test_old_firmware_joins_commands_with_plus_and_new_refuses_that(start, ask):
    farm = await start("antminer/t17+,antminer/s21")
    old, new = farm.miners
    joined = json.loads((await ask(old, "summary+stats+pools"))[:-1])
    assert set(joined) == {"summary", "stats", "pools", "id"}
    assert joined["stats"][0]["STATS"][1]["ID"] == "BTM_SOC0"
    refused = json.loads((await ask(new, "summary+stats+pools"))[:-1])
    assert refused["STATUS"][0]["Code"] == 14 and refused["STATUS"][0]["STATUS"] == "E"


async def test_the_comma_is_missing_in_a_joined_reply_too(start, ask):
    farm = await start("antminer/s9")
    data = await ask(farm.miners[0], "version+stats")
    with pytest.raises(ValueError):
        json.loads(data[:-1])
    assert json.loads(data[:-1].replace(b"}{", b"},{"))["stats"][0]["STATS"][1]["ID"] == "BC50"


async def test_new_firmware_takes_an_array_in_both_shapes(start, ask):
    farm = await start("antminer/l7")
    names = ["summary", "stats", "pools"]
    classic = json.loads((await ask(farm.miners[0], {"command": names}))[:-1])
    assert list(classic) == names and classic["summary"]["STATUS"][0]["Code"] == 11
    modern = json.loads((await ask(farm.miners[0], {"command": names, "new_api": True}))[:-1])
    assert modern["stats"]["STATS"][0]["miner-mode"] == 0
    assert modern["stats"]["STATUS"]["api_version"] == "1.0.0"


async def test_an_array_has_at_most_eleven_entries_and_names_what_it_does_not_know(start, ask):
    farm = await start("antminer/s21")
    names = ["version", "xyz", *[f"c{n}" for n in range(12)]]
    reply = json.loads((await ask(farm.miners[0], {"command": names}))[:-1])
    assert list(reply) == names[:11] and reply["xyz"]["STATUS"][0]["Code"] == 14
    reply = json.loads((await ask(farm.miners[0], {"command": ["xyz"], "new_api": True}))[:-1])
    assert reply["xyz"] == {"error_message": "not support (xyz)"}


async def test_old_firmware_and_the_first_new_builds_know_no_array(start, ask):
    farm = await start("antminer/s9,antminer/s19-2020")
    for miner in farm:
        reply = json.loads((await ask(miner, {"command": ["summary"]}))[:-1])
        assert reply["STATUS"][0]["Code"] == 24


async def test_old_firmware_guards_what_is_not_in_group_a(start, ask):
    farm = await start("antminer/s9")
    reply = json.loads((await ask(farm.miners[0], "restart"))[:-1])["STATUS"][0]
    assert (reply["Code"], reply["Msg"]) == (45, "Access denied to 'restart' command")
    assert json.loads((await ask(farm.miners[0], b"{broken"))[:-1])["STATUS"][0]["Code"] == 23


async def test_text_that_is_no_json_is_answered_as_text(start, ask):
    farm = await start("antminer/s9,antminer/s21")
    for miner in farm:
        data = await ask(miner, b"version")
        assert data.startswith(b"STATUS=S,When=") and b"|VERSION," in data
        assert data.endswith(b"|\0")


async def test_a_name_of_more_than_fifteen_letters_is_cut(start, ask):
    farm = await start("antminer/s21")
    reply = await ask(farm.miners[0], {"command": "summary" + "x" * 30, "new_api": True})
    assert json.loads(reply[:-1]) == {"error_message": "not support (summary" + "x" * 8 + ")"}


@pytest.mark.parametrize(("key", "bad"), [("s9", True), ("l3+", True), ("z11", True), ("d3", True), ("e3", False), ("s9k", False), ("t17+", False), ("s21", False)])  # fmt: skip
async def test_some_old_builds_forget_the_comma_inside_stats(start, ask, key, bad):
    farm = await start(f"antminer/{key}")
    data = (await ask(farm.miners[0], "stats"))[:-1]
    assert (b"}{" in data) is bad
    if not bad:
        json.loads(data)


@pytest.mark.parametrize(
    ("key", "unit_hs"),
    [
        ("s9", 1000000000.0),
        ("l3+", 1000000.0),
        ("z11", 1000.0),
        ("e3", 1000000.0),
        ("d3", 1000000.0),
        ("t17+", 1000000000.0),
        ("s21", 1000000000.0),
        ("l7", 1000000.0),
        ("l9", 1000000.0),
        ("ks5", 1000000000.0),
        ("e9pro", 1000000.0),
        ("d9", 1000000.0),
    ],
)
async def test_the_label_ghs_counts_in_the_familys_own_unit(start, legacy, key, unit_hs):
    farm = await start(f"antminer/{key}")
    miner = farm.miners[0]
    data = (await legacy(miner, "stats"))["STATS"][1]
    assert float(data["GHS 5s"]) * unit_hs == pytest.approx(miner.hashrate_hs, rel=0.05)
    assert isinstance(data["GHS 5s"], str) is (miner.generation == "old")
    assert isinstance(data["GHS av"], float)


async def test_godminer_gives_rates_with_their_unit(start, legacy):
    farm = await start("antminer/l7,antminer/ks5,antminer/e9pro")
    l7, ks5, e9 = farm.miners
    row = (await legacy(l7, "summary"))["SUMMARY"][0]
    assert row["THEORY HASHRATE"] == "9500.00MH/s" and row["RT HASHRATE"].endswith(" MH/s")
    assert (await legacy(ks5, "summary"))["SUMMARY"][0]["THEORY HASHRATE"] == "20000.00GH/s"
    data = (await legacy(e9, "stats"))["STATS"][1]
    assert data["chain_rate1"] == pytest.approx(1.9, rel=0.05)  # GH/s beside MH/s
    assert "rate_unit" not in data and data["total_rateideal"] == 3800.0
    assert data["CHAIN AVG HASHRATE1"].endswith(" MH/s")


@pytest.mark.parametrize(("key", "chains"), [("s9", [6, 7, 8]), ("l3+", [1, 2, 3, 4]), ("t17+", [1, 2, 3]), ("e3", [1, 2, 3, 8, 9, 10, 11, 12, 13])])  # fmt: skip
async def test_chains_are_numbered_as_the_model_numbers_them(start, legacy, key, chains):
    farm = await start(f"antminer/{key}")
    data = (await legacy(farm.miners[0], "stats"))["STATS"][1]
    there = sorted(int(k[9:]) for k in data if k.startswith("chain_acs") and data[k])
    assert there == chains
    assert all(data[f"chain_acn{n}"] == farm.miners[0].spec.chips for n in chains)


async def test_fans_sit_in_odd_slots_on_the_s9_and_nowhere_on_a_hydro(start, legacy):
    farm = await start("antminer/s9,antminer/s21hyd,antminer/s21")
    s9, hydro, s21 = [(await legacy(m, "stats"))["STATS"][1] for m in farm]
    assert [n for n in range(1, 9) if s9[f"fan{n}"]] == [3, 6]
    assert hydro["fan_num"] == 0 and not any(hydro[f"fan{n}"] for n in range(1, 5))
    assert all(s21[f"fan{n}"] > 1000 for n in range(1, 5))


async def test_temperatures_are_joined_by_dashes_and_may_be_below_zero(start, legacy):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    data = (await legacy(miner, "stats"))["STATS"][1]
    assert data["temp_pcb4"] == "0-0-0-0" and data["temp_max"] == 0
    assert max(int(t) for t in data["temp_pcb1"].split("-")) == data["temp1"]
    miner.faults.add("cold")
    data = (await legacy(miner, "stats"))["STATS"][1]
    assert data["temp_pcb1"].startswith("-") and "--" in data["temp_pcb1"]


async def test_a_missing_board_leaves_no_temperature_behind(start, legacy):
    farm = await start("antminer/s19pro", faults={"*": [{"fault": "board_missing", "chains": [0]}]})
    data = (await legacy(farm.miners[0], "stats"))["STATS"][1]
    assert "temp1" not in data and data["chain_acn1"] == 0 and data["chain_acs1"] == ""
    assert data["miner_count"] == 2 and data["temp2"] > 0


async def test_unset_pools_are_deed_on_new_and_dead_on_old_firmware(start, legacy):
    farm = await start("antminer/s21,antminer/s9")
    new, old = [(await legacy(m, "pools"))["POOLS"] for m in farm]
    assert [p["Status"] for p in new] == ["Alive", "Alive", "Deed"]
    assert [p["Status"] for p in old] == ["Alive", "Alive", "Dead"]
    assert [p["Stratum Active"] for p in new] == [True, False, False]
    assert "Pool Stale%%" in new[0] and "Pool Stale%" in old[0]


async def test_shares_and_elapsed_grow(start, legacy, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    first = (await legacy(miner, "summary"))["SUMMARY"][0]
    at = farm.clock.now()
    await until(lambda: farm.clock.now() > at + 60)
    then = (await legacy(miner, "summary"))["SUMMARY"][0]
    assert then["Elapsed"] - first["Elapsed"] >= 60 and then["Accepted"] > first["Accepted"]


async def test_the_whole_table_of_models_answers_every_reading_command(start, ask):
    farm = await start(",".join(f"antminer/{key}" for key in EVERY.split()))
    for miner in farm:
        for command in ("version", "summary", "stats", "pools", "devs"):
            data = await ask(miner, command)
            reply = json.loads(data[:-1].replace(b"}{", b"},{"))
            assert reply["STATUS"][0]["STATUS"] == "S", (miner.key, command)
            assert reply["id"] == 1


@pytest.mark.parametrize(
    ("fault", "end", "start_with"),
    [("newline_end", b"}\n", b"{"), ("lowercase_keys", b"}\0", b'{"status":[{"status"')],
)
async def test_builds_end_and_spell_differently(start, ask, fault, end, start_with):
    farm = await start("antminer/s21", faults={"*": [fault]})
    data = await ask(farm.miners[0], "version")
    assert data.endswith(end) and data.startswith(start_with)


async def test_builds_answer_unknown_commands_with_nothing_or_plainly(start, ask):
    farm = await start("antminer/s21:2")
    one, two = farm.miners
    one.faults.add("empty_unknown")
    two.faults.add("plain_unknown")
    assert await ask(one, "xyz") == b""
    assert await ask(two, "xyz") == b'{"error": "unknown command"}\0'
