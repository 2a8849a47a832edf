"""The firmware: the fitting image, one upload, and a version that was read back or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import BadFirmwareError
from drivers.antminer.changes.firmware import failure_text, multipart
from drivers.base import FirmwareUpdate, Plan
from drivers.changes.verification import same_version
from simulator.antminer import firmware as images
from tests.drivers.antminer.stage import stage


async def test_only_the_image_for_this_control_board_is_uploaded(tmp_path: Path) -> None:
    async with stage("s21") as on:
        change = on.newer(tmp_path)
        plan = await on.driver.plan(change)
        assert isinstance(plan, Plan)
        whole = Path(change.path).read_bytes()
        assert plan.data.size < len(whole) / 2
        assert plan.before["control_board"].endswith(on.miner.spec.subtype)


async def test_an_old_miner_that_rejects_the_file_is_not_rebooted(tmp_path: Path) -> None:
    async with stage("s9") as on:
        path = tmp_path / "bad.tar.gz"
        path.write_bytes(images.build_tar("Antminer L3+", images.next_version(on.miner.version)))
        plan = await on.driver.plan(FirmwareUpdate(path=str(path)))
        assert isinstance(plan, Plan)
        with pytest.raises(BadFirmwareError, match="failed"):
            await on.driver.apply(plan, on.effect())
        assert not on.ledger("reboot", phase="received")


async def test_a_build_that_answers_in_plain_text_is_rebooted_by_us(tmp_path: Path) -> None:
    async with stage("s21", "upgrade_plain_reply") as on:
        evidence = await on.carry_out(on.newer(tmp_path))
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("reboot")) == 1


async def test_builds_that_look_at_the_name_of_the_part_are_content(tmp_path: Path) -> None:
    async with stage("s21", "upgrade_needs_name_file") as on:
        assert (await on.carry_out(on.newer(tmp_path))).outcome == "done"


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
