"""Every order in the dialects that take it: what is answered, when it takes effect, what the ledger says."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from simulator.whatsminer import firmware
from tests.simulator.whatsminer.clients import applied

RED = {"color": "red", "period": 200, "duration": 100, "start": 0}
GREEN = RED | {"color": "green"}
SPOKEN = ["m20s", "m50s", "m60s-compat", "m60s"]  # the first three by 4028, the last by 4433
ONE = {"url": "stratum+tcp://a.example.com:3333", "user": "acct.1", "pass": "secret"}
TWO = {"url": "stratum+tcp://b.example.com:4444", "user": "acct.2", "pass": "x"}
NONE = {"url": "", "user": "", "pass": ""}


class Speaker:
    """The same orders in the words of each dialect."""

    def __init__(self, miner, v2, v3):
        self.is_v3 = miner.generation == "v3"
        self._miner, self._v2, self._v3 = miner, v2, v3
        self.reset()

    def reset(self):
        """Without the token and the line of before, which a restart or a long while end."""
        self.by2, self.by3 = self._v2(self._miner), self._v3(self._miner)

    async def _say(self, two, three):
        if self.is_v3:
            reply = await self.by3.write(*three)
            return reply["code"] == 0
        name, more = two
        return (await self.by2.write(name, **more))["Code"] == 131

    async def light(self, on):
        if self.is_v3:
            return await self._say((), ("set.system.led", [RED, GREEN] if on else "auto"))
        if not on:
            return await self._say(("set_led", {"param": "auto"}), ())
        return await self._say(("set_led", RED), ()) and await self._say(("set_led", GREEN), ())

    async def mode(self, name):
        return await self._say((f"set_{name}_power", {}), ("set.miner.power_mode", name))

    async def reboot(self):
        return await self._say(("reboot", {}), ("set.system.reboot",))

    async def power(self, on):
        two = ("power_on", {}) if on else ("power_off", {"respbefore": "true"})
        return await self._say(two, ("set.miner.service", "start" if on else "stop"))

    async def pools(self, *rows):
        slots = [*rows, NONE, NONE, NONE][:3]
        two = {
            f"{name}{n}": row[key]
            for n, row in enumerate(slots, 1)
            for name, key in (("pool", "url"), ("worker", "user"), ("passwd", "pass"))
        }
        three = [{"pool": r["url"], "worker": r["user"], "passwd": r["pass"]} for r in rows]
        return await self._say(("update_pools", two), ("set.miner.pools", three))

    async def limit(self, watts):
        two = ("adjust_power_limit", {"power_limit": str(watts)})
        return await self._say(two, ("set.miner.power_limit", watts))

    async def percent(self, percent):
        three = ("set.miner.power_percent", {"percent": str(percent), "mode": "fast"})
        return await self._say(("set_power_pct", {"percent": str(percent)}), three)

    async def limit_told(self):
        """What the running process tells."""
        self.reset()
        if self.is_v3:
            status = await self.by3.ask("get.miner.status", "summary")
            return status["msg"]["summary"]["power-limit"]
        reply = await self.by2.ask("summary")
        row = reply["SUMMARY"][0] if "SUMMARY" in reply else reply["Msg"]
        return row["Power Limit"]

    async def upload(self, image):
        if self.is_v3:
            ready, done = await self.by3.upload(image)
            return ready["msg"], done["code"] == 0, done["msg"]
        ready, done = await self.by2.upload(image)
        return ready["Msg"], done["Code"] == 131, done["Msg"]

    async def log(self):
        if self.is_v3:
            head, data = await self.by3.log()
            return int(head["msg"]["logsize"]), data
        head, data = await self.by2.log()
        return int(head["Msg"]["logfilelen"]), data


@pytest.fixture(params=SPOKEN)
async def stage(request, start, v2, v3):
    farm = await start(f"whatsminer/{request.param}")
    return farm, farm.miners[0], Speaker(farm.miners[0], v2, v3)


async def test_the_light_is_set_by_hand_and_given_back(stage, until):
    farm, miner, say = stage
    assert await say.light(True)
    await until(lambda: len(miner.leds) == 2)
    assert miner.led_text() == "1,200,100,0 0,200,100,0 "
    assert await say.light(False)
    await until(lambda: not miner.light)
    lights = applied(farm, "light")
    assert lights[0] == ({"on": False}, {"on": True})
    assert lights[-1] == ({"on": True}, {"on": False})


async def test_a_mode_is_taken_by_a_restart_of_the_process(stage, until):
    farm, miner, say = stage
    booted = miner.booted_at
    assert await say.mode("low")
    await until(lambda: miner.mode == "low" and not miner.process.is_up)
    await until(lambda: miner.process.is_up)
    assert miner.process.mode == "low" and miner.elapsed() < 60 and miner.booted_at == booted
    assert applied(farm, "mode") == [({"mode": "normal"}, {"mode": "low"})]
    await until(lambda: miner.process.ramped)
    assert miner.process.rate_now() < 0.8 * miner.hashrate_hs


async def test_a_reboot_is_an_outage_of_all_ports_and_a_new_count(stage, until):
    farm, miner, say = stage
    assert await say.reboot()
    await until(lambda: miner.boot == 2)
    assert not any(listener.is_open for listener in miner.listeners.values())
    await until(lambda: miner.api_up)
    assert not miner.process.is_up and miner.uptime() < 30
    await until(lambda: miner.process.is_up)
    assert applied(farm, "reboot") == [({"boot": 1}, {"boot": 2})]


async def test_asleep_the_board_is_up_and_the_process_is_not(stage, until):
    farm, miner, say = stage
    assert await say.power(False)
    await until(lambda: miner.state == "sleeping")
    assert miner.process.power_w() < 60
    assert await say.power(True)
    await until(lambda: miner.process.is_up)
    assert applied(farm, "power_off") == [({"mining": True}, {"mining": False})]
    assert applied(farm, "power_on") == [({"mining": False}, {"mining": True})]


async def test_pools_are_replaced_at_once(stage, until):
    farm, miner, say = stage
    before = [dict(pool) for pool in miner.pools]
    started = miner.process.started
    assert await say.pools(ONE, TWO)
    await until(lambda: miner.live_pools == [ONE, TWO, NONE])
    assert miner.process.started == started
    assert applied(farm, "pools") == [({"pools": before}, {"pools": [ONE, TWO, NONE]})]
    assert [pool.url for pool in miner.pool_states()] == [ONE["url"], TWO["url"]]


async def test_pools_that_need_a_restart_are_shown_only_after_it(stage, until):
    _, miner, say = stage
    miner.faults.add("pools_need_restart")
    assert await say.pools(ONE)
    await until(lambda: miner.pools[0] == ONE)
    assert miner.live_pools[0] != ONE
    assert await say.reboot()
    await until(lambda: miner.process.is_up and miner.boot == 2)
    assert miner.live_pools[0] == ONE


async def test_a_power_limit_restarts_the_process_which_tells_0_until_it_hashes(stage, until):
    farm, miner, say = stage
    usual_w = miner.process.power_w()
    assert await say.limit(2400)
    await until(lambda: not miner.process.is_up)
    await until(lambda: miner.process.is_up)
    assert await say.limit_told() == 0
    await until(lambda: miner.process.ramped)
    assert await say.limit_told() == 2400
    assert usual_w > 2500 > miner.process.power_w() > 2300
    miner.power_cycle()
    await until(lambda: miner.process.ramped)
    assert 2300 < miner.process.power_w() <= 2400  # it is kept
    say.reset()
    assert await say.limit(99_999)
    await until(lambda: miner.settings["power_limit"] == 0 and miner.process.ramped)
    assert await say.limit_told() == miner.spec.power_limit_w
    assert applied(farm, "power_limit") == [
        ({"power_limit": 0}, {"power_limit": 2400}),
        ({"power_limit": 2400}, {"power_limit": 0}),
    ]


async def test_a_percentage_is_taken_while_it_runs_and_lost_with_the_next_boot(stage, until):
    farm, miner, say = stage
    usual_w, started = miner.process.power_w(), miner.process.started
    miner.settings["fast_boot"] = True
    assert await say.percent(70)
    await until(lambda: miner.process.power_w() <= usual_w * 0.71)
    assert miner.process.started == started
    assert applied(farm, "power_percent") == [({"power_percent": 100}, {"power_percent": 70})]
    miner.power_cycle()
    await until(lambda: miner.process.ramped)
    assert miner.process.power_w() == usual_w
    miner.settings["fast_boot"] = False
    say.reset()
    assert await say.percent(70)
    await until(lambda: miner.settings["power_percent"] == 70 and miner.process.is_up)
    # By 4433 it is taken by a restart then.
    assert (miner.process.elapsed() < 60) is say.is_v3


@pytest.mark.parametrize("fault", ["draws_on", "forgets_limit"])
async def test_a_liar_takes_its_limit_and_does_not_keep_to_it(stage, until, fault):
    farm, miner, say = stage
    usual_w = miner.process.power_w()
    miner.faults.add(fault)
    assert await say.limit(2400)
    await until(lambda: bool(applied(farm, "power_limit")) and miner.process.ramped)
    assert miner.process.power_w() == usual_w
    default_w = miner.spec.power_limit_w
    assert await say.limit_told() == (2400 if fault == "draws_on" else default_w)
    assert len(applied(farm, "limit_lost")) == (fault == "forgets_limit")


async def test_the_part_for_this_board_is_flashed_by_the_boot(stage, until):
    farm, miner, say = stage
    old, new = miner.version, firmware.next_version(miner.version)
    image = firmware.build_image(miner.spec.platform or "h3", new)
    assert (await say.upload(image))[:2] == ("ready", True)
    await until(lambda: miner.version == new and miner.process.is_up)
    assert applied(farm, "firmware") == [({"version": old}, {"pending": new})]
    assert applied(farm, "flash") == [({"version": old}, {"version": new})]
    assert miner.boot == 2 and not miner.misfit


async def test_a_whole_package_and_a_spoilt_part_are_turned_down(stage):
    farm, miner, say = stage
    package = miner.newer_image()
    assert package is not None
    assert await say.upload(package) == ("ready", False, "check image header error")
    part = firmware.build_image(miner.spec.platform or "h3", "20270101.16.REL")
    assert (await say.upload(part[:-1] + b"\0"))[1:] == (False, "image checksum error")
    assert not applied(farm, "firmware") and len(farm.ledger.of(phase="rejected")) == 2


async def test_the_log_is_a_gzip_tar_of_the_length_announced(stage):
    _, miner, say = stage
    length, data = await say.log()
    assert len(data) == length and data[:2] == b"\x1f\x8b"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        assert "logs/btminer.log" in tar.getnames()
    assert miner.boot == 1


@pytest.mark.parametrize("fault", ["ignores", "late_apply", "silent_apply", "dies_after_write"])
async def test_the_faults_of_orders_strike_here_too(start, v2, until, fault):
    farm = await start("whatsminer/m50s")
    miner, client = farm.miners[0], v2(farm.miners[0])
    await client.token()
    miner.faults.add(fault, actions=["light"], close=True, seconds=20)
    data = await client.raw(client.seal({"cmd": "set_led", **RED}))
    assert bool(data) == (fault in ("ignores", "late_apply"))
    assert len(farm.ledger.of(action="light", phase="received")) == 1
    if fault in ("late_apply", "silent_apply"):
        await until(lambda: miner.light)
    else:
        assert not miner.light


async def test_what_waits_when_the_power_goes_is_lost(start, v2, until):
    farm = await start("whatsminer/m50s")
    miner, client = farm.miners[0], v2(farm.miners[0])
    await client.write("set_low_power")
    miner.power_cycle()
    assert [e["phase"] for e in farm.ledger.of(action="mode")] == ["received", "lost"]
    await until(lambda: miner.process.is_up)
    assert miner.mode == "normal"


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("update_pools", {"pool1": "stratum+tcp://a:1", "worker1": "w", "passwd1": "x"}),
        ("power_off", {"respbefore": True}),
        ("set_led", {"color": "blue", "period": 1, "duration": 1, "start": 0}),
    ],
)
async def test_parameters_the_device_cannot_read_are_132(start, v2, command, more):
    farm = await start("whatsminer/m50s")
    reply = await v2(farm.miners[0]).write(command, **more)
    assert (reply["STATUS"], reply["Code"]) == ("E", 132)
    assert not farm.ledger.of(phase="received")


async def test_firmware_of_a_later_generation_changes_the_dialect(start, v2, v3, until):
    farm = await start("whatsminer/m50s")
    miner = farm.miners[0]
    image = firmware.build_image("H616", "20251209.16.Rel2", api="2.2.1", api_v3="3.0.2")
    await v2(miner).upload(image)
    await until(lambda: miner.generation == "v3" and miner.process.is_up)
    assert (await v3(miner).ask("get.device.info"))["msg"]["system"]["fwversion"] == miner.version
    assert isinstance((await v2(miner).ask("summary"))["Msg"], dict)


async def test_an_image_for_the_other_cooling_is_taken_and_then_complained_of(start, v3, until):
    farm = await start("whatsminer/m63s")
    miner = farm.miners[0]
    await v3(miner).upload(firmware.build_image("H616", "20270101.16.REL"))
    await until(lambda: miner.boot == 2 and miner.process.is_up)
    assert 8410 in miner.health.codes() and miner.process.rate_now() == 0


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("write_disabled", -4, "no permission for write command"),
        ("locked_account", -4, "account is locked"),
        ("wrong_password", -4, "no permission for write command"),
        ("denied_as_fail", 0, "ok"),
    ],
)
async def test_v3_says_why_it_refuses(start, v3, fault, code, message):
    farm = await start("whatsminer/m60s", faults={"*": [fault]})
    reply = await v3(farm.miners[0]).write("set.system.led", "auto")
    assert (reply["code"], reply["msg"], reply["desc"]) == (code, message, "set.system.led")


async def test_an_account_may_do_only_what_it_was_given(start, v3):
    farm = await start("whatsminer/m60s")
    miner = farm.miners[0]
    user = v3(miner, password="user1", account="user1")
    assert (await user.write("set.system.led", "auto"))["code"] == -4
    given = {"user": "user1", "permission": "set.system.led,set.miner.service"}
    assert (await v3(miner).write("set.user.permission", given))["code"] == 0
    miner.accounts.permissions["user1"] = {"set.system.led"}
    assert (await user.write("set.system.led", "auto"))["code"] == 0
    assert (await user.write("set.system.reboot"))["code"] == -4


async def test_the_clock_matters_only_where_the_build_checks_it(start, v3):
    farm = await start("whatsminer/m60s")
    miner = farm.miners[0]
    assert (await v3(miner).write("set.system.led", "auto", ts=1983))["code"] == 0
    miner.faults.add("checks_ts")
    miner.faults.add("clock_drift", seconds=100_000)
    assert (await v3(miner).write("set.system.led", "auto"))["code"] == 0
    assert (await v3(miner).write("set.system.led", "auto", ts=farm.clock.unix()))["code"] == -4


async def test_a_factory_reset_leaves_no_pools_and_no_writes(start, v2, until):
    farm = await start("whatsminer/m50s")
    miner = farm.miners[0]
    await v2(miner).write("factory_reset")
    await until(lambda: miner.boot == 2 and miner.process.is_up)
    assert miner.pools == [NONE, NONE, NONE] and 2000 in miner.health.codes()
    assert (await v2(miner).write("reboot"))["Code"] == 45


async def test_a_new_password_ends_the_tokens(start, v2, until):
    farm = await start("whatsminer/m50s")
    miner = farm.miners[0]
    client = v2(miner)
    await client.write("update_pwd", old="admin", new="Farm_01")
    await until(lambda: miner.password == "Farm_01")
    assert (await v2(miner, "Farm_01").write("status"))["Code"] == 131
    assert json.loads(await client.raw(client.seal({"cmd": "reboot"})))["Code"] == 23
