"""The firmware: the file for this model, one upload, one reboot, and a version that was read back or nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from contract.errors import BadFirmwareError, OutcomeUnknownError, PolicyRefusedError
from drivers.base import Firmware
from simulator.iceriver import firmware as images
from tests.drivers.iceriver.stage import NEW, OLD, WRITABLE, Stage, stage


def newer(on: Stage, folder: Path, name: str | None = None, **more: Any) -> Firmware:
    """A file with a newer version for this miner."""
    path = folder / (name or on.miner.image_name)
    path.write_bytes(on.miner.newer_image())
    return Firmware(path=str(path), **more)


@pytest.mark.parametrize("key", [*WRITABLE, "ks0", "ks0pro", "ks7", "al3"])
async def test_a_newer_firmware_is_installed_and_its_version_read_back(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        before = on.miner.softver1
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        (line,) = on.ledger("firmware")
        assert line["before"] == {"version": evidence.before["firmware_version"]}
        assert evidence.before["firmware_version"] == before
        assert evidence.after["firmware_version"] == on.miner.softver1 != before
        (flash,) = on.ledger("flash")
        assert flash["after"]["version"] in evidence.after["firmware_version"]
        assert evidence.after["versions"]["softver2"] == on.miner.softver2
        assert len(on.ledger("firmware", phase="received")) == 1
        assert len(on.ledger("reboot", phase="received")) == len(on.ledger("reboot")) == 1
        assert evidence.after["uploaded"]
        assert evidence.after["outage_at"]
        assert evidence.after["pools"] == evidence.before["pools"]
        assert not on.ledger("factory_reset", "config_lost")


@pytest.mark.parametrize("key", WRITABLE)
async def test_the_version_asked_for_is_done_without_an_upload_if_it_runs_already(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        for version in (on.miner.softver1, on.miner.softver2):
            await on.no_change(newer(on, tmp_path, target_version=version))
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("key", [OLD, "ks5l"])
async def test_the_promised_version_is_checked(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        build = images.open_image(on.miner.newer_image()).build
        version = on.miner.spec.softver1(build)
        evidence = await on.carry_out(newer(on, tmp_path, target_version=version))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
    async with stage(key) as on:
        evidence = await on.carry_out(newer(on, tmp_path, target_version="9_9_9"))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "9_9_9" in (evidence.reason or "")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_file_for_another_miner_is_refused_before_it_is_sent(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        on.miner.tapped = True
        for change, why in (
            (newer(on, tmp_path, "KS1.bgz"), "is for KS1"),
            (newer(on, tmp_path, "firmware.bgz"), "nothing says which model"),
            (newer(on, tmp_path, f"{key}.zip"), "not the kind of file"),
            (Firmware(path=str(tmp_path / f"absent-{key}.bgz")), "cannot read"),
        ):
            with pytest.raises(BadFirmwareError, match=why):
                await on.driver.plan(change)
        path = tmp_path / f"{key}.bgz"
        path.write_bytes(b"<html>404</html>" * 500)
        with pytest.raises(BadFirmwareError, match="no firmware"):
            await on.driver.plan(Firmware(path=str(path)))
        assert not any(b"firconfig" in entry.data for entry in on.miner.wire_log)


async def test_a_file_of_2_gigabytes_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        path = tmp_path / "ks5l.bgz"
        with path.open("wb") as file:
            file.write(on.miner.newer_image())
            os.truncate(file.fileno(), 2 * 1024**3)
        on.miner.tapped = True
        with pytest.raises(BadFirmwareError, match="at most"):
            await on.driver.plan(Firmware(path=str(path)))
        assert not any(b"firconfig" in entry.data for entry in on.miner.wire_log)


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_file_the_miner_rejects_is_named_as_such_and_nothing_is_restarted(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        image = bytearray(on.miner.newer_image())
        image[-1] ^= 1
        path = tmp_path / f"{key}.bgz"
        path.write_bytes(image)
        plan = await on.planned(Firmware(path=str(path)))
        effect = on.effect()
        with pytest.raises(BadFirmwareError, match="reject"):
            await on.driver.apply(plan, effect)
        await on.miner.clock.sleep(60)
        assert effect.sent == 1
        assert on.miner.boot == 1
        assert not on.ledger("reboot", phase="received")


@pytest.mark.parametrize("key", NEW)
async def test_a_file_under_a_wrong_name_is_refused_by_the_miner(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        path = tmp_path / f"{key}.bgz"
        path.write_bytes(images.build_image("KS1", "5999999"))
        plan = await on.planned(Firmware(path=str(path)))
        with pytest.raises(BadFirmwareError, match="file invalid"):
            await on.driver.apply(plan, on.effect())
        assert on.miner.boot == 1


async def test_a_miner_that_takes_such_a_file_and_dies_of_it_is_unknown(tmp_path: Path) -> None:
    async with stage("ks5l", "takes_any_model") as on:
        path = tmp_path / "ks5l.bgz"
        path.write_bytes(images.build_image("KS1", "5999999"))
        evidence = await on.carry_out(Firmware(path=str(path)))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "check it on site" in (evidence.reason or "")


@pytest.mark.parametrize("key", WRITABLE)
async def test_the_same_version_before_and_after_is_unknown(key: str, tmp_path: Path) -> None:
    async with stage(key, "upgrade_bad_flash") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "same version" in (evidence.reason or "")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_liar_is_unknown_and_never_done(key: str, tmp_path: Path) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert on.miner.boot == 1


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_an_upload_without_an_answer_is_unknown_and_nothing_is_restarted(
    key: str, close: bool, tmp_path: Path
) -> None:
    fault = {"fault": "silent_apply", "close": close, "actions": ["firmware"]}
    async with stage(key, fault, upload_s=1.0) as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "from its next start on" in (evidence.reason or "")
        assert not on.ledger("reboot", phase="received")


@pytest.mark.parametrize("close", [True, False])
async def test_a_reboot_without_an_answer_is_settled_by_the_version(
    close: bool, tmp_path: Path
) -> None:
    fault = {"fault": "silent_apply", "close": close, "actions": ["reboot"]}
    async with stage("ks5l", fault, write_s=1.0) as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("reboot", phase="received")) == 1


async def test_a_miner_that_took_the_file_and_refuses_the_reboot_says_so(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(newer(on, tmp_path))
        on.faults.add("answers_error", code=1005, message="failed", match=["userpanel"], times=1)
        effect = on.effect()
        with pytest.raises(Exception, match="failed"):
            await on.driver.apply(plan, effect)
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "was not restarted" in (evidence.reason or "")


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_behind_the_reboot_plan_and_notes_are_enough(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        await on.driver.apply(plan, effect)
        Path(str(getattr(plan.change, "path", ""))).unlink()
        evidence = await on.another_driver().verify(plan, on.effect(effect.notes))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("notes", [(), ("uploaded",)])
async def test_after_a_crash_before_the_reboot_nothing_is_waited_for_and_what_to_do_is_said(
    notes: tuple[str, ...], tmp_path: Path
) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        on.faults.add("ignores", actions=["reboot"])
        await on.driver.apply(plan, effect)
        kept = {name: effect.notes[name] for name in ("intent_at", *notes)}
        began_mono = on.clock.mono()
        evidence = await on.another_driver().verify(plan, on.effect(kept))
        assert on.clock.mono() - began_mono < 5.0
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert ("reboot it" if notes else "not confirmed") in (evidence.reason or "")


async def test_a_crash_in_the_upload_of_what_was_installed_since_is_still_looked_at(
    tmp_path: Path,
) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        await on.driver.apply(plan, effect)
        await on.miner.clock.sleep(120)
        kept = {"intent_at": effect.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.effect(kept))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


async def test_after_a_power_cut_of_the_whole_site_the_miner_is_waited_for(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        on.faults.add("ignores", actions=["reboot"])
        await on.driver.apply(plan, effect)
        kept = {name: effect.notes[name] for name in ("intent_at", "uploaded")}
        on.miner.power_cycle()
        evidence = await on.another_driver().verify(plan, on.effect(kept))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["firmware_version"] == on.miner.softver1


@pytest.mark.parametrize("key", [OLD, "ks5l"])
async def test_another_miner_at_the_address_afterwards_is_not_taken_for_this_one(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        await on.driver.apply(plan, effect)
        on.faults.add("changes_mac")
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "another miner" in (evidence.reason or "")


async def test_pools_lost_by_the_update_are_told(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        await on.driver.apply(plan, effect)
        assert on.miner.pending is not None
        on.miner.pending = (on.miner.pending[0], False)  # a device that does not keep to it
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert "set them again" in (evidence.reason or "")


async def test_no_leave_no_upload(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        effect.refuse = PolicyRefusedError("no lease")
        with pytest.raises(PolicyRefusedError):
            await on.driver.apply(plan, effect)
        assert not on.ledger(phase="received")


async def test_a_connection_that_breaks_in_the_upload_installs_nothing(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(newer(on, tmp_path))
        on.faults.add("resets", match=["firconfig"], times=1)
        effect = on.effect()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, effect)
        assert (await on.driver.verify(plan, effect)).outcome == "unknown"
        assert not on.ledger("firmware", phase="received")
        assert not on.ledger("reboot", phase="received")
