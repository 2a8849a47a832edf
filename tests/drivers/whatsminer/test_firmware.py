"""The firmware: the fitting part, one upload on one connection, and a version that was read back or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.errors import BadFirmwareError, MinerError, RefusedError
from drivers.base import Firmware
from simulator.whatsminer import firmware as images
from tests.drivers.whatsminer.stage import WRITABLE, Stage, stage


def newer(on: Stage, folder: Path, **more: Any) -> Firmware:
    """A file with a newer version for this miner."""
    path = folder / "firmware.bin"
    path.write_bytes(on.miner.newer_image())
    return Firmware(path=str(path), **more)


@pytest.mark.parametrize("key", [*WRITABLE, "m30s", "m63s"])
async def test_a_newer_firmware_is_installed_and_its_version_read_back(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        (flash,) = on.ledger("flash")
        assert flash["before"] == {"version": evidence.before["firmware_version"]}
        assert flash["after"] == {"version": evidence.after["firmware_version"]}
        assert len(on.ledger("firmware", phase="received")) == 1
        assert len(on.ledger("reboot")) == 1
        assert evidence.after["uploaded"]


@pytest.mark.parametrize("key", WRITABLE)
async def test_only_the_part_for_this_control_board_is_uploaded(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        change = newer(on, tmp_path)
        plan = await on.planned(change)
        assert plan.data["size"] < Path(change.path).stat().st_size / 2
        assert plan.before["image"] == plan.before["control_board"]


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_single_image_goes_whole(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        version = images.next_version(on.miner.version)
        path = tmp_path / "single.bin"
        path.write_bytes(images.build_image(on.miner.spec.platform, version, size=3_000_000))
        evidence = await on.carry_out(Firmware(path=str(path)))
        assert evidence.outcome == "done", evidence
        assert evidence.before["image"] == "whole file"


async def test_a_firmware_that_brings_another_dialect_is_met_in_it(tmp_path: Path) -> None:
    async with stage("m50s") as on:
        path = tmp_path / "v3.bin"
        path.write_bytes(
            images.build_package(
                on.miner.spec.platform, "20251209.16.REL", api="2.2.1", api_v3="3.0.2"
            )
        )
        evidence = await on.carry_out(Firmware(path=str(path)))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        await on.miner.clock.sleep(60)
        assert (await on.driver.identify()).generation == "v3"
        evidence = await on.carry_out(Firmware(path=newer(on, tmp_path).path))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_the_version_asked_for_is_done_without_an_upload_if_it_runs_already(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        await on.no_change(newer(on, tmp_path, target_version=on.miner.firmware_version))
        assert not on.ledger("firmware", phase="received")


async def test_the_promised_version_is_checked(tmp_path: Path) -> None:
    async with stage("m60s") as on:
        version = images.next_version(on.miner.version)
        evidence = await on.carry_out(newer(on, tmp_path, target_version=version))
        assert evidence.outcome == "done", evidence
    async with stage("m60s") as on:
        evidence = await on.carry_out(newer(on, tmp_path, target_version="20290101.11.REL"))
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "20290101" in (evidence.reason or "")


@pytest.mark.parametrize("key", ["m20s", "m60s"])
async def test_a_file_for_another_miner_is_refused_before_it_is_sent(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        path = tmp_path / "other.bin"
        package = bytearray(images.build_package("h616", "20270101.11.REL"))
        path.write_bytes(package.replace(b"h616\0", b"h699\0").replace(b"h3\0", b"h9\0"))
        with pytest.raises(BadFirmwareError, match="no part for this control board"):
            await on.driver.plan(Firmware(path=str(path)))
        path.write_bytes(b"<html>404</html>" * 500)
        with pytest.raises(BadFirmwareError):
            await on.driver.plan(Firmware(path=str(path)))
        with pytest.raises(BadFirmwareError, match="read"):
            await on.driver.plan(Firmware(path=str(tmp_path / "absent")))
        assert not on.ledger("firmware", phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_file_the_miner_rejects_is_named_as_such(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        version = images.next_version(on.miner.version)
        image = bytearray(images.build_image(on.miner.spec.platform or "h3", version))
        image[-1] ^= 1
        path = tmp_path / "bad.bin"
        path.write_bytes(image)
        plan = await on.planned(Firmware(path=str(path)))
        with pytest.raises(BadFirmwareError, match="rejected"):
            await on.driver.apply(plan, on.effect())
        await on.miner.clock.sleep(60)
        assert on.miner.boot == 1


@pytest.mark.parametrize("key", WRITABLE)
async def test_the_same_version_before_and_after_is_unknown(key: str, tmp_path: Path) -> None:
    async with stage(key, "upgrade_bad_flash") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "same version" in (evidence.reason or "")


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_liar_is_unknown_and_never_done(key: str, tmp_path: Path) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_is_settled_by_the_version(
    key: str, close: bool, tmp_path: Path
) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, upload_s=2.0) as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert evidence.outcome == "done", evidence
        assert "uploaded" not in evidence.after


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_an_upload_cut_on_the_way_is_unknown_until_looked_at_and_installs_nothing(
    key: str, tmp_path: Path
) -> None:
    async with stage(key, "upload_cut") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert not on.ledger("firmware")


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_miner_that_never_gets_ready_is_sent_no_file(key: str, tmp_path: Path) -> None:
    async with stage(key, upload_s=1.0) as on:
        plan = await on.planned(newer(on, tmp_path))
        if key == "m50s":
            await on.driver.apply(await on.planned(_light()), on.effect())  # has its token
        on.faults.add("resets", match=["update_firmware", "enc"])
        with pytest.raises(RefusedError, match="none was sent"):
            await on.driver.apply(plan, on.effect())
        assert not on.ledger("firmware", phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        plan = await on.planned(newer(on, tmp_path))
        effect = on.effect()
        try:
            await on.driver.apply(plan, effect)
        except MinerError as error:
            raise AssertionError(error) from error
        Path(str(getattr(plan.change, "path", ""))).unlink()
        notes = {"intent_at": effect.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.effect(notes))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


def _light() -> Any:
    from drivers.base import Light

    return Light(on=True)
