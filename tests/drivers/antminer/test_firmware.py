"""The firmware: the fitting image, one upload, and a version that was read back or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.errors import BadFirmwareError
from drivers.antminer.firmware import failure_text, multipart
from drivers.base import Firmware, Plan
from drivers.proof import same_version
from simulator.antminer import firmware as images
from tests.drivers.antminer.stage import Stage, stage


def newer(on: Stage, folder: Path, **more: Any) -> Firmware:
    """A file with a newer version for this miner."""
    path = folder / "firmware.bin"
    path.write_bytes(on.miner.newer_image())
    return Firmware(path=str(path), **more)


@pytest.mark.parametrize("key", ["s21", "s19pro", "l7", "ks5", "s21hyd", "s9", "t17+"])
async def test_a_newer_firmware_is_installed_and_its_version_read_back(
    key: str, tmp_path: Path
) -> None:
    async with stage(key) as on:
        before = on.miner.firmware_version
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.before["firmware_version"] == before
        assert evidence.after["firmware_version"] == on.miner.firmware_version != before
        assert len(on.ledger("firmware")) == 1
        assert len(on.ledger("reboot")) == 1
        assert len(on.ledger("firmware", phase="received")) == 1


async def test_only_the_image_for_this_control_board_is_uploaded(tmp_path: Path) -> None:
    async with stage("s21") as on:
        change = newer(on, tmp_path)
        plan = await on.driver.plan(change)
        assert isinstance(plan, Plan)
        whole = Path(change.path).read_bytes()
        assert plan.data["size"] < len(whole) / 2
        assert plan.before["control_board"].endswith(on.miner.spec.subtype)


async def test_a_single_image_goes_whole(tmp_path: Path) -> None:
    async with stage("s19pro") as on:
        version = images.next_version(on.miner.version)
        path = tmp_path / "single.bmu"
        path.write_bytes(images.build_image(on.miner.spec.name, on.miner.spec.subtype, version))
        assert (await on.carry_out(Firmware(path=str(path)))).outcome == "done"


async def test_the_version_asked_for_is_done_without_an_upload_if_it_runs_already(
    tmp_path: Path,
) -> None:
    async with stage("s21") as on:
        change = newer(on, tmp_path, target_version=on.miner.firmware_version)
        await on.no_change(change)
        assert not on.ledger("firmware", phase="received")


async def test_the_promised_version_is_checked(tmp_path: Path) -> None:
    async with stage("s21") as on:
        version = images.next_version(on.miner.version)
        evidence = await on.carry_out(newer(on, tmp_path, target_version=version))
        assert evidence.outcome == "done", evidence
    async with stage("s21") as on:
        evidence = await on.carry_out(newer(on, tmp_path, target_version="FR-9.9"))
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "FR-9.9" in (evidence.reason or "")


async def test_a_file_for_another_miner_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with stage("s21") as on:
        path = tmp_path / "other.bmu"
        path.write_bytes(images.build_bmu("Antminer L7", "AMLCtrl_BHB68606", "FR-2.0(261009-L7)"))
        with pytest.raises(BadFirmwareError, match="Antminer L7"):
            await on.driver.plan(Firmware(path=str(path)))
        path.write_bytes(images.build_tar("Antminer S9", "202601010000"))
        with pytest.raises(BadFirmwareError, match="kind"):
            await on.driver.plan(Firmware(path=str(path)))
        path.write_bytes(b"<html>404</html>")
        with pytest.raises(BadFirmwareError):
            await on.driver.plan(Firmware(path=str(path)))
        with pytest.raises(BadFirmwareError, match="read"):
            await on.driver.plan(Firmware(path=str(tmp_path / "absent")))
        assert not on.ledger("firmware", phase="received")


async def test_a_file_the_miner_rejects_is_named_as_such(tmp_path: Path) -> None:
    async with stage("s19pro") as on:
        image = bytearray(
            images.build_image(
                on.miner.spec.name, on.miner.spec.subtype, images.next_version(on.miner.version)
            )
        )
        image[-1] ^= 1  # its signature
        path = tmp_path / "bad.bmu"
        path.write_bytes(image)
        plan = await on.driver.plan(Firmware(path=str(path)))
        assert isinstance(plan, Plan)
        with pytest.raises(BadFirmwareError, match="U001"):
            await on.driver.apply(plan, on.effect())
        assert on.miner.boot == 1


async def test_an_old_miner_that_rejects_the_file_is_not_rebooted(tmp_path: Path) -> None:
    async with stage("s9") as on:
        path = tmp_path / "bad.tar.gz"
        path.write_bytes(images.build_tar("Antminer L3+", images.next_version(on.miner.version)))
        plan = await on.driver.plan(Firmware(path=str(path)))
        assert isinstance(plan, Plan)
        with pytest.raises(BadFirmwareError, match="failed"):
            await on.driver.apply(plan, on.effect())
        assert not on.ledger("reboot", phase="received")


async def test_a_build_that_answers_in_plain_text_is_rebooted_by_us(tmp_path: Path) -> None:
    async with stage("s21", "upgrade_plain_reply") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("reboot")) == 1


async def test_builds_that_look_at_the_name_of_the_part_are_content(tmp_path: Path) -> None:
    async with stage("s21", "upgrade_needs_name_file") as on:
        assert (await on.carry_out(newer(on, tmp_path))).outcome == "done"


async def test_the_same_version_before_and_after_is_unknown(tmp_path: Path) -> None:
    async with stage("s21", "upgrade_bad_flash") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "same version" in (evidence.reason or "")
        assert evidence.after["uploaded"]


async def test_a_liar_is_unknown_and_never_done(tmp_path: Path) -> None:
    async with stage("s19pro", "ignores") as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_is_settled_by_the_version(close: bool, tmp_path: Path) -> None:
    async with stage("s21", {"fault": "silent_apply", "close": close}, upload_s=2.0) as on:
        evidence = await on.carry_out(newer(on, tmp_path))
        assert evidence.outcome == "done", evidence
        assert "uploaded" not in evidence.after


async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(tmp_path: Path) -> None:
    async with stage("ks5") as on:
        plan = await on.driver.plan(newer(on, tmp_path))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        Path(str(getattr(plan.change, "path", ""))).unlink()
        again = on.effect(effect.notes)
        evidence = await on.another_driver().verify(plan, again)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


def test_the_upload_has_one_part_and_the_exact_ending() -> None:
    head, tail, content_type = multipart("b0b")
    assert head.startswith(b'--b0b\r\nContent-Disposition: form-data; name="file"; filename=')
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"--b0b") == 1
    assert tail == b"\r\n--b0b--\r\n"
    assert content_type == "multipart/form-data; boundary=b0b"


def test_versions_are_compared_without_regard_to_blanks_and_case() -> None:
    assert same_version("Tue Dec  6 16:12:30 CST 2022", "tue dec 6 16:12:30 cst 2022")
    assert not same_version("FR-1.12", "FR-1.1")
    assert not same_version(None, None)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<html><body>Upgrade failed: not signed</body></html>", "Upgrade failed: not signed"),
        (b"<html>System Upgrade Successed. Please reboot.</html>", None),
        (b"<script>alert('failed')</script><p>Rebooting</p>", None),
        (b"", None),
    ],
)
def test_an_old_page_is_read_for_failure_only(page: bytes, text: str | None) -> None:
    assert failure_text(page) == text
