"""Each documented quirk of the firmware, as the simulator has it: with its guard all is well, without it this is seen.

A row is a check that passes, and the guard of the driver to switch off so that it fails.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.clock import to_text
from contract.errors import (
    BadParamsError,
    MalformedError,
    MinerError,
    PolicyRefusedError,
    PoolsLockedError,
    UnsupportedError,
    UnsupportedModeError,
)
from drivers import wire as wire_module
from drivers.antminer import driver
from drivers.antminer.changes import firmware, light, logs, mode, orders, pools, reboot, uptime
from drivers.antminer.protocol import bmu, cgi, conf, repair, replies, rpc
from drivers.antminer.reading import figures, snapshot
from drivers.base import Light, Plan, Reboot
from drivers.changes import firmware as installing
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.link import Link
from drivers.protocol import digest as digest_module
from tests.drivers.antminer.quirk import (
    LOW,
    POOL_URL,
    SLEEP,
    Patch,
    Quirk,
    fails_without_its_guard,
    one_pool,
    only_first,
    planned,
    returning,
    set_to,
    upgrade,
)
from tests.drivers.antminer.stage import stage

# --- light ---------------------------------------------------------------------------------------


async def light_as_text() -> None:
    async with stage("s21", "blink_as_string") as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


async def light_that_blocks() -> None:
    async with stage("s9") as on:
        begun = on.clock.mono()
        assert (await on.carry_out(Light(on=True))).outcome == "done"
        # Its script answers when the light goes out: the driver does not wait.
        assert on.clock.mono() - begun < 10.0


# --- mode ----------------------------------------------------------------------------------------


async def mode_under_its_write_name() -> None:
    async with stage("s19pro") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def mode_under_its_other_read_name() -> None:
    async with stage("s21", "mode_key_plain") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def mode_as_number_after_a_save() -> None:
    async with stage("ks5") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"
        await on.no_change(SLEEP)


async def mode_only_as_text() -> None:
    async with stage("s21", {"fault": "mode_as_string", "answer": 200}) as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def mode_taken_in_silence() -> None:
    async with stage("ks5") as on:
        plan = await planned(on, LOW)
        with pytest.raises(UnsupportedModeError):
            await on.driver.apply(plan, on.permit())


async def low_is_two() -> None:
    async with stage("s21hyd") as on:
        assert (await on.carry_out(LOW)).outcome == "done"


async def asleep_and_hashing() -> None:
    async with stage("s21", "stuck_awake") as on:
        assert (await on.carry_out(SLEEP)).outcome != "done"


async def busy_for_a_while() -> None:
    async with stage("s21hyd", {"fault": "busy", "times": 2}) as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


# --- configuration -------------------------------------------------------------------------------


async def shell_cuts_at_blanks() -> None:
    async with stage("s21") as on:
        with pytest.raises(BadParamsError):
            await planned(on, one_pool("two words"))


async def short_list_keeps_old_tail() -> None:
    async with stage("s21") as on:
        assert (await on.carry_out(one_pool())).outcome == "done"
        assert [pool["url"] for pool in on.miner.pools] == [POOL_URL, "", ""]


async def algorithm_falls_back() -> None:
    async with stage("ks5") as on:
        on.miner.conf["algo"] = "ks5_other"
        assert (await on.carry_out(one_pool())).outcome == "done"
        assert on.miner.conf["algo"] == "ks5_other"


async def worker_suffix_is_dropped() -> None:
    async with stage("s21hyd") as on:
        on.miner.conf["bitmain-user-ip-cat"] = "1"
        assert (await on.carry_out(one_pool())).outcome == "done"
        assert on.miner.conf.get("bitmain-user-ip-cat") == "1"


async def signed_pools_win() -> None:
    async with stage("s21", "locked_pools") as on:
        with pytest.raises(PoolsLockedError):
            await on.carry_out(one_pool())


async def config_without_pools() -> None:
    async with stage("s21", {"fault": "bad_config", "variant": "missing_pools"}) as on:
        with pytest.raises(MalformedError):
            await planned(on, one_pool())


async def config_empty_while_starting() -> None:
    async with stage("s21", late=True) as on:
        on.faults.add("bad_config", variant="empty", times=1)
        assert isinstance(await on.driver.plan(one_pool()), Plan)


async def config_with_gaps() -> None:
    async with stage("t17+", {"fault": "bad_config", "variant": "colon_comma"}) as on:
        assert (await on.carry_out(one_pool())).outcome == "done"


async def form_of_unknown_layout() -> None:
    async with stage("s9", "unknown_conf_key") as on:
        with pytest.raises(UnsupportedError):
            await planned(on, one_pool())


# --- reboot --------------------------------------------------------------------------------------


async def mailbox_last_writer_wins() -> None:
    for _ in range(5):
        async with stage("s19pro") as on:
            reboot_plan = await planned(on, Reboot(force=True))
            light_plan = await planned(on, Light(on=True))
            await on.driver.apply(reboot_plan, on.permit())
            with suppress(MinerError):  # it is rebooting, as it should
                await on.driver.apply(light_plan, on.permit())
            await on.miner.clock.sleep(6.0)
            assert len(on.ledger("reboot")) == 1


async def reboot_by_post() -> None:
    async with stage("s21", "reboot_post_only") as on:
        assert (await on.carry_out(Reboot(force=True))).outcome == "done"


async def reboot_begins_late() -> None:
    async with stage("s21hyd") as on:
        assert (await on.carry_out(Reboot(force=True))).outcome == "done"


async def watchdog_restart_is_no_reboot() -> None:
    async with stage("s19pro") as on:
        plan = await planned(on, Reboot(force=True))
        on.miner.crash_process()
        permit = on.permit({"intent_at": to_text(on.clock.now())})
        assert (await on.driver.verify(plan, permit)).outcome != "done"


async def uptime_without_unit() -> None:
    assert uptime.system_sign("1", "1", 200, 5) is CounterSign.UNCLEAR


# --- firmware and logs ---------------------------------------------------------------------------


async def merged_container() -> None:
    async with upgrade("s21") as evidence:
        assert evidence.outcome == "done"


async def part_must_be_named_file() -> None:
    async with upgrade("s21", "upgrade_needs_name_file") as evidence:
        assert evidence.outcome == "done"


async def upload_is_cut_by_length() -> None:
    async with upgrade("s19pro") as evidence:
        assert evidence.outcome == "done"


async def upload_waits_for_a_reboot() -> None:
    async with upgrade("s9") as evidence:
        assert evidence.outcome == "done"


async def flash_that_fails_in_silence() -> None:
    async with upgrade("s21", "upgrade_bad_flash") as evidence:
        assert evidence.outcome == "unknown"


async def log_under_the_other_name() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        async with stage("s21", "logs_swapped") as on:
            log = await on.driver.get_log(Path(folder), size_cap_bytes=100_000)
            assert log.size_bytes


# --- the API and the web side --------------------------------------------------------------------


async def request_in_one_piece() -> None:
    async with stage("s21") as on:
        assert (await on.driver.read()).moving.hashrate_hs


async def old_api_joins_with_plus() -> None:
    async with stage("s9") as on:
        assert (await on.driver.read()).moving.hashrate_hs
        assert on.driver.rpc.form is rpc.Form.JOINED


async def new_api_takes_an_array() -> None:
    async with stage("s19pro") as on:
        assert (await on.driver.read()).moving.hashrate_hs
        assert on.driver.rpc.form is rpc.Form.ARRAY


async def stats_without_a_comma() -> None:
    async with stage("s9") as on:
        assert (await on.driver.read()).moving.boards


async def lower_case_keys() -> None:
    async with stage("s19pro", "lowercase_keys") as on:
        moving = (await on.driver.read()).moving
        assert moving.hashrate_hs
        assert moving.pools


async def unit_of_the_family() -> None:
    async with stage("l3+") as on:
        rate = (await on.driver.read()).moving.hashrate_hs
        assert rate == pytest.approx(on.miner.hashrate_hs, rel=0.3)


async def fans_in_odd_slots() -> None:
    async with stage("s9") as on:
        assert len((await on.driver.read()).moving.fan_rpm) == 2


async def temperatures_below_zero() -> None:
    async with stage("s19pro", "cold") as on:
        hottest = max(on.miner.chip_temps(0))
        assert hottest < 0
        assert (await on.driver.read()).moving.boards[0].temp_chip_c == hottest


async def realm_in_small_letters() -> None:
    async with stage("s21", "realm_lowercase") as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


async def nonce_grows_old() -> None:
    async with stage("s21", "nonce_expires") as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


async def a_get_wipes_the_device() -> None:
    async with stage("s21") as on:
        with pytest.raises(PolicyRefusedError):
            await on.driver.cgi.get("reset_conf.cgi")
        assert not on.ledger("factory_reset", phase="received")


async def many_scripts_hang_the_web_server() -> None:
    async with stage("s9", {"fault": "fragile_web", "limit": 2}, read_s=2.0) as on:
        await asyncio.gather(*(on.driver.cgi.get("get_miner_conf.cgi") for _ in range(6)))


# --- the guards, switched off --------------------------------------------------------------------


def believing(_: Any, number: str, __: str) -> Any:
    async def answer() -> str:
        return number

    return answer()


def one_name(body: dict[str, Any], value: Any) -> None:
    body["bitmain-work-mode"] = value


async def never(_: Any) -> bool:
    return False


def two_parts(boundary: str) -> tuple[bytes, bytes, str]:
    head, tail, kind = _multipart(boundary)
    extra = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="keep"\r\n\r\n1'.encode()
    return head, extra + tail, kind


_multipart = firmware.multipart


def minutes(text: Any) -> tuple[tuple[float, float], ...]:
    return ((int(text) * 60.0, int(text) * 60.0 + 60.0),)


def in_two_pieces(self: Any, data: bytes) -> None:
    """The second a moment later: what is sent in one turn of the loop may be read at once, however it was written."""
    self._transport.write(data[:1])
    asyncio.get_running_loop().call_later(0.01, self._transport.write, data[1:])


def first_only(self: Any, challenge: Any) -> None:
    if self.challenge is None:
        self.challenge = challenge


@asynccontextmanager
async def no_lock(_: Any) -> AsyncIterator[None]:
    yield


def only(form: rpc.Form) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(
        rpc.AntminerRpc, "_forms", lambda *_, **__: (form, rpc.Form.SINGLE)
    )


def reboots_within_thirty_seconds(patch: Patch) -> None:
    for name in ("outage", "boot"):
        proof = getattr(reboot.AntminerReboot, name)
        patch.setattr(reboot.AntminerReboot, name, msgspec.structs.replace(proof, latest_s=30.0))


def unit_is_what_the_label_says(patch: Patch) -> None:
    patch.setattr(driver, "spec_for", lambda _: None)


QUIRKS = [
    Quirk(light_as_text, only_first(light, "spellings")),
    Quirk(light_that_blocks, returning(light, "start_patience_s", 60.0)),
    Quirk(mode_under_its_write_name, set_to(conf, "name_mode", one_name)),
    Quirk(mode_under_its_other_read_name, set_to(conf, "_MODE_KEYS", ("bitmain-work-mode",))),
    Quirk(mode_as_number_after_a_save, set_to(conf, "mode_text", lambda value: value)),
    Quirk(mode_only_as_text, only_first(mode, "spellings")),
    Quirk(mode_taken_in_silence, set_to(mode, "read_back", believing)),
    Quirk(low_is_two, only_first(mode, "low_numbers")),
    Quirk(asleep_and_hashing, returning(mode, "runs", value=True)),
    Quirk(busy_for_a_while, set_to(mode, "_BUSY_TRIES", 1)),
    Quirk(shell_cuts_at_blanks, returning(conf, "is_shell_safe", value=True)),
    Quirk(short_list_keeps_old_tail, set_to(conf, "filled_up", lambda slots: slots)),
    Quirk(algorithm_falls_back, returning(conf, "echo_rest", None)),
    Quirk(worker_suffix_is_dropped, returning(conf, "echo_rest", None)),
    Quirk(signed_pools_win, set_to(pools, "are_locked", never)),
    Quirk(config_without_pools, set_to(conf, "pool_list", lambda root: root.get("pools") or [])),
    Quirk(config_empty_while_starting, set_to(orders, "STARTING_TRIES", 1)),
    Quirk(config_with_gaps, set_to(repair, "mend", lambda text: text)),
    Quirk(form_of_unknown_layout, returning(conf, "check_layout", None)),
    Quirk(mailbox_last_writer_wins, returning(wire_module.Wire, "quiet_for", None)),
    Quirk(reboot_by_post, returning(reboot, "is_refused_method", value=False)),
    Quirk(reboot_begins_late, reboots_within_thirty_seconds),
    Quirk(
        watchdog_restart_is_no_reboot, set_to(Verification, "was_away", property(lambda _: True))
    ),
    Quirk(uptime_without_unit, set_to(uptime, "boot_uptimes_s", minutes)),
    Quirk(merged_container, returning(bmu, "is_container", value=False)),
    Quirk(part_must_be_named_file, set_to(firmware, "PART_NAME", "firmware")),
    Quirk(upload_is_cut_by_length, set_to(firmware, "multipart", two_parts)),
    Quirk(upload_waits_for_a_reboot, returning(firmware, "reboots_by_itself", value=True)),
    Quirk(flash_that_fails_in_silence, returning(installing, "has_changed", value=True)),
    Quirk(log_under_the_other_name, only_first(logs, "script_names")),
    Quirk(request_in_one_piece, set_to(Link, "write", in_two_pieces)),
    Quirk(old_api_joins_with_plus, only(rpc.Form.ARRAY)),
    Quirk(new_api_takes_an_array, only(rpc.Form.JOINED)),
    Quirk(stats_without_a_comma, set_to(repair, "mend", lambda text: text)),
    Quirk(lower_case_keys, set_to(replies, "_upper", lambda value: value)),
    Quirk(unit_of_the_family, unit_is_what_the_label_says),
    Quirk(fans_in_odd_slots, set_to(snapshot, "_FAN_KEYS", ("fan1", "fan2"))),
    Quirk(temperatures_below_zero, set_to(figures, "_TEMPS", re.compile(r"(\d+)"))),
    Quirk(
        realm_in_small_letters,
        set_to(cgi, "is_stock_realm", lambda realm: realm.startswith("antMiner")),
    ),
    Quirk(nonce_grows_old, set_to(digest_module.Digest, "learn", first_only)),
    Quirk(a_get_wipes_the_device, set_to(cgi, "READS", cgi.READS | {"reset_conf.cgi"})),
    Quirk(many_scripts_hang_the_web_server, set_to(wire_module.Wire, "_turn", no_lock)),
]
IDS = [quirk.name for quirk in QUIRKS]


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_with_its_guard_the_quirk_does_no_harm(quirk: Quirk) -> None:
    await quirk.check()


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_without_its_guard_the_quirk_is_seen(quirk: Quirk, monkeypatch: Patch) -> None:
    await fails_without_its_guard(quirk, monkeypatch)
