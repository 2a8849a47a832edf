"""What can be done to a simulated IceRiver, by its web forms and by its daemon; the ledger says what came of it."""

from __future__ import annotations

import json

import pytest

from simulator.iceriver.catalogue import Variant
from simulator.iceriver.firmware import build_image, md5
from tests.simulator.iceriver.clients import (
    POOLS,
    act,
    applied,
    ask,
    daemon,
    daemon_raw,
    panel,
    upload,
)

HARDWARE = {"fanratio": "60", "fanmode": "normal"}
NEW = [
    {"url": f"stratum+tcp://new{n}.example.com:4444", "user": f"wallet.{n}", "pass": f"p{n}"}
    for n in (1, 2, 3)
]


@pytest.fixture
async def farm(start):
    return await start(["iceriver/ks3m", "iceriver/ks5l", "iceriver/ks3l"])


@pytest.fixture
def old(farm):
    """Variant A."""
    return farm.miners[0]


@pytest.fixture
def new(farm):
    """Variant B."""
    return farm.miners[1]


async def machine(miner):
    return (await ask(miner, "machineconfig", 1))["data"]


async def stored(miner):
    return [
        {"url": pool["addr"], "user": pool["user"], "pass": pool["pass"]}
        for pool in (await machine(miner))["pools"]
    ]


async def back(miner, until, boot):
    await until(lambda: miner.boot > boot and miner.daemon_up)


async def test_the_light(farm, old, new):
    assert await ask(old, "userpanel", 5, locate="1") == {
        "error": 0,
        "data": {},
        "message": "(null)",
    }
    assert (await panel(old))["locate"] is True
    assert await daemon(new, "setlocate", on=True) == {"code": 0}
    assert await ask(new, "userpanel", 5, locate="0") == {"error": 0, "data": {}, "message": ""}
    assert applied(farm, "light") == [
        ({"on": False}, {"on": True}),
        ({"on": False}, {"on": True}),
        ({"on": True}, {"on": False}),
    ]


@pytest.mark.parametrize("fields", [{}, {"locate": "2"}, {"locate": "on"}])
async def test_a_form_that_lacks_a_field_is_refused_in_chinese(new, fields):
    reply = await ask(new, "userpanel", 5, **fields)
    assert (reply["error"], reply["data"]) == (1, []) and not reply["message"].isascii()


async def test_since_late_2023_a_pool_form_sets_pools_and_nothing_else(farm, new):
    new.fan_control = True
    assert (await ask(new, "machineconfig", 2, **POOLS, fanratio="10", fanmode="sleep"))[
        "error"
    ] == 0
    assert await stored(new) == NEW and (new.fan_control, new.fan_ratio, new.mode) == (
        True,
        60,
        "normal",
    )
    ((before, after),) = applied(farm, "pools")
    assert before["pools"][0]["url"].startswith("stratum+tcp://pool1.") and after["pools"] == NEW


async def test_before_that_it_sets_fan_and_mode_too_and_loses_a_fan_set_by_hand(farm, old):
    old.fan_control = True
    assert (await ask(old, "machineconfig", 2, **POOLS, **HARDWARE))["error"] == 0
    assert await stored(old) == NEW
    assert applied(farm, "fan") == [
        ({"control": True, "ratio": 60}, {"control": False, "ratio": 60})
    ]
    assert applied(farm, "mode") == []


async def test_there_a_form_without_fan_and_mode_is_half_done_and_breaks(old):
    reply = await ask(old, "machineconfig", 2, **POOLS)
    assert (reply["error"], reply["message"]) == (3, "Json decode fail!")
    assert await stored(old) == NEW


async def test_pools_connect_a_while_after_they_were_set(new, until):
    await ask(new, "machineconfig", 2, **POOLS)
    await until(lambda: any(pool.active for pool in new.pool_states()))
    pools = (await panel(new))["pools"]
    assert [(pool["connect"], pool["state"]) for pool in pools] == [
        (1.0, 1.0),
        (-1.0, 0.0),
        (-1.0, 0.0),
    ]


