"""The firmware: the file for this model, one upload, one reboot, and a version that was read back or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contract.errors import BadFirmwareError, OutcomeUnknownError, PolicyRefusedError
from drivers.base import FirmwareUpdate
from simulator.iceriver import firmware as images
from tests.drivers.iceriver.stage import NEW, WRITABLE, stage


async def test_a_file_of_2_gigabytes_is_refused_by_its_size_alone(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        path = tmp_path / "ks5l.bgz"
        with path.open("wb") as file:
            file.write(on.miner.newer_image())
            os.truncate(file.fileno(), 2 * 1024**3)
        on.miner.tapped = True
        with pytest.raises(BadFirmwareError, match="at most"):
            await on.driver.plan(FirmwareUpdate(path=str(path)))
        assert not any(b"firconfig" in entry.data for entry in on.miner.wire_log)


@pytest.mark.parametrize("key", NEW)
async def test_a_file_under_a_wrong_name_is_refused_by_the_miner(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        path = tmp_path / f"{key}.bgz"
        path.write_bytes(images.build_image("KS1", "5999999"))
        plan = await on.planned(FirmwareUpdate(path=str(path)))
        with pytest.raises(BadFirmwareError, match="file invalid"):
            await on.driver.apply(plan, on.permit())
        assert on.miner.boot == 1


async def test_a_miner_that_takes_such_a_file_and_dies_of_it_is_unknown(tmp_path: Path) -> None:
    async with stage("ks5l", "takes_any_model") as on:
        path = tmp_path / "ks5l.bgz"
        path.write_bytes(images.build_image("KS1", "5999999"))
        evidence = await on.carry_out(FirmwareUpdate(path=str(path)))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "check it on site" in (evidence.reason or "")
        assert evidence.after["versions"] == {}


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_an_upload_without_an_answer_is_unknown_and_nothing_is_restarted(
    key: str, close: bool, tmp_path: Path
) -> None:
    fault = {"fault": "silent_apply", "close": close, "actions": ["firmware"]}
    async with stage(key, fault, upload_s=1.0) as on:
        evidence = await on.carry_out(on.newer(tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "from its next start on" in (evidence.reason or "")
        assert not on.ledger("reboot", phase="received")


@pytest.mark.parametrize("close", [True, False])
async def test_a_reboot_without_an_answer_is_settled_by_the_version(
    close: bool, tmp_path: Path
) -> None:
    fault = {"fault": "silent_apply", "close": close, "actions": ["reboot"]}
    async with stage("ks5l", fault, write_s=1.0) as on:
        evidence = await on.carry_out(on.newer(tmp_path))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("reboot", phase="received")) == 1


async def test_a_miner_that_took_the_file_and_refuses_the_reboot_says_so(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(on.newer(tmp_path))
        on.faults.add("answers_error", code=1005, message="failed", match=["userpanel"], times=1)
        permit = on.permit()
        with pytest.raises(Exception, match="failed"):
            await on.driver.apply(plan, permit)
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "was not restarted" in (evidence.reason or "")


@pytest.mark.parametrize("notes", [(), ("uploaded",)])
async def test_after_a_crash_before_the_reboot_nothing_is_waited_for_and_what_to_do_is_said(
    notes: tuple[str, ...], tmp_path: Path
) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(on.newer(tmp_path))
        permit = on.permit()
        on.faults.add("ignores", actions=["reboot"])
        await on.driver.apply(plan, permit)
        kept = {name: permit.notes[name] for name in ("intent_at", *notes)}
        began_mono = on.clock.mono()
        evidence = await on.another_driver().verify(plan, on.permit(kept))
        assert on.clock.mono() - began_mono < 5.0
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert ("reboot it" if notes else "not confirmed") in (evidence.reason or "")


async def test_a_crash_in_the_upload_of_what_was_installed_since_is_still_looked_at(
    tmp_path: Path,
) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(on.newer(tmp_path))
        permit = on.permit()
        await on.driver.apply(plan, permit)
        await on.miner.clock.sleep(120)
        kept = {"intent_at": permit.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.permit(kept))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


async def test_after_a_power_cut_of_the_whole_site_the_miner_is_waited_for(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(on.newer(tmp_path))
        permit = on.permit()
        on.faults.add("ignores", actions=["reboot"])
        await on.driver.apply(plan, permit)
        kept = {name: permit.notes[name] for name in ("intent_at", "uploaded")}
        on.miner.power_cycle()
        evidence = await on.another_driver().verify(plan, on.permit(kept))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["firmware_version"] == on.miner.softver1


async def test_pools_lost_by_the_update_are_told(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(on.newer(tmp_path))
        permit = on.permit()
        await on.driver.apply(plan, permit)
        assert on.miner.pending is not None
        on.miner.pending = (on.miner.pending[0], False)  # a device that does not keep to it
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert "set them again" in (evidence.reason or "")


async def test_no_leave_no_upload(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(on.newer(tmp_path))
        permit = on.permit()
        permit.refuse = PolicyRefusedError("no lease")
        with pytest.raises(PolicyRefusedError):
            await on.driver.apply(plan, permit)
        assert not on.ledger(phase="received")


async def test_a_connection_that_breaks_in_the_upload_installs_nothing(tmp_path: Path) -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(on.newer(tmp_path))
        on.faults.add("resets", match=["firconfig"], times=1)
        permit = on.permit()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, permit)
        assert (await on.driver.verify(plan, permit)).outcome == "unknown"
        assert not on.ledger("firmware", phase="received")
        assert not on.ledger("reboot", phase="received")
