"""What every driver promises of the firmware of a miner, whatever the make. See `makes.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import BadFirmwareError
from drivers.base import FirmwareUpdate
from tests.drivers.makes.cases import MakeCase, Need, each, each_silence


@each(Need.FIRMWARE, every=True)
async def test_a_newer_firmware_is_installed_and_its_version_read_back(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    async with make.begin(key) as on:
        was, ordered = on.versions[0], not make.can(Need.OWN_RESTART, key)
        evidence = await on.carry_out(on.newer(tmp_path))
        before, after = evidence.before, evidence.after
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert before["firmware_version"] == was
        assert after["firmware_version"] == on.versions[0] != was
        assert {after["firmware_version"], *after.get("versions", {}).values()} >= {*on.versions}
        (line,) = on.ledger("firmware")
        assert line["before"] == {"version": was}
        (flash,) = on.ledger("flash")
        assert flash["before"]["version"] in was
        assert flash["after"]["version"] in after["firmware_version"]
        assert len(on.ledger("firmware", phase="received")) == 1
        assert len(on.ledger("reboot")) == 1
        assert len(on.ledger("reboot", phase="received")) == int(ordered)
        assert after["uploaded"]
        assert after["outage_at"]
        assert after.get("pools") == before.get("pools")
        assert not on.ledger("factory_reset", "config_lost")


@each(Need.BOARDS)
async def test_a_single_image_goes_whole(make: MakeCase, key: str, tmp_path: Path) -> None:
    async with make.begin(key) as on:
        evidence = await on.carry_out(on.file(tmp_path / "single.bin", on.single_image()))
        assert evidence.outcome == "done", evidence
        assert evidence.before["image"] == make.whole_image


@each(Need.FIRMWARE)
async def test_the_version_asked_for_is_done_without_an_upload_if_it_runs_already(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    async with make.begin(key) as on:
        for version in on.versions:
            await on.no_change(on.newer(tmp_path, target_version=version))
        assert not on.ledger(phase="received")


@each(Need.FIRMWARE)
async def test_the_promised_version_is_checked(make: MakeCase, key: str, tmp_path: Path) -> None:
    async with make.begin(key) as on:
        change = on.newer(tmp_path, target_version=on.next_version())
        evidence = await on.carry_out(change)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
    async with make.begin(key) as on:
        evidence = await on.carry_out(on.newer(tmp_path, target_version=make.no_version))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert make.no_version in evidence.reason


@each(Need.FIRMWARE)
async def test_a_file_for_another_miner_is_refused_before_it_is_sent(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    async with make.begin(key) as on:
        on.miner.tapped = True
        absent = FirmwareUpdate(path=str(tmp_path / f"absent-{on.image_name}"))
        for change, why in (*on.strangers(tmp_path), (absent, "read")):
            with pytest.raises(BadFirmwareError, match=why):
                await on.driver.plan(change)
        assert not on.ledger(phase="received")
        assert on.miner.wire_log
        assert not any(on.upload in entry.data for entry in on.miner.wire_log)


@each(Need.SEAL)
async def test_a_file_the_miner_rejects_is_named_as_such_and_nothing_is_restarted(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    async with make.begin(key) as on:
        image = bytearray(on.single_image())
        image[-1] ^= 1
        plan, effect = await on.planned(on.file(tmp_path / on.image_name, image)), on.effect()
        with pytest.raises(BadFirmwareError, match=make.seal_error):
            await on.driver.apply(plan, effect)
        await on.miner.clock.sleep(60)
        assert effect.sent == 1
        assert on.miner.boot == 1
        assert not on.ledger("reboot", phase="received")


@each(Need.FIRMWARE)
async def test_the_same_version_before_and_after_is_unknown(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    async with make.begin(key, "upgrade_bad_flash") as on:
        evidence = await on.carry_out(on.newer(tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "same version" in evidence.reason
        assert evidence.after["uploaded"]


@each(Need.FIRMWARE)
async def test_a_liar_is_unknown_and_never_done(make: MakeCase, key: str, tmp_path: Path) -> None:
    async with make.begin(key, "ignores") as on:
        evidence = await on.carry_out(on.newer(tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert on.miner.boot == 1


@each_silence
@each(Need.OWN_RESTART)
async def test_a_lost_answer_is_settled_by_the_version(
    make: MakeCase, key: str, close: bool, tmp_path: Path
) -> None:
    async with make.begin(key, {"fault": "silent_apply", "close": close}, upload_s=2.0) as on:
        evidence = await on.carry_out(on.newer(tmp_path))
        assert evidence.outcome == "done", evidence
        assert "uploaded" not in evidence.after


@each(Need.FIRMWARE)
async def test_after_a_crash_the_plan_and_the_notes_are_enough_to_look_again(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    await looked_at_after_a_crash(make, key, tmp_path)


@each(Need.OWN_RESTART)
async def test_after_a_crash_the_plan_alone_is_enough_where_the_miner_restarts_itself(
    make: MakeCase, key: str, tmp_path: Path
) -> None:
    await looked_at_after_a_crash(make, key, tmp_path, "intent_at")


async def looked_at_after_a_crash(make: MakeCase, key: str, folder: Path, *kept: str) -> None:
    async with make.begin(key) as on:
        change = on.newer(folder)
        plan, effect = await on.planned(change), on.effect()
        await on.driver.apply(plan, effect)
        Path(change.path).unlink()
        evidence = await on.after_a_crash(plan, effect, *kept)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
