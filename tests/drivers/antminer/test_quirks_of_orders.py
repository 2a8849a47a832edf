"""The quirks of the web side and of orders: with its guard all is well, without it this is seen.

A row is a check that passes, and the guard of the driver to switch off so that it fails.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from contract.errors import (
    AuthFailedError,
    BadFirmwareError,
    BadParamsError,
    MalformedError,
    OutcomeUnknownError,
    PoolsLockedError,
    RefusedError,
    UnsupportedError,
    UnsupportedModeError,
)
from drivers import http_client, watch
from drivers import wire as wire_module
from drivers.antminer.changes import firmware, light, logs, mode, orders, pools, reboot
from drivers.antminer.protocol import cgi, conf
from drivers.base import Depth, FirmwareUpdate, Light, Plan, Pools, PoolSetting, Reboot
from drivers.changes import identity
from drivers.protocol import digest, http
from simulator.antminer import firmware as images
from tests.drivers.antminer.quirk import (
    LOW,
    SLEEP,
    Patch,
    Quirk,
    all_of,
    fails_without_its_guard,
    one_pool,
    only_first,
    planned,
    returning,
    set_to,
    upgrade,
)
from tests.drivers.antminer.stage import stage

FORCED = Reboot(force=True)
SECRET = "hush-hush"

# --- the web server --------------------------------------------------------------------------------


async def the_root_page_may_be_missing() -> None:
    async with stage("s21", "root_404") as on:
        assert on.driver.identity.drivable


async def credentials_are_for_one_path() -> None:
    async with stage("s21") as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


async def a_script_gives_no_length() -> None:
    async with stage("s19pro") as on:
        assert on.driver.identity.mac == on.miner.mac


async def a_script_names_no_type() -> None:
    async with stage("s9") as on:
        assert on.driver.identity.mac == on.miner.mac


async def a_body_without_length_is_refused() -> None:
    async with stage("s21") as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


async def a_body_is_read_before_it_is_refused() -> None:
    async with stage("s21") as on:
        plan = await planned(on, one_pool())
        await on.another_driver().apply(plan, on.effect())
        assert not on.ledger(phase="rejected")


async def a_changed_password_is_refused_for_ever() -> None:
    async with stage("s21", "wrong_password", late=True) as on:
        with pytest.raises(AuthFailedError):
            await on.driver.read(Depth.SLOW)
        on.farm.tap(True)
        with pytest.raises(AuthFailedError):
            await on.driver.read(Depth.SLOW)
        assert not [each for each in on.miner.wire_log if each.had_credentials]


async def a_script_crashes_now_and_then() -> None:
    crash = {"fault": "cgi_fails", "match": ["get_miner_conf"], "times": 1}
    async with stage("s21", crash, late=True) as on:
        assert isinstance(await on.driver.plan(one_pool()), Plan)


# --- configuration, read and written ---------------------------------------------------------------


async def mode_as_number_is_a_bad_request() -> None:
    async with stage("s21", {"fault": "mode_as_string", "answer": 400}) as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def low_is_three() -> None:
    async with stage("s19pro") as on:
        assert (await on.carry_out(LOW)).outcome == "done"
        assert on.miner.mode == 3


async def an_empty_mode_restarts_the_process() -> None:
    async with stage("s19pro") as on:
        on.miner.conf["bitmain-work-mode"] = ""
        await on.carry_out(one_pool())  # from here on the file says 0
        begun = on.miner.process.started
        assert (await on.carry_out(one_pool("acc.w2"))).outcome == "done"
        assert on.miner.process.started == begun


async def the_api_is_shut_while_the_mode_changes() -> None:
    async with stage("s19pro") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def s9_and_l3_cannot_sleep() -> None:
    async with stage("s9") as on:
        with pytest.raises(UnsupportedModeError):
            await on.driver.plan(SLEEP)


async def pools_with_a_number_are_a_bad_request() -> None:
    async with stage("s21", {"fault": "mode_as_string", "answer": 400}) as on:
        assert (await on.carry_out(one_pool())).outcome == "done"
        assert on.miner.mode == 0
        assert len(on.ledger("pools")) == 1


async def few_pools_are_invalid() -> None:
    async with stage("s21", "few_pools_refused") as on:
        with pytest.raises(RefusedError, match="three"):
            await on.carry_out(one_pool())


async def a_password_left_out_is_the_old_one() -> None:
    async with stage("s21") as on:
        on.miner.conf["pools"][0]["pass"] = SECRET
        assert (await on.carry_out(one_pool(password=None))).outcome == "done"
        assert on.miner.pools[0]["pass"] == "x"


async def passwords_are_shown_in_clear() -> None:
    async with stage("s21") as on:
        on.miner.conf["pools"][0]["pass"] = SECRET
        evidence = await on.carry_out(one_pool(password=SECRET + "2"))
        assert SECRET not in f"{evidence.before} {evidence.after}"


async def a_body_with_blanks_is_torn() -> None:
    async with stage("s21") as on:
        assert (await on.carry_out(one_pool())).outcome == "done"


async def backslashes_are_eaten() -> None:
    async with stage("s21") as on:
        with pytest.raises(BadParamsError):
            await on.driver.plan(one_pool("acc\\w1"))


async def a_blank_in_what_stands_there() -> None:
    async with stage("s21") as on:
        on.miner.conf["bitmain-fan-pwm"] = "60 %"
        with pytest.raises(UnsupportedError):
            await on.driver.plan(one_pool())


async def any_save_loses_the_percentage() -> None:
    async with stage("s21hyd") as on:
        on.miner.conf["bitmain-hashrate-percent"] = "80"
        evidence = await on.carry_out(one_pool())
        assert "bitmain-hashrate-percent" in (evidence.reason or "")


async def a_spoilt_signature_writes_its_own_word() -> None:
    async with stage("s21", {"fault": "locked_pools", "variant": "spoilt"}) as on:
        with pytest.raises(PoolsLockedError):
            await on.carry_out(one_pool())


async def workers_carry_the_address() -> None:
    async with stage("s21hyd") as on:
        on.miner.conf["bitmain-user-ip-cat"] = "1"
        evidence = await on.carry_out(one_pool())
        assert (evidence.outcome, evidence.after["working_for"] is not None) == ("done", True)


async def two_writers_corrupt_the_file() -> None:
    async with stage("s19pro") as on:
        first, second = await planned(on, one_pool()), await planned(on, one_pool("acc.w2"))
        await asyncio.gather(
            *(on.driver.apply(each, on.effect()) for each in (first, second)),
            return_exceptions=True,
        )
        assert not on.miner.config_corrupt


async def who_leaves_early_leaves_the_lock() -> None:
    async with stage("s21hyd") as on:
        plan = await planned(on, one_pool())
        with suppress(OutcomeUnknownError):
            await on.driver.apply(plan, on.effect())
        await on.miner.clock.sleep(5.0)  # until the script has ended, with its client or without
        assert not on.miner.config_lock


async def flash_wears_with_every_save() -> None:
    async with stage("s19pro") as on:
        present = [pool for pool in on.miner.pools if pool["url"]]
        await on.no_change(
            Pools(
                pools=tuple(
                    PoolSetting(url=p["url"], user=p["user"], password=p["pass"]) for p in present
                )
            )
        )


async def values_count_by_position() -> None:
    async with stage("s9") as on:
        frequency = on.miner.conf["bitmain-freq"]
        assert (await on.carry_out(one_pool())).outcome == "done"
        assert on.miner.conf["bitmain-freq"] == frequency


async def a_frequency_may_be_a_letter() -> None:
    async with stage("s17pro") as on:
        assert on.miner.conf["bitmain-freq"] == "O"
        assert (await on.carry_out(one_pool())).outcome == "done"
        assert on.miner.conf["bitmain-freq"] == "O"


async def few_percent_codes_are_known() -> None:
    async with stage("s9") as on:
        assert (await on.carry_out(one_pool("acc!w1"))).outcome == "done"


# --- other orders ----------------------------------------------------------------------------------


async def early_s9_have_no_light() -> None:
    async with stage("s9-early") as on:
        with pytest.raises(UnsupportedError):
            await on.driver.plan(Light(on=True))


async def reboot_by_post_after_a_404() -> None:
    async with stage("s21", {"fault": "reboot_post_only", "answer": 404}) as on:
        assert (await on.carry_out(FORCED)).outcome == "done"


async def reboot_answers_in_plain_text() -> None:
    async with stage("s19pro") as on:
        assert (await on.carry_out(FORCED)).outcome == "done"


async def no_mac_is_no_other_miner() -> None:
    async with stage("s9", "mac_late") as on:
        assert (await on.carry_out(FORCED)).outcome == "done"


async def the_log_of_old_firmware_under_the_new_name() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with stage("s9", "logs_swapped") as on:
            assert (await on.driver.get_log(Path(folder), size_cap_bytes=100_000)).size_bytes


async def a_new_build_waits_for_its_reboot() -> None:
    async with upgrade("s19pro", "upgrade_plain_reply") as evidence:
        assert evidence.outcome == "done"


async def an_older_image_is_refused_by_code() -> None:
    image = images.build_image("Antminer S19 Pro", "zynq7007_BHB42XXX", "20200101")
    with pytest.raises(BadFirmwareError):
        async with upgrade("s19pro", image=image):
            pass


async def an_old_page_refuses_in_words() -> None:
    with pytest.raises(BadFirmwareError):
        async with upgrade("s9", image=images.build_tar("Antminer L3+", "20190101")):
            pass


async def an_order_after_the_upload_cancels_its_reboot() -> None:
    for _ in range(4):
        async with stage("s19pro") as on:
            light_plan = await planned(on, Light(on=True))
            with tempfile.NamedTemporaryFile() as file:
                file.write(on.miner.newer_image())
                file.flush()
                plan = await planned(on, FirmwareUpdate(path=file.name))
                await on.driver.apply(plan, on.effect())
            # without asking who it is, which takes longer than there is to lose the reboot
            order = light.AntminerLight().apply(on.driver, light_plan, on.effect())
            await asyncio.gather(order, return_exceptions=True)
            await on.miner.clock.sleep(6.0)
            assert len(on.ledger("reboot")) == 1


# --- the guards, switched off ----------------------------------------------------------------------


def for_the_root(patch: Patch) -> None:
    kept = digest.answer

    def answer(challenge: Any, credentials: Any, method: str, _: str, **named: Any) -> str:
        return kept(challenge, credentials, method, "/", **named)

    patch.setattr(digest, "answer", answer)


def no_length_is_no_body(patch: Patch) -> None:
    kept = http.ResponseDecoder._begin_body

    def begin_body(self: Any, status: int, headers: dict[str, str]) -> None:
        kept(self, status, headers)
        if self._left is None and not self._chunked:
            self._left = 0

    patch.setattr(http.ResponseDecoder, "_begin_body", begin_body)


def only_what_is_called_json(patch: Patch) -> None:
    kept = cgi.Cgi.get

    async def get(self: cgi.Cgi, name: str, **named: Any) -> http.Response:
        response = await kept(self, name, **named)
        if "json" not in response.headers.get("content-type", ""):
            raise MalformedError(f"{name} is not called JSON")
        return response

    patch.setattr(cgi.Cgi, "get", get)


def without_length(patch: Patch) -> None:
    kept = http_client.build_request

    def build_request(*args: Any, **named: Any) -> bytes:
        return re.sub(rb"Content-Length: \d+\r\n", b"", kept(*args, **named))

    patch.setattr(http_client, "build_request", build_request)


async def unasked(_: cgi.Cgi) -> None:
    return None


def in_a_hurry(patch: Patch) -> None:
    kept = cgi.Cgi.act

    async def act(self: cgi.Cgi, *args: Any, **named: Any) -> http.Response:
        return await kept(self, *args, **(named | {"deadline_s": 0.3}))

    patch.setattr(cgi.Cgi, "act", act)


def body_made_by(change: Any) -> Any:
    """The JSON body, put together in another way."""

    def off(patch: Patch) -> None:
        kept = conf.json_body
        patch.setattr(
            conf, "json_body", lambda *args, **named: change(json.loads(kept(*args, **named)))
        )

    return off


def with_blanks(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def without_passwords(body: dict[str, Any]) -> bytes:
    for pool in body["pools"]:
        if pool["pass"] == "x":
            del pool["pass"]
    return json.dumps(body, separators=(",", ":")).encode()


def fans_only_where_shown(patch: Patch) -> None:
    kept = conf.form_body

    def form_body(*args: Any) -> bytes:
        pairs = kept(*args).split(b"&")
        return b"&".join(pair for pair in pairs if not pair.startswith(b"_ant_fan"))

    patch.setattr(conf, "form_body", form_body)


def numbers_only(patch: Patch) -> None:
    kept = conf._word

    def word(value: object, absent: str) -> str:
        text = kept(value, absent)
        return text if text in ("true", "false") or text.isdecimal() else absent

    patch.setattr(conf, "_word", word)


def raw_mode(self: conf.MinerConf) -> str:
    return str(self.fields.get("bitmain-work-mode", "0"))


def by_worker_too(found: Any, _: Any, slots: Any) -> bool:
    wanted = [(slot.url, slot.user) for slot in slots if slot.url]
    return [(pool.url, pool.user) for pool in found] == wanted


def as_stored(slots: Any) -> list[dict[str, Any]]:
    return [{"url": each.url, "password": each.password} for each in slots]


@asynccontextmanager
async def no_lock(_: Any) -> AsyncIterator[None]:
    yield


async def untold(_: Any) -> None:
    return None


def needs_json(response: http.Response, script: str) -> None:
    if orders.json_answer(response) is None:
        raise MalformedError(f"{script} did not answer in JSON")


QUIRKS = [
    Quirk(the_root_page_may_be_missing, set_to(cgi, "_ESTABLISH", "/")),
    Quirk(credentials_are_for_one_path, for_the_root),
    Quirk(a_script_gives_no_length, no_length_is_no_body),
    Quirk(a_script_names_no_type, only_what_is_called_json),
    Quirk(a_body_without_length_is_refused, without_length),
    Quirk(a_body_is_read_before_it_is_refused, set_to(cgi.Cgi, "establish", unasked)),
    Quirk(a_changed_password_is_refused_for_ever, set_to(cgi, "AUTH_RETRY_S", 0.0)),
    Quirk(a_script_crashes_now_and_then, set_to(orders, "STARTING_TRIES", 1)),
    Quirk(mode_as_number_is_a_bad_request, only_first(mode, "spellings")),
    Quirk(low_is_three, returning(mode, "low_numbers", ("2",))),
    Quirk(
        an_empty_mode_restarts_the_process,
        set_to(conf.MinerConf, "mode_number", property(raw_mode)),
    ),
    Quirk(
        the_api_is_shut_while_the_mode_changes,
        all_of(
            returning(watch, "is_silent", value=False), returning(orders, "is_silent", value=False)
        ),
    ),
    Quirk(s9_and_l3_cannot_sleep, set_to(conf.MinerConf, "has_mode", property(lambda _: True))),
    Quirk(pools_with_a_number_are_a_bad_request, only_first(pools, "spellings")),
    Quirk(few_pools_are_invalid, returning(orders, "judge", None)),
    Quirk(a_password_left_out_is_the_old_one, body_made_by(without_passwords)),
    Quirk(passwords_are_shown_in_clear, set_to(pools, "shown", as_stored)),
    Quirk(a_body_with_blanks_is_torn, body_made_by(with_blanks)),
    Quirk(backslashes_are_eaten, returning(conf, "is_shell_safe", value=True)),
    Quirk(a_blank_in_what_stands_there, returning(conf, "is_shell_safe", value=True)),
    Quirk(any_save_loses_the_percentage, returning(conf, "changed_beside", {})),
    Quirk(a_spoilt_signature_writes_its_own_word, returning(pools, "is_spoilt", value=False)),
    Quirk(workers_carry_the_address, set_to(pools, "lists", by_worker_too)),
    Quirk(two_writers_corrupt_the_file, set_to(wire_module.Wire, "_turn", no_lock)),
    Quirk(who_leaves_early_leaves_the_lock, in_a_hurry),
    Quirk(flash_wears_with_every_save, returning(conf, "same_pools", value=False)),
    Quirk(values_count_by_position, fans_only_where_shown),
    Quirk(a_frequency_may_be_a_letter, numbers_only),
    Quirk(few_percent_codes_are_known, set_to(conf, "percent", lambda text: quote(text, safe=""))),
    Quirk(early_s9_have_no_light, set_to(light, "is_on", untold)),
    Quirk(reboot_by_post_after_a_404, returning(reboot, "is_refused_method", value=False)),
    Quirk(reboot_answers_in_plain_text, set_to(reboot, "judge_answer", needs_json)),
    Quirk(no_mac_is_no_other_miner, set_to(identity, "_TELLS_WITHIN_S", 0.0)),
    Quirk(the_log_of_old_firmware_under_the_new_name, only_first(logs, "script_names")),
    Quirk(a_new_build_waits_for_its_reboot, returning(firmware, "reboots_by_itself", value=True)),
    Quirk(
        an_older_image_is_refused_by_code,
        returning(firmware, "_judge_upload", {"stats": "success"}),
    ),
    Quirk(an_old_page_refuses_in_words, returning(firmware, "failure_text", None)),
    Quirk(
        an_order_after_the_upload_cancels_its_reboot, returning(wire_module.Wire, "quiet_for", None)
    ),
]
IDS = [quirk.name for quirk in QUIRKS]


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_with_its_guard_the_quirk_does_no_harm(quirk: Quirk) -> None:
    await quirk.check()


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_without_its_guard_the_quirk_is_seen(quirk: Quirk, monkeypatch: Patch) -> None:
    await fails_without_its_guard(quirk, monkeypatch)
