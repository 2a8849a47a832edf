"""The quirks of what is read and of how a build answers: with its guard all is well, without it this is seen.

A row is a check that passes, and the guard of the driver to switch off so that it fails.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from contract.errors import MalformedError, PolicyRefusedError
from contract.miner import Moving, PowerMode
from drivers.antminer import driver, identify, models
from drivers.antminer.changes import light, orders, pools
from drivers.antminer.protocol import conf, repair, rpc
from drivers.antminer.reading import slow, snapshot
from drivers.base import Depth, Light, Reboot
from drivers.protocol import digest
from tests.drivers.antminer.quirk import (
    SLEEP,
    Patch,
    Quirk,
    fails_without_its_guard,
    one_pool,
    returning,
    set_to,
)
from tests.drivers.antminer.stage import stage

ONE_POOL = one_pool()


async def reads(key: str, *faults: Any, late: bool = True) -> Any:
    """The moving facts of one look."""
    async with stage(key, *faults, late=late) as on:
        return (await on.driver.read()).moving


# --- the API -------------------------------------------------------------------------------------


async def an_unknown_form_is_met_with_silence() -> None:
    assert (await reads("s19pro", "no_array", "empty_unknown", late=False)).hashrate_hs


async def an_unknown_form_is_met_with_a_plain_error() -> None:
    assert (await reads("s19pro", "no_array", "plain_unknown", late=False)).hashrate_hs


async def an_unknown_form_is_met_with_no_verdict() -> None:
    plain = {"fault": "plain_unknown", "variant": "bare"}
    assert (await reads("s19pro", "no_array", plain, late=False)).hashrate_hs


async def a_long_reply_is_cut_now_and_then() -> None:
    assert (await reads("s19-2020", {"fault": "truncated_stats", "times": 1})).hashrate_hs


async def a_comma_after_the_last() -> None:
    assert (
        await reads("s19-2020", {"fault": "json_slips", "variant": "trailing_comma"})
    ).hashrate_hs


async def a_comma_before_the_first() -> None:
    assert (
        await reads("s19-2020", {"fault": "json_slips", "variant": "leading_comma"})
    ).hashrate_hs


# --- who it is -----------------------------------------------------------------------------------


async def a_suffix_behind_the_model() -> None:
    async with stage("l3+", "type_suffix") as on:
        assert on.driver.identity.model == "L3+"


async def a_platform_in_place_of_the_model() -> None:
    async with stage("s19pro", "platform_type") as on:
        assert on.driver.identity.model == "S19 Pro"


async def an_early_build_without_miner_type() -> None:
    async with stage("s19-2020") as on:
        assert on.driver.identity.drivable


async def a_version_by_name_beside_a_date() -> None:
    async with stage("s21") as on:
        assert on.driver.identity.firmware_version == on.miner.firmware_version


async def a_challenge_with_opaque_and_algorithm() -> None:
    async with stage("s21", "opaque") as on:
        assert on.driver.identity.mac == on.miner.mac


# --- figures -------------------------------------------------------------------------------------


async def boards_are_numbered_from_six() -> None:
    assert len((await reads("s9")).boards) == 3


async def watts_are_text() -> None:
    assert (await reads("s21-2024")).power_w == pytest.approx(3500, rel=0.2)


async def nominal_rate_a_thousand_times_too_high() -> None:
    async with stage("s19pro", "wrong_unit") as on:
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert "rate_unit_doubtful" in {each.code for each in seen.faults}


async def boards_count_otherwise_than_the_whole() -> None:
    for key in ("s9", "s19pro", "l11", "e9pro"):
        async with stage(key, "board_unit_off") as on:
            seen = await on.driver.read(Depth.SLOW)
            assert seen.moving.hashrate_hs is None
            assert seen.slow is not None
            assert "rate_unit_doubtful" in {each.code for each in seen.slow.faults}


async def a_rate_in_doubt_is_a_rate() -> None:
    """What hashes at nobody knows how much is not rebooted without force, and does not sleep."""
    async with stage("s21", "board_unit_off", "stuck_awake") as on:
        with pytest.raises(PolicyRefusedError):
            await on.driver.plan(Reboot())
        assert (await on.carry_out(SLEEP)).outcome == "unknown"


async def bare_figures_count_as_their_texts() -> None:
    moving = await reads("l9-2026")
    assert moving.hashrate_30m_hs == pytest.approx(17.03e9, rel=0.1)


async def a_protection_stop_is_no_sleep() -> None:
    async with stage("s19pro", "overheated") as on:
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert seen.mode is PowerMode.NORMAL
        assert "protection_stop" in {each.code for each in seen.faults}


async def asleep_it_says_nothing() -> None:
    async with stage("s19xphyd") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert seen.mode is PowerMode.SLEEP


async def all_chips_off_and_no_mode_told() -> None:
    async with stage("s19pro", "overheated", "no_new_api") as on:
        on.faults.add("cgi_fails")
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert "protection_stop" not in {each.code for each in seen.faults}


async def a_protection_stop_of_what_cannot_sleep() -> None:
    async with stage("s9", "overheated") as on:
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert "protection_stop" in {each.code for each in seen.faults}


async def seventeens_sleep_by_another_number() -> None:
    async with stage("s17pro") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


# --- answers to orders ---------------------------------------------------------------------------


async def a_success_without_a_code() -> None:
    async with stage("s21", "set_conf_success") as on:
        assert (await on.carry_out(ONE_POOL)).outcome == "done"


async def a_change_that_is_never_answered() -> None:
    fault = {"fault": "silent_apply", "actions": ["pools"], "times": 1}
    async with stage("s21", fault, late=True, write_s=2.0) as on:
        assert (await on.carry_out(ONE_POOL)).outcome == "done"


async def empty_slots_are_not_listed() -> None:
    async with stage("s21", "lists_set_pools_only") as on:
        evidence = await on.carry_out(ONE_POOL)
        assert (evidence.outcome, evidence.verified) == ("done", True)


async def a_save_resets_what_stood_beside() -> None:
    async with stage("s21+hyd") as on:
        on.miner.conf["bitmain-fan-pwm"] = "60"
        assert (await on.carry_out(ONE_POOL)).reason


async def no_way_to_ask_for_the_light() -> None:
    async with stage("s21", "no_blink_status") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("done", False)


# --- the guards, switched off --------------------------------------------------------------------


def without_falling_back(patch: Patch) -> None:
    patch.setattr(rpc.AntminerRpc, "_forms", lambda *_, **__: (rpc.Form.ARRAY,))


def as_if_asked_once(patch: Patch) -> None:
    """The second of two equal requests sees what the first saw."""
    last: list[tuple[bytes, bytes]] = []
    ask = rpc.AntminerRpc.raw

    async def once(self: rpc.AntminerRpc, request: bytes, *more: Any) -> bytes:
        if not last or last[0][0] != request:
            last[:] = [(request, await ask(self, request, *more))]
        return last[0][1]

    patch.setattr(rpc.AntminerRpc, "raw", once)


def bare_text(text: str | None) -> str | None:
    return text.removeprefix("Antminer ") if text else None


def without_extras(patch: Patch) -> None:
    answer = digest.answer

    def plain(challenge: digest.Challenge, *args: Any, **named: Any) -> str:
        bare = msgspec.structs.replace(challenge, opaque=None, algorithm=None)
        return answer(bare, *args, **named)

    patch.setattr(digest, "answer", plain)


def model_needs_the_script(patch: Patch) -> None:
    """As if the table of models told nothing: only the script of newer builds names the generation."""
    patch.setattr(identify, "spec_for", lambda _: None)


async def not_told(*_: Any) -> None:
    return None


async def absent_is_broken(_: Any) -> bool:
    raise MalformedError("the state of the light: HTTP 404")


def only_m000(patch: Patch) -> None:
    """Success is believed from its code alone."""
    write = orders.write_conf

    async def strict(miner: Any, body: bytes, permit: Any) -> None:
        judged: list[str | None] = []
        kept = orders.judge

        def judge(response: Any, script: str) -> str | None:
            judged.append(kept(response, script))
            return judged[-1]

        patch.setattr(orders, "judge", judge)
        await write(miner, body, permit)
        assert judged[-1:] == ["M000"]

    patch.setattr(pools, "write_conf", strict)


def an_answer_is_needed(patch: Patch) -> None:
    """No looking again after silence."""

    async def none(*_: Any) -> tuple[None, None]:
        return None, None

    patch.setattr(pools, "_stored", none)


def rates_alone(patch: Patch) -> None:
    """Only a rate that is told counts as one."""
    patch.setattr(Moving, "hashes", property(lambda moving: bool(moving.hashrate_hs)))


def unit_of_its_forerunner(patch: Patch) -> None:
    """Neither by its texts nor by its row in the table, which was made from the same captures."""
    l7 = models.spec_for("L7")
    patch.setattr(snapshot, "_TWICE", ())
    patch.setattr(driver, "spec_for", lambda _: l7)


def unmended(text: str) -> str:
    return text


QUIRKS = [
    Quirk(an_unknown_form_is_met_with_silence, without_falling_back),
    Quirk(an_unknown_form_is_met_with_a_plain_error, without_falling_back),
    Quirk(an_unknown_form_is_met_with_no_verdict, without_falling_back),
    Quirk(a_long_reply_is_cut_now_and_then, as_if_asked_once),
    Quirk(a_comma_after_the_last, set_to(repair, "mend", unmended)),
    Quirk(a_comma_before_the_first, set_to(repair, "mend", unmended)),
    Quirk(a_suffix_behind_the_model, set_to(identify, "clean_model", bare_text)),
    Quirk(a_platform_in_place_of_the_model, set_to(models, "_PLATFORM", re.compile("(?!)"))),
    Quirk(an_early_build_without_miner_type, model_needs_the_script),
    Quirk(a_version_by_name_beside_a_date, returning(identify, "_version", None)),
    Quirk(a_challenge_with_opaque_and_algorithm, without_extras),
    Quirk(boards_are_numbered_from_six, set_to(snapshot, "_CHAIN_KEYS", snapshot._CHAIN_KEYS[:3])),
    Quirk(watts_are_text, returning(snapshot, "watts", None)),
    Quirk(nominal_rate_a_thousand_times_too_high, returning(snapshot, "_is_doubtful", value=False)),
    Quirk(boards_count_otherwise_than_the_whole, returning(snapshot, "doubt_of", None)),
    Quirk(a_rate_in_doubt_is_a_rate, rates_alone),
    Quirk(bare_figures_count_as_their_texts, unit_of_its_forerunner),
    Quirk(all_chips_off_and_no_mode_told, returning(slow, "is_awake", value=True)),
    Quirk(a_protection_stop_of_what_cannot_sleep, returning(slow, "is_awake", value=False)),
    Quirk(a_protection_stop_is_no_sleep, returning(slow, "mode_of", PowerMode.SLEEP)),
    Quirk(asleep_it_says_nothing, set_to(slow, "_configured", not_told)),
    Quirk(seventeens_sleep_by_another_number, set_to(snapshot, "SLEEPING", 1)),
    Quirk(a_success_without_a_code, only_m000),
    Quirk(a_change_that_is_never_answered, an_answer_is_needed),
    Quirk(empty_slots_are_not_listed, set_to(conf, "_trimmed", lambda slots: slots)),
    Quirk(a_save_resets_what_stood_beside, returning(conf, "changed_beside", {})),
    Quirk(no_way_to_ask_for_the_light, set_to(light, "is_on", absent_is_broken)),
]
IDS = [quirk.name for quirk in QUIRKS]


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_with_its_guard_the_quirk_does_no_harm(quirk: Quirk) -> None:
    await quirk.check()


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_without_its_guard_the_quirk_is_seen(quirk: Quirk, monkeypatch: Patch) -> None:
    await fails_without_its_guard(quirk, monkeypatch)