async def test_empty_fields_clear_a_slot_and_missing_ones_are_an_error(new):
    fields = POOLS | {"pool3address": "", "pool3miner": "", "pool3pwd": ""}
    assert (await ask(new, "machineconfig", 2, **fields))["error"] == 0
    assert (await stored(new))[2] == {"url": "", "user": "", "pass": ""}
    del fields["pool3pwd"]
    assert (await ask(new, "machineconfig", 2, **fields))["error"] == 1


async def test_spaces_are_trimmed(new):
    await ask(new, "machineconfig", 2, **(POOLS | {"pool1miner": "  wallet.1  "}))
    assert await stored(new) == NEW


async def test_a_bare_quote_breaks_the_order_and_one_with_a_backslash_every_later_reply(new):
    reply = await ask(new, "machineconfig", 2, **(POOLS | {"pool1pwd": 'a"b'}))
    assert (reply["error"], reply["message"]) == (3, "Json decode fail!")
    reply = await ask(new, "machineconfig", 2, **(POOLS | {"pool1pwd": 'a\\"b'}))
    assert reply["error"] == 0
    for body in (await act(new, "userpanel", 4), await act(new, "machineconfig", 1)):
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
    assert (await daemon(new, "getpool"))["pools"][0]["pass"] == 'a"b'


async def test_a_percent_sign_is_stored_and_eaten_in_replies(new):
    await ask(new, "machineconfig", 2, **(POOLS | {"pool1pwd": "50%off"}))
    assert (await daemon(new, "getpool"))["pools"][0]["pass"] == "50%off"
    assert (await stored(new))[0]["pass"] == "50ff"


async def test_a_form_longer_than_the_buffer_is_cut_and_refused(farm, new):
    reply = await ask(new, "machineconfig", 2, **(POOLS | {"pool3pwd": "x" * 1900}))
    assert (reply["error"], reply["message"]) == (3, "Json decode fail!")
    assert farm.ledger.of(action="pools") == []


async def test_sleep_and_wake_by_the_form_of_their_own(farm, new, until):
    reply = await ask(new, "machineconfig", 3, **POOLS, fanratio="60", fanmode="sleep")
    assert reply["error"] == 0 and (await machine(new))["mode"] == 0
    assert await stored(new) != NEW
    await until(lambda: new.hasher.rate_over(300) == 0)
    data = await panel(new)
    assert (data["rtpow"], data["powstate"]) == ("0G", False) and data["avgpow"] != "0G"
    assert new.state == "sleeping" and (await daemon(new, "hello"))["code"] == 0
    await ask(new, "machineconfig", 3, **POOLS, **HARDWARE)
    await until(lambda: new.hasher.rate_over(300) > 0.9 * new.hashrate_hs)
    assert applied(farm, "mode") == [
        ({"mode": "normal"}, {"mode": "sleep"}),
        ({"mode": "sleep"}, {"mode": "normal"}),
    ]


async def test_a_fan_set_by_hand_turns_as_fast_as_it_is_told(new):
    await ask(new, "machineconfig", 3, fancontrol="on", fanratio="30", fanmode="normal")
    assert (await panel(new))["fans"] == [1800, 1815, 1800, 1815]
    reply = await ask(new, "machineconfig", 3, fancontrol="on", fanratio="101", fanmode="normal")
    assert (reply["error"], reply["message"]) == (1005, "failed")


async def test_sleep_outlasts_a_reboot(new, until):
    await ask(new, "machineconfig", 3, **(HARDWARE | {"fanmode": "sleep"}))
    await ask(new, "userpanel", 3)
    await back(new, until, 1)
    assert (await machine(new))["mode"] == 0 and not new.hasher.works


async def test_one_build_garbles_the_word_for_sleep_and_stays_awake(farm):
    ks3l = farm.miners[2]
    fields = POOLS | HARDWARE | {"fanmode": "sleep"}
    assert (await ask(ks3l, "machineconfig", 2, **fields))["error"] == 0
    assert (await machine(ks3l))["mode"] == 1 and ks3l.hasher.works
    (entry,) = farm.ledger.of(action="mode", phase="received")
    assert entry["after"] == {"mode": "sleeps"}
    await daemon(ks3l, "sethw", fan={"control": False, "ratio": 60}, mode="sleep")
    assert ks3l.mode == "sleep"


