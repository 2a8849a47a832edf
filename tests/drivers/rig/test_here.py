"""The rig we run on, driven: its commands are processes of this host. None of them restarts it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contract.errors import OutcomeUnknownError, RefusedError, UnsupportedError
from drivers.base import Evidence, Plan, Reboot, Timing
from drivers.rig.driver import RigDriver
from drivers.rig.entry import RIG
from drivers.rig.spec import EnrolledRig, LocalSpec, MiningProgram, ProgramSpec
from tests.drivers.effects import MemoryEffect
from tests.drivers.rig import tree
from tests.virtual_time import loop_clock

pytestmark = pytest.mark.real_time
OTHER_BOOT = "0c6c3a52-1f6d-4d0c-8a5e-1d2f3a4b5c6d"
BOOT_FILE = "proc/sys/kernel/random/boot_id"


async def here(root: Path, *, pace: float = 1.0, **more: Any) -> RigDriver:
    tree.plant(root, tree.HOST)
    spec = EnrolledRig(name="rig-7", reach=LocalSpec(root=str(root)), **more)
    driver = RIG.enrolled(spec, clock=loop_clock(), timing=Timing(pace=pace))
    await driver.identify()
    return driver


async def reboot(driver: RigDriver) -> Evidence:
    plan, permit = await driver.plan(Reboot()), MemoryEffect(driver.clock)
    assert isinstance(plan, Plan)
    with suppress(OutcomeUnknownError):
        await driver.apply(plan, permit)
    return await driver.verify(plan, permit)


def script(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


async def test_its_command_is_run_and_another_boot_id_is_the_proof(tmp_path: Path) -> None:
    shown = f"echo {OTHER_BOOT} >{tmp_path}/{BOOT_FILE}\necho 1.0 1.0 >{tmp_path}/proc/uptime"
    text = f"{shown}\nexit 1"  # whatever it says of itself
    argv = (str(script(tmp_path, "restart", text)), "now")
    driver = await here(tmp_path, pace=50.0, reboot_argv=argv)
    evidence = await reboot(driver)
    assert (evidence.outcome, evidence.verified) == ("done", True), evidence
    assert (evidence.before["boot_id"], evidence.after["boot_id"]) == (tree.BOOT, OTHER_BOOT)


async def test_a_command_that_restarts_nothing_is_found_out(tmp_path: Path) -> None:
    evidence = await reboot(await here(tmp_path, pace=2000.0, reboot_argv=("true",)))
    assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


async def test_a_command_that_may_not_be_run_or_is_not_there_has_sent_nothing(
    tmp_path: Path,
) -> None:
    denied = script(tmp_path, "reboot", "echo 'Interactive authentication required.' >&2\nexit 1")
    for argv, error in ((str(denied), RefusedError), ("/no/such/command", UnsupportedError)):
        driver = await here(tmp_path, reboot_argv=(argv,))
        plan = await driver.plan(Reboot())
        assert isinstance(plan, Plan)
        with pytest.raises(error):
            await driver.apply(plan, MemoryEffect(driver.clock))


async def test_its_log_is_the_journal_and_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    script(commands, "journalctl", 'echo "asked: $*"')
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "var/log/xmrig.log").write_text("its own words\n")
    program = ProgramSpec(
        kind=MiningProgram.XMRIG, port=1, unit="xmrig.service", log_file="/var/log/xmrig.log"
    )
    driver = await here(tmp_path, programs=(program,))
    log = await driver.get_log(tmp_path / "logs", size_cap_bytes=1_000_000)
    text = Path(log.path).read_text()
    assert "--unit=xmrig.service" in text
    assert text.endswith("its own words\n")
    script(
        commands,
        "journalctl",
        "echo 'Hint: You are currently not seeing messages from other users' >&2",
    )
    (tmp_path / "var/log/xmrig.log").unlink()
    with pytest.raises(RefusedError, match="systemd-journal"):
        await driver.get_log(tmp_path / "logs", size_cap_bytes=1_000_000)
