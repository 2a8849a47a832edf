"""What looks like a proof and is none: words of a program, of a shell, of a clone of the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from contract.errors import MalformedError, OutcomeUnknownError, RefusedError, UnsupportedError
from drivers.base import Reboot, Resume, Suspend, Timing, Who
from drivers.changes.identity import compared
from drivers.rig.changes import state
from drivers.rig.protocol import systemd
from drivers.rig.protocol.orders import check_obeyed, says_no_start
from drivers.rig.reading.host import BOOT_ID, host_of
from tests.drivers.rig import tree
from tests.drivers.rig.servers import ssh_rig
from tests.drivers.rig.stage import Stage
from tests.drivers.rig.test_read import rig_of

PAUSED = "xmrig-cpu"
OFF, ON, FORCE = Suspend(), Resume(), Reboot(force=True)
MAC, ID = "02:1A:2B:3C:4D:5E", "0f3a6c1d2e4b5b8f1c9e2f5c4a7e9d58"
stage = Stage.begin


async def test_a_rate_of_before_the_pause_is_no_hashing_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its mean over a minute, and that over ten seconds, fade for a while after it stopped."""
    async with stage(PAUSED) as on:
        await on.carry_out(OFF)
        run = on.miner.units[0].run
        monkeypatch.setattr(run, "look", lambda: None)  # it says that it goes on, and rests
        evidence = await on.carry_out(ON)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "not hashing" in (evidence.reason or "")


async def test_a_rate_that_dips_and_stays_is_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(PAUSED) as on:
        run = on.miner.units[0].run
        plan, permit = await on.planned(OFF), on.permit()
        await on.driver.apply(plan, permit)
        level = run.level
        monkeypatch.setattr(run, "look", lambda: None)
        run._works = True
        monkeypatch.setattr(run, "level", lambda: 0.7)
        evidence = await on.driver.verify(plan, permit)
        assert level is not None
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "does not fall" in (evidence.reason or "")


@pytest.mark.parametrize(
    ("meant", "found", "same"),
    [
        (Who(mac=MAC, serial=ID), Who(mac=MAC, serial=ID, needs_both=True), True),
        (Who(mac=MAC, serial=ID), Who(serial=ID, needs_both=True), None),  # a clone of its disk?
        (Who(mac=MAC, serial=ID), Who(mac=MAC, needs_both=True), None),
        (Who(mac=MAC), Who(mac=MAC, serial=ID, needs_both=True), True),
        (Who(serial=ID), Who(mac=MAC, serial=ID, needs_both=True), True),
        (Who(mac=MAC, serial=ID), Who(serial=ID), True),
    ],
)
def test_who_needs_both_is_not_known_by_one(meant: Who, found: Who, same: bool | None) -> None:
    assert compared(meant, found) is same


async def test_a_clone_of_the_disk_that_tells_no_mac_is_not_written_to() -> None:
    async with stage("6xrtx3080-trex") as on:
        plan, permit = await on.planned(OFF), on.permit()
        (on.miner.folder / "proc/net/route").write_text("Iface\n")  # it has no network yet
        with pytest.raises(Exception, match="does not tell whether it is the one"):
            await on.driver.apply(plan, permit)
        assert permit.sent == 0
        assert not on.ledger(phase="received")


@pytest.mark.parametrize(
    ("argv", "status", "errors", "error"),
    [
        # the shell of SSH that found no such command, and a script that did, and ran on
        (("reboot-rig",), 127, "bash: line 1: reboot-rig: command not found", UnsupportedError),
        (("reboot-rig",), 127, "sh: 1: reboot-rig: not found", UnsupportedError),
        (("reboot-rig",), 127, "zsh:1: command not found: reboot-rig", UnsupportedError),
        (("/x/rig",), 127, "bash: line 1: /x/rig: No such file or directory", UnsupportedError),
        (("/x/rig",), 127, "/x/rig: line 3: wall: command not found", OutcomeUnknownError),
        (("/x/rig",), 127, "/x/rig: 3: wall: not found", OutcomeUnknownError),
        (("/x/rig",), 127, "", OutcomeUnknownError),
        (("/x/rig",), 126, "bash: line 1: /x/rig: Permission denied", UnsupportedError),
        (("/x/rig",), 126, "/x/rig: line 9: /tmp/z: Permission denied", OutcomeUnknownError),
        (("/x/rig",), 1, "touch: /run/x: Permission denied", OutcomeUnknownError),
        # ended by the very restart that it began
        (("sudo", "-n", "/x/rig"), None, "touch: /run/x: Permission denied", OutcomeUnknownError),
        (("sudo", "-n", "/x/rig"), 1, "touch: /run/x: Permission denied", OutcomeUnknownError),
        (("sudo", "-n", "/x/rig"), 1, "sudo: /x/rig: command not found", UnsupportedError),
        (("sudo", "-n", "/x/rig"), 127, "/x/rig: 3: wall: command not found", OutcomeUnknownError),
        (("sudo", "-n", "/x/rig"), 1, "sudo: a password is required", RefusedError),
    ],
)
def test_words_of_a_script_are_no_proof_that_nothing_was_done(
    argv: tuple[str, ...], status: int | None, errors: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        if status is not None and says_no_start(argv[0], status, errors):
            raise UnsupportedError
        check_obeyed(argv, status, "", errors, user="miner")


def test_a_pid_without_end_is_none() -> None:
    told = f"LoadState=loaded\nActiveState=active\nMainPID={'9' * 5000}"
    assert systemd.process_of(0, told, "").pid is None


async def test_a_boot_that_began_before_the_order_is_none(tmp_path: Path) -> None:
    """Another boot id, by a host that has been up for days: it is another one's, or a file that was made up."""
    async with stage(PAUSED) as on:
        plan, permit = await on.planned(FORCE), on.permit()
        async with permit.sending():
            pass
        show: Any = on.miner.files.show_boot
        on.miner.files.show_boot = lambda *_: show(*_) or None
        on.miner.boot_id = "11111111-2222-4333-8444-555555555555"
        on.miner.refresh()
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.real_time
async def test_half_a_boot_id_is_not_another_one(tmp_path: Path) -> None:
    """It goes silent in the middle of a line, as it does when a rig goes down."""
    root = tree.plant(tmp_path / "root", tree.HOST)

    async def goes_down(process: Any) -> None:
        process.stdout.write(f"{root}/proc/uptime:5.0 1.0\n{root}{BOOT_ID}:5b8f1c9e-2f".encode())
        await asyncio.sleep(60)

    async with ssh_rig(tmp_path / "keys", root) as rig:
        driver = rig_of(rig.spec(), timing=Timing(read_s=1.5))
        rig.commands["sh"] = goes_down
        with pytest.raises(MalformedError):
            await state.boot(driver)
        await driver.rig_wire.reach.close()


def test_a_boot_id_is_that_of_a_kernel() -> None:
    assert host_of({BOOT_ID: f"{tree.BOOT}\n"}).boot_id == tree.BOOT
    for text in ("", "5b8f1c9e-2f", "Permission denied", "0" * 36, f"{tree.BOOT}x"):
        assert host_of({BOOT_ID: text}).boot_id is None
    assert systemd.process_of(0, f"ActiveState={'a' * 9999}", "").word == "a" * 40