async def test_a_reboot_refuses_then_answers_error_1_then_is_well(farm, new, until):
    new.hasher.start(asleep=False, ago_s=86_400)
    assert (await ask(new, "userpanel", 3))["error"] == 0
    await until(lambda: not new.web_up)
    with pytest.raises(ConnectionRefusedError):
        await act(new, "userpanel", 4)
    await until(lambda: new.web_up and new.listeners["http"].is_open)
    if not new.daemon_up:
        reply = await ask(new, "userpanel", 4)
        assert (reply["error"], reply["message"]) == (1, "Connect miner failed!")
        with pytest.raises(ConnectionRefusedError):
            await daemon(new, "hello")
    await back(new, until, 1)
    data = await panel(new)
    assert data["runtime"].startswith("00:00:0") and data["locate"] is False
    assert int(data["rtpow"].removesuffix("G")) < 0.2 * 12_000
    assert len(data["pows_x"]) < 3
    assert applied(farm, "reboot") == [({"boot": 1}, {"boot": 2})]


async def test_the_rate_of_five_minutes_takes_minutes_to_show_and_old_builds_pad_the_history(
    old, until
):
    await daemon(old, "restart")
    await back(old, until, 1)
    data = await panel(old)
    assert len(data["pows"]["board1"]) == 23 and data["pows"]["board1"][-1] == -1
    valid = [point for point in data["pows"]["board1"] if point >= 0]
    assert len(valid) == len(data["pows_x"])
    await until(lambda: old.hasher.elapsed() > 200)
    rising = int((await panel(old))["rtpow"].removesuffix("G"))
    assert 0 < rising < 5900
    await until(lambda: old.hasher.elapsed() > 400)
    assert int((await panel(old))["rtpow"].removesuffix("G")) > max(rising, 5700)


async def test_some_builds_cut_the_line_when_they_reboot(farm, until):
    ks3l = farm.miners[2]
    assert await act(ks3l, "userpanel", 3) == b""
    await until(lambda: ks3l.boot == 2)


async def test_a_factory_reset_really_resets(farm, new, until):
    await ask(new, "machineconfig", 2, **POOLS)
    assert (await ask(new, "userpanel", 2))["error"] == 0
    await back(new, until, 1)
    assert (await stored(new))[0]["url"].startswith("stratum+tcp://factory1.")
    ((before, after),) = applied(farm, "factory_reset")
    assert before["pools"] == NEW and after["pools"] != NEW


async def test_a_password_is_changed_for_the_right_old_one(farm, new):
    form = {"nowpwd": "12345678", "newpwd": "other", "compwd": "other"}
    assert (await ask(new, "systemconfig", 2, **(form | {"nowpwd": "x"})))["error"] == 1002
    assert (await ask(new, "systemconfig", 2, **(form | {"compwd": "x"})))["error"] == 1
    assert (await daemon(new, "changepass", **{"pass": "12345678", "newpass": ""}))["code"] == 1017
    assert (await ask(new, "systemconfig", 2, **form))["error"] == 0
    assert (await ask(new, "loginpost", 6, user="admin", pwd="other"))["error"] == 0
    assert applied(farm, "password") == [({"changes": 0}, {"changes": 1})]
    assert "other" not in str(farm.ledger.entries)


async def test_the_network_is_set_and_the_device_answers_there(farm, new, until):
    address = new.ip.rpartition(".")[0] + ".77"
    form = {"host": "m", "netmask": "255.0.0.0", "gateway": "127.0.0.1", "dns": "127.0.0.1"}
    reply = await ask(new, "ipconfig", 2, agreement="static", **form)
    assert reply["error"] == 1
    form["ip"] = address
    assert (await ask(new, "ipconfig", 2, agreement="static", **form))["error"] == 0
    await until(lambda: new.ip == address and new.listeners["http"].is_accepting)
    data = (await ask(new, "ipconfig", 1))["data"]
    assert (data["ip"], data["dhcp"], data["host"]) == (address, False, "m")
    ((before, after),) = applied(farm, "network")
    assert before["network"]["dhcp"] is True and after["network"]["ip"] == address


