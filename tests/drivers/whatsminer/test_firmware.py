"""The firmware: the fitting part, one upload on one connection, and a version that was read back or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.errors import RefusedError
from drivers.base import FirmwareUpdate, Suspend
from simulator.whatsminer import classic
from simulator.whatsminer import firmware as images
from tests.drivers.whatsminer.stage import WRITABLE, stage


@pytest.mark.parametrize("key", WRITABLE)
async def test_only_the_part_for_this_control_board_is_uploaded(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        change = on.newer(tmp_path)
        plan = await on.planned(change)
        assert plan.data.size < Path(change.path).stat().st_size / 2
        assert plan.before["image"] == plan.before["control_board"]


async def test_a_firmware_that_brings_another_dialect_is_met_in_it(tmp_path: Path) -> None:
    async with stage("m50s") as on:
        path = tmp_path / "v3.bin"
        path.write_bytes(
            images.build_package(
                on.miner.spec.platform, "20251209.16.REL", api="2.2.1", api_v3="3.0.2"
            )
        )
        evidence = await on.carry_out(FirmwareUpdate(path=str(path)))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        await on.miner.clock.sleep(60)
        assert (await on.driver.identify()).generation == "v3"
        evidence = await on.carry_out(FirmwareUpdate(path=on.newer(tmp_path).path))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_an_upload_cut_on_the_way_is_unknown_until_looked_at_and_installs_nothing(
    key: str, tmp_path: Path
) -> None:
    async with stage(key, "upload_cut") as on:
        evidence = await on.carry_out(on.newer(tmp_path))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert not on.ledger("firmware")


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_miner_that_never_gets_ready_is_sent_no_file(key: str, tmp_path: Path) -> None:
    async with stage(key, upload_s=1.0) as on:
        plan = await on.planned(on.newer(tmp_path))
        if key == "m50s":
            await on.driver.apply(await on.planned(_light()), on.permit())  # has its token
        on.faults.add("resets", match=["update_firmware", "enc"])
        with pytest.raises(RefusedError, match="none was sent"):
            await on.driver.apply(plan, on.permit())
        assert not on.ledger("firmware", phase="received")


async def test_a_version_that_was_not_shown_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage("m50s") as on:
        plan, permit = await on.planned(on.newer(tmp_path)), on.permit()
        assert (await on.carry_out(Suspend())).outcome == "done"
        on.faults.add("ignores", actions=["firmware"])
        await on.driver.apply(plan, permit)
        # Some daemons are away together with the mining process.
        monkeypatch.setitem(classic.FORWARDED, "get_version", classic.OWN["get_version"])
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert evidence.after["firmware_version"] is None
        assert "did not come back in time" in (evidence.reason or "")


def _light() -> Any:
    from drivers.base import Light

    return Light(on=True)
