"""set_miner_conf.cgi: what the shell scripts really do with what they are sent."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import pytest

from simulator.antminer.pools import pool_states

OK = {"stats": "success", "code": "M000", "msg": "OK!"}


def pools(name="new", count=3):
    return [
        {"url": f"stratum+tcp://{name}{n}.example.com:700", "user": f"{name}.{n}", "pass": "pw"}
        for n in range(count)
    ]


def body(**changes):
    return {
        "bitmain-fan-ctrl": False,
        "bitmain-fan-pwm": "100",
        "miner-mode": 0,
        "freq-level": "100",
        "pools": pools(),
    } | changes


async def conf(web, miner):
    return (await web(miner, "GET", "get_miner_conf")).json


async def write(web, miner, sent):
    return (await web(miner, "POST", "set_miner_conf", sent)).json


async def test_new_pools_are_taken_without_a_restart(start, web, legacy, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    before = miner.process.started
    assert await write(web, miner, body()) == OK
    assert (await conf(web, miner))["pools"] == pools()
    assert miner.process.started == before
    await until(lambda: pool_states(miner)[0].active)
    rows = (await legacy(miner, "pools"))["POOLS"]
    assert [r["URL"] for r in rows] == [p["url"] for p in pools()]
    lines = farm.ledger.of(action="pools")
    assert [e["phase"] for e in lines] == ["received", "applied"]
    assert lines[1]["after"]["pools"] == pools() != lines[1]["before"]["pools"]
    assert farm.ledger.of(action="mode") == []


async def test_a_write_that_asks_for_nothing_new_is_applied_with_equal_sides(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    assert await write(web, miner, body(pools=miner.pools)) == OK
    (received, applied) = farm.ledger.of(action="config")
    assert (received["phase"], applied["phase"]) == ("received", "applied")
    assert applied["before"] == applied["after"]


async def test_the_mode_is_read_and_written_under_different_names(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    ignored = {k: v for k, v in body().items() if k != "miner-mode"} | {"bitmain-work-mode": 1}
    assert await write(web, miner, ignored) == OK
    assert (await conf(web, miner))["bitmain-work-mode"] == "0"
    assert await write(web, miner, body(**{"miner-mode": 1})) == OK
    assert (await conf(web, miner))["bitmain-work-mode"] == "1"


@pytest.mark.parametrize(
    ("key", "taken"),
    [
        ("l9", [0, 1]),
        ("ks5", [0, 1]),
        ("s19pro", [0, 1, 3]),
        ("l7", [0, 1, 3]),
        ("s21hyd", [0, 1, 2]),
        ("s19kpro", [0, 1, 2, 3]),
    ],
)
async def test_a_mode_the_image_does_not_know_is_ignored_with_ok(start, web, key, taken):
    farm = await start(f"antminer/{key}")
    miner = farm.miners[0]
    for mode in (3, 2, 1, 9):
        before = miner.mode
        assert await write(web, miner, body(**{"miner-mode": mode})) == OK
        assert miner.mode == (mode if mode in taken else before)
    line = farm.ledger.of(action="mode", phase="applied")[-1]
    assert line["before"] == line["after"]  # the last one, 9


async def test_asleep_the_api_answers_and_the_boards_are_dark(start, web, legacy, until):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    await write(web, miner, body(**{"miner-mode": 1}))
    await until(lambda: miner.state == "sleeping")
    data = (await legacy(miner, "stats"))["STATS"][1]
    assert data["GHS 5s"] == 0 and data["Mode"] == 2 and data["Elapsed"] < 60
    assert set(data["chain_acs1"]) == {" ", "x"} and data["total_rateideal"] == 110000.0
    assert (await web(miner, "GET", "stats")).json["STATS"][0]["miner-mode"] == 1
    await write(web, miner, body(**{"miner-mode": 0}))
    await until(lambda: miner.state == "mining")


async def test_some_builds_have_nothing_to_say_while_asleep(start, web, legacy, until):
    farm = await start("antminer/s19xphyd")
    miner = farm.miners[0]
    await write(web, miner, body(**{"miner-mode": 1}))
    await until(lambda: miner.state == "sleeping")
    assert (await legacy(miner, "stats"))["STATS"] == []
    assert (await web(miner, "GET", "summary")).json["SUMMARY"] == []
    await until(lambda: pool_states(miner)[0].status == "Alive")


async def test_an_old_t17_sleeps_with_254_and_shows_nothing_but_zeros(start, web, legacy, until):
    farm = await start("antminer/t17+")
    miner = farm.miners[0]
    answer = await web(miner, "POST", "set_miner_conf", form(miner, mode="254"))
    assert answer.body == b"\n\nok"
    await until(lambda: miner.state == "sleeping")
    assert (await conf(web, miner))["bitmain-work-mode"] == "254"
    data = (await legacy(miner, "stats"))["STATS"][1]
    assert data["Mode"] == 254 and data["chain_acn1"] == 0 and data["chain_acs1"] == ""


async def test_protection_looks_like_sleep_but_the_config_says_normal(start, legacy, web):
    farm = await start("antminer/s19pro", faults={"*": ["overheated"]})
    miner = farm.miners[0]
    data = (await legacy(miner, "stats"))["STATS"][1]
    assert data["GHS 5s"] == 0 and "x" in data["chain_acs1"] and miner.state == "stopped"
    assert (await conf(web, miner))["bitmain-work-mode"] == "0"


async def test_a_missing_member_keeps_the_slots_old_value(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    old = miner.pools
    sent = body(pools=[{"url": "stratum+tcp://x.example.com:1", "user": "u", "pass": None}])
    assert await write(web, miner, sent) == OK
    now = (await conf(web, miner))["pools"]
    assert now[0] == {"url": "stratum+tcp://x.example.com:1", "user": "u", "pass": old[0]["pass"]}
    assert now[1:] == old[1:]


@pytest.mark.parametrize("sent", [b"", b"nonsense", b"[1]"])
async def test_what_is_no_object_is_an_illegal_request(start, web, sent):
    farm = await start("antminer/s21")
    reply = (await web(farm.miners[0], "POST", "set_miner_conf", sent)).json
    assert (reply["code"], reply["msg"]) == ("M001", "Illegal request!")
    assert [e["phase"] for e in farm.ledger.entries] == ["rejected"]


async def test_a_blank_in_the_body_wipes_the_pools_and_still_says_ok(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    assert await write(web, miner, json.dumps(body()).encode()) == OK
    assert all(pool["url"] == "" for pool in miner.pools)
    text = (await web(miner, "GET", "get_miner_conf")).text
    assert '"bitmain-fan-pwm" : ,' in text


async def test_backslashes_are_eaten_and_only_one_line_is_read(start, web):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    sent = json.dumps(body(), separators=(",", ":")).replace("/", "\\/").encode()
    assert await write(web, miner, sent) == OK
    assert miner.pools == pools()
    sent = json.dumps(body(pools=pools("\u00e9")), separators=(",", ":")).encode()
    await write(web, miner, sent)
    assert miner.pools[0]["user"] == "u00e9.0"
    two_lines = json.dumps(body(), indent=1).encode()
    assert (await write(web, miner, two_lines))["code"] == "M001"


async def test_god_needs_its_algo_and_stores_the_mode_as_a_number(start, web):
    farm = await start("antminer/l7")
    miner = farm.miners[0]
    assert (await conf(web, miner))["bitmain-work-mode"] == "0"
    await write(web, miner, body(algo="other"))
    now = await conf(web, miner)
    assert now["algo"] == "other" and now["bitmain-work-mode"] == 0
    await write(web, miner, body())
    assert (await conf(web, miner))["algo"] == "ltc"


async def test_late_images_show_less_take_a_lock_and_forget_what_is_not_sent(start, web):
    farm = await start("antminer/s21hyd")
    miner = farm.miners[0]
    shown = await conf(web, miner)
    assert next(iter(shown)) == "pools" and shown["bitmain-hashrate-percent"] is None
    assert shown["bitmain-user-ip-cat"] == "0" and "bitmain-freq" not in shown
    both = await asyncio.gather(write(web, miner, body()), write(web, miner, body()))
    assert sorted(reply["msg"] for reply in both) == ["OK!", "request busy"]
    assert (await conf(web, miner))["bitmain-user-ip-cat"] is None


async def test_a_client_that_hangs_up_leaves_the_lock_until_reboot(start, web, until, sign):
    farm = await start("antminer/s21hyd")
    miner = farm.miners[0]
    sent = json.dumps(body(), separators=(",", ":")).encode()
    target = "/cgi-bin/set_miner_conf.cgi"
    _, writer = await asyncio.open_connection(miner.ip, miner.http_port)
    head = f"POST {target} HTTP/1.1\r\nAuthorization: {sign('POST', target)}\r\n"
    writer.write(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
    await until(lambda: miner.config_lock)
    writer.close()
    await until(lambda: miner.pools == pools())
    await until(lambda: (farm.ledger.of(phase="applied")) and miner.config_lock)
    assert (await write(web, miner, body()))["msg"] == "request busy"
    miner.power_cycle()
    await until(lambda: miner.web_up)
    assert await write(web, miner, body()) == OK


async def test_two_writers_corrupt_an_older_images_file(start, web):
    farm = await start("antminer/s19pro")
    miner = farm.miners[0]
    await asyncio.gather(write(web, miner, body()), write(web, miner, body()))
    with pytest.raises(ValueError):
        await conf(web, miner)
    assert (await write(web, miner, body()))["code"] == "M003"


async def test_some_hydros_reset_fans_and_frequency_on_every_save(start, web):
    farm = await start("antminer/s21+hyd,antminer/s19pro")
    sent = body(**{"bitmain-fan-ctrl": True, "bitmain-fan-pwm": "70", "freq-level": "90"})
    for miner, pwm in zip(farm, ("100", "70"), strict=True):
        await write(web, miner, sent)
        assert miner.conf["bitmain-fan-pwm"] == pwm
    assert farm.miners[0].conf["bitmain-freq-level"] == "100"


async def test_locked_pools_stay_and_the_reply_is_still_ok(start, web):
    farm = await start("antminer/s21", faults={"*": ["locked_pools"]})
    miner = farm.miners[0]
    old = miner.pools
    assert (await web(miner, "GET", "pool_protect")).json["status"] == "success"
    assert await write(web, miner, body()) == OK
    assert (await conf(web, miner))["pools"] == old


async def test_user_ip_cat_restarts_and_appends_the_address(start, web, legacy, until):
    farm = await start("antminer/s21hyd")
    miner = farm.miners[0]
    await write(web, miner, body(**{"bitmain-user-ip-cat": 1}))
    await until(lambda: not miner.process.is_up)
    await until(lambda: miner.process.is_up)
    row = (await legacy(miner, "pools"))["POOLS"][0]
    assert row["User"].startswith("new.0.") and miner.pools[0]["user"] == "new.0"


async def test_an_empty_work_mode_key_restarts_the_process(start, web, until):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    await write(web, miner, body(**{"bitmain-work-mode": ""}))
    await until(lambda: not miner.process.is_up)


@pytest.mark.parametrize("answer", [200, 400])
async def test_some_builds_take_the_mode_only_as_text(start, web, answer):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("mode_as_string", answer=answer)
    first = await web(miner, "POST", "set_miner_conf", body(**{"miner-mode": 1}))
    assert first.status == answer and miner.mode == 0
    await write(web, miner, body(**{"miner-mode": "1", "bitmain-work-mode": "1"}))
    assert miner.mode == 1


async def test_builds_answer_and_show_the_config_differently(start, web):
    farm = await start("antminer/s21:4")
    success, few, plain, short = farm.miners
    success.faults.add("set_conf_success")
    few.faults.add("few_pools_refused")
    plain.faults.add("mode_key_plain")
    short.faults.add("lists_set_pools_only")
    assert await write(web, success, body()) == {"success": True}
    refused = await write(web, few, body(pools=pools(count=2)))
    assert refused["msg"] == "Invalid pool!" and few.pools[0]["user"] != "new.0"
    assert (await conf(web, plain))["miner-mode"] == "0"
    assert len((await conf(web, short))["pools"]) == 2


@pytest.mark.parametrize("variant", ["missing_pools", "broken", "colon_comma", "empty"])
async def test_a_config_that_cannot_be_trusted_refuses_writes(start, web, variant):
    farm = await start("antminer/s21")
    miner = farm.miners[0]
    miner.faults.add("bad_config", variant=variant)
    text = (await web(miner, "GET", "get_miner_conf")).text
    if variant == "missing_pools":
        assert "pools" not in json.loads(text)
    else:
        with pytest.raises(ValueError):
            json.loads(text)
    assert (await write(web, miner, body()))["code"] == "M003"


def form(miner, *, mode="0", name="new", fan="", count=3):
    values = [v for p in pools(name, count) for v in (p["url"], p["user"], p["pass"])]
    names = [f"_ant_pool{n}{k}" for n in range(1, count + 1) for k in ("url", "user", "pw")]
    names += ["_ant_nobeeper", "_ant_notempoverctrl"]
    names += ["_ant_fan_customize_switch", "_ant_fan_customize_value", "_ant_freq"]
    values += ["false", "false", "false", fan, miner.conf["bitmain-freq"]]
    if "bitmain-voltage" in miner.conf:
        names.append("_ant_voltage")
        values.append(miner.conf["bitmain-voltage"])
    if "bitmain-work-mode" in miner.conf:
        names.append("_ant_work_mode")
        values.append(mode)
    pairs = zip(names, values, strict=True)
    return "&".join(f"{k}={quote(v, safe='')}" for k, v in pairs).encode()


@pytest.mark.parametrize("key", ["s9", "l3+", "t17+"])
async def test_the_old_form_sets_the_pools_and_restarts(start, web, until, key):
    farm = await start(f"antminer/{key}")
    miner = farm.miners[0]
    before = miner.conf
    begin = farm.clock.now()
    answer = await web(miner, "POST", "set_miner_conf", form(miner))
    assert answer.body == b"\n\nok" and farm.clock.now() - begin >= 5
    assert (await conf(web, miner))["pools"] == pools()
    assert {**before, "pools": pools()} == miner.conf
    await until(lambda: miner.process.is_up and miner.elapsed() < 60)


async def test_the_old_form_goes_by_position_not_by_name(start, web):
    farm = await start("antminer/s9")
    miner = farm.miners[0]
    parts = form(miner).split(b"&")
    parts[0], parts[1] = parts[1], parts[0]  # right names, wrong places
    await web(miner, "POST", "set_miner_conf", b"&".join(parts))
    assert miner.pools[0]["url"] == "new.0" and miner.pools[0]["user"].startswith("stratum")


async def test_the_old_form_knows_few_percent_codes_and_no_small_hex(start, web):
    farm = await start("antminer/s9")
    miner = farm.miners[0]
    sent = form(miner).replace(b"new.0", b"a%2Bb%2bc%20d+e", 1)
    await web(miner, "POST", "set_miner_conf", sent)
    assert "a+b%2bc%20d+e" in json.dumps(miner.pools)


async def test_an_s9_config_has_neither_fans_nor_mode(start, web):
    farm = await start("antminer/s9,antminer/t17+")
    s9, t17 = [await conf(web, m) for m in farm]
    assert "multi-version" in s9 and not any("fan" in k or "mode" in k for k in s9)
    assert t17["bitmain-freq"] == "O" and t17["bitmain-voltage"] == "1950"


async def test_a_second_request_waits_while_an_s17_writes(start, web, until):
    farm = await start("antminer/s17pro")
    miner = farm.miners[0]
    writing = asyncio.ensure_future(web(miner, "POST", "set_miner_conf", form(miner)))
    await until(lambda: miner.config_lock)
    begin = farm.clock.now()
    await web(miner, "GET", "get_network_info")
    assert farm.clock.now() - begin > 4
    await writing