# --- firmware ------------------------------------------------------------------------------------


async def test_an_image_is_taken_and_runs_from_the_next_boot_on(farm, old, until):
    image = old.newer_image()
    assert image is not None and old.image_name == "ks3m.bgz"
    assert (await upload(old, image))["error"] == 0
    assert (await panel(old))["softver1"] == "5977449_ks3m_miner"
    pools = await stored(old)
    await ask(old, "userpanel", 3)
    await back(old, until, 1)
    data = await panel(old)
    assert (data["softver1"], data["softver2"]) == ("5977450_ks3m_miner", "5977450_ks3m_bg")
    assert await stored(old) == pools
    # the new build has the form of its own
    assert old.variant is Variant.B
    assert (await ask(old, "machineconfig", 3, **HARDWARE))["error"] == 0
    assert len(applied(farm, "firmware")) == len(applied(farm, "flash")) == 1
    await ask(old, "userpanel", 3)
    await back(old, until, 2)
    assert len(applied(farm, "flash")) == 1


async def test_an_image_without_keepconfig_loses_the_pools(farm, new, until):
    assert (await upload(new, new.newer_image(), keep="false"))["error"] == 0
    await ask(new, "userpanel", 3)
    await back(new, until, 1)
    assert (await stored(new))[0]["url"].startswith("stratum+tcp://factory1.")
    assert len(applied(farm, "config_lost")) == 1 and applied(farm, "factory_reset") == []


async def test_an_image_of_another_model_is_refused(farm, new):
    reply = await upload(new, build_image("KS3M", "5977450"))
    assert (reply["error"], reply["message"]) == (1010, "file invalid")
    assert new.pending is None and farm.ledger.of(action="firmware")[0]["phase"] == "rejected"


async def test_before_late_2023_it_is_taken_and_the_device_never_comes_back(old, until):
    assert (await upload(old, build_image("KS5L", "ICM168_3_2_11")))["error"] == 0
    await ask(old, "userpanel", 3)
    await until(lambda: old.bricked)
    assert not old.web_up and old.state == "off"


async def test_files_that_are_none_are_refused_with_the_codes_of_the_daemon(new):
    image = new.newer_image()
    assert (await upload(new, b"<html>not found</html>"))["error"] == 1010
    assert (await upload(new, image[:-1]))["error"] == 1011
    assert (await upload(new, image, name="my file;reboot.bgz"))["error"] == 1006
    assert (await upload(new, None))["error"] == 1
    command = {"keepconfig": True, "file": "none.bgz", "filemd5": md5(image)}
    assert (await daemon(new, "firmupdate", **command))["code"] == 1013
    new.faults.add("md5_fails")
    assert (await upload(new, image))["error"] == 1006


async def test_the_daemon_alone_can_do_it_all(farm, new, until):
    rows = [
        {"no": n, "addr": row["url"], "user": row["user"], "pass": row["pass"]}
        for n, row in enumerate(NEW, 1)
    ]
    assert await daemon(new, "setpool", pools=rows) == {"code": 0}
    assert await daemon(new, "setpool", pools=rows[:2]) == {"code": 1005, "msg": "failed"}
    assert new.pools == NEW
    fan = {"control": True, "ratio": 40}
    assert await daemon(new, "sethw", fan=fan, mode="sleep") == {"code": 0}
    assert (new.mode, new.fan_control, new.fan_ratio) == ("sleep", True, 40)
    assert json.loads(await daemon_raw(new, b'{"id":"restart"}\n')) == {
        "id": "restart",
        "ret": {"code": 0},
    }
    await back(new, until, 1)
    assert new.pools == NEW
