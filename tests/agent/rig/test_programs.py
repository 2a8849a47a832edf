"""Mining programs as real processes: begun by playbooks, kept, ended, and told apart."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
from pathlib import Path

import pytest

from agent.rig.client import RigRefusedError, RigService
from agent.rig.program import pause_s
from agent.rig.shapes import ProgramState
from contract.rigmonitor.playbook import MiningWish
from tests.agent.rig.stage import GOOD, RigStage, entry, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real_time
ROOT = Path(__file__).resolve().parents[3]


async def test_a_playbook_starts_a_program_of_its_own_session_without_our_environment(
    stage: RigStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", "token")
    async with stage.running():
        pid = await stage.mines()
        process = Path(f"/proc/{pid}")
        assert os.getsid(pid) == os.getpgid(pid) == pid
        names = {
            each.partition(b"=")[0] for each in (process / "environ").read_bytes().split(b"\0")
        }
        assert names == {b"PATH", b"HOME", b"LANG", b"MINER_AGENT_RIG_RUN", b""}
        assert (process / "cwd").resolve() == stage.folder / "state/programs/XMRig"
        # it leaves processes for the service, which could not end it otherwise
        assert resource.prlimit(pid, resource.RLIMIT_NPROC)[1] <= 8000
        assert stage.log.stat().st_mode & 0o777 == 0o640
        assert "mining --no-color --url pool.example.com:3333" in stage.log.read_text()
        status = await stage.only()
        assert (status.state, status.pid, status.deaths) == (ProgramState.RUNNING, pid, 0)
        assert status.log == str(stage.log)


async def test_the_same_again_goes_on_and_another_one_takes_its_place(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
        later = entry(updated_at="2026-11-22T00:00:00")
        assert [each.pid for each in await stage.apply(later)] == [pid]
        other = await stage.mines("y")
        assert other != pid
        assert not is_alive(pid)


async def test_nothing_but_an_answer_that_says_so_ends_it(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
        for argument in ("--log-file=/etc/x", "; rm -rf /"):
            (verdict,) = await stage.apply(entry(argument))
            assert not verdict.accepted
        assert (await stage.only()).pid == pid
        assert "`-`" in ((await stage.only()).refused or "")
        (verdict,) = await stage.apply(entry(wish=MiningWish.STOP))
        assert (verdict.accepted, verdict.pid) == (True, None)
        assert not is_alive(pid)
        pid = await stage.mines()
        assert await stage.apply() == ()
        assert not is_alive(pid)
        assert await stage.status() is None


async def test_one_that_says_stop_is_ended_whatever_else_it_says(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
        (verdict,) = await stage.apply(entry("$(reboot)", wish=MiningWish.STOP))
        assert verdict.accepted
        assert not is_alive(pid)


async def test_two_for_one_program_and_too_many_change_nothing(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
        both = await stage.apply(entry(), entry(GOOD.format(how="y"), number=2))
        assert {each.accepted for each in both} == {False}
        many = await stage.apply(*(entry(number=each, name=f"Other{each}") for each in range(17)))
        assert len(many) == 17
        assert "16 are the most" in (many[0].reason or "")
        assert is_alive(pid)


async def test_what_does_not_listen_is_killed_with_all_that_it_began(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines("deaf")
        await stage.apply()
        assert not is_alive(pid)
        pid = await stage.mines("brood")
        await until(lambda: re.search(r"child \d+\n", stage.log.read_text()))
        child = int(stage.log.read_text().rpartition("child ")[2].split()[0])
        assert is_alive(child)
        await stage.apply()
        assert not is_alive(pid)
        assert not is_alive(child)


async def test_one_that_dies_is_tried_again_and_says_so(stage: RigStage) -> None:
    async with stage.running():
        await stage.apply(entry(GOOD.format(how="dies")))
        await until(lambda: _deaths(stage, 3))
        status = await stage.only()
        assert (status.last_end or "").startswith("ended with status 7 after ")
        # what is new is tried at once
        pid = await stage.mines()
        assert (await stage.only()).deaths == 0
        os.kill(pid, signal.SIGSEGV)
        await until(lambda: _runs_as_another(stage, pid))
        assert (await stage.only()).last_end is not None


def test_the_pause_grows_and_is_never_twice_the_same() -> None:
    pauses = [[pause_s(deaths, 5.0, 300.0) for _ in range(50)] for deaths in range(1, 12)]
    for each, bound in zip(pauses, (5, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300), strict=True):
        assert bound / 2 <= min(each) < max(each) <= bound
        assert len(set(each)) > 1
    assert pause_s(10**9, 5.0, 300.0) <= 300.0


async def test_a_person_who_starts_it_waits_for_nothing(stage: RigStage) -> None:
    stage.write_config(first_s=100.0, most_s=1000.0)
    async with stage.running():
        await stage.apply(entry(GOOD.format(how="dies")))
        await until(lambda: _deaths(stage, 1))
        status = await stage.only()
        assert status.state is ProgramState.WAITING
        assert 0 < (status.retry_in_s or 0) <= 100
        async with RigService(stage.socket) as service:
            await service.start("XMRig")
        await until(lambda: _deaths(stage, 1))
        assert stage.log.exists()


async def test_one_that_a_person_stopped_stays_so_until_started_or_told_anew(
    stage: RigStage,
) -> None:
    async with stage.running():
        pid = await stage.mines()
        async with RigService(stage.socket) as service:
            stopped = await service.stop("XMRig")
            assert (stopped.state, stopped.pid) == (ProgramState.STOPPED, None)
            assert not is_alive(pid)
            (verdict,) = await service.apply((entry(),))
            assert verdict.accepted
            assert "miner-agent-rig start XMRig" in (verdict.reason or "")
            assert (await service.start("XMRig")).state is ProgramState.RUNNING
            await service.stop("XMRig")
        await stage.mines("new")
        async with RigService(stage.socket) as service:
            await service.stop("XMRig")
    async with stage.running():  # it is on disk
        assert (await stage.only()).is_stopped_by_hand
        (verdict,) = await stage.apply(entry(GOOD.format(how="new")))
        assert verdict.pid is None


async def test_a_person_starts_nothing_that_no_playbook_allows(stage: RigStage) -> None:
    async with stage.running():
        async with RigService(stage.socket) as service:
            with pytest.raises(RigRefusedError, match="no playbook came for 'XMRig'"):
                await service.start("XMRig")
        await stage.mines()
        await stage.apply(entry(wish=MiningWish.STOP))
        async with RigService(stage.socket) as service:
            with pytest.raises(RigRefusedError, match="expected_status"):
                await service.start("XMRig")
            with pytest.raises(RigRefusedError, match="there is one for XMRig"):
                await service.stop("T-Rex")


async def test_a_file_that_is_another_is_not_started(stage: RigStage) -> None:
    stage.program.write_text(stage.program.read_text() + "# changed\n")
    async with stage.running():
        (verdict,) = await stage.apply(entry())
        assert verdict.pid is None
        assert "is not the file that rig.toml allows: its sha256 is" in (verdict.reason or "")
    stage.write_config()
    stage.program.chmod(0o775)
    async with stage.running():
        (verdict,) = await stage.apply(entry())
        assert "can be changed by others" in (verdict.reason or "")
        stage.program.chmod(0o755)
        await until(lambda: _runs_as_another(stage, 0))  # put right, it is started by itself
    assert not list(stage.folder.glob("state/*.new"))


async def test_what_is_executed_is_what_was_checked(stage: RigStage) -> None:
    """The path may lead elsewhere between the two."""
    from agent.rig.executables import checked_executable

    with checked_executable(str(stage.program), stage.sha256) as handle:
        stage.program.rename(stage.folder / "moved")
        stage.program.write_text("#!/bin/false\n")
        assert Path(f"/proc/self/fd/{handle}").read_text().startswith("#!") is True
        assert b"mining" in Path(f"/proc/self/fd/{handle}").read_bytes()
    stage.program.unlink()
    (stage.folder / "moved").rename(stage.program)
    async with stage.running():
        command = Path(f"/proc/{await stage.mines()}/cmdline")
        await until(lambda: b"\0/proc/self/fd/" in command.read_bytes())  # by its descriptor


async def test_a_program_that_writes_without_end_fills_no_disk(stage: RigStage) -> None:
    stage.write_config("log_max_mb = 1\nfile_max_mb = 2")
    async with stage.running():
        pid = await stage.mines("chatty")
        before = stage.log.with_name("XMRig.log.1")
        await until(before.exists)
        await until(lambda: before.stat().st_size == 1 << 20)
        assert stage.log.stat().st_size <= 2 << 20
        assert is_alive(pid)
    # without the service, too
    await until(lambda: stage.log.stat().st_size == 2 << 20)
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (2 << 20, 2 << 20)
    assert is_alive(pid)


async def test_what_stands_in_place_of_a_log_and_holds_up_who_opens_it_holds_up_nothing(
    stage: RigStage,
) -> None:
    async with stage.running():
        os.mkfifo(stage.log)
        (verdict,) = await asyncio.wait_for(stage.apply(entry()), 20)
        assert "could not be started" in (verdict.reason or "")
        stage.log.unlink()
        await until(lambda: _runs_as_another(stage, 0))


async def test_nothing_begins_that_could_not_be_adopted(stage: RigStage) -> None:
    async with stage.running():
        (stage.folder / "state/programs.new").mkdir()  # stands for a disk that takes nothing
        with pytest.raises(RigRefusedError, match="state cannot be written"):
            await stage.apply(entry())
        assert await stage.status() is None
        (stage.folder / "state/programs.new").rmdir()
        pid = await stage.mines()
        (stage.folder / "state/programs.new").mkdir()
        async with RigService(stage.socket) as service:
            with pytest.raises(RigRefusedError, match="state cannot be written"):
                await service.stop("XMRig")
        assert is_alive(pid)


async def _deaths(stage: RigStage, number: int) -> bool:
    return (await stage.only()).deaths >= number


async def _runs_as_another(stage: RigStage, pid: int) -> bool:
    status = await stage.only()
    return status.state is ProgramState.RUNNING and status.pid != pid


async def test_a_disk_that_its_program_fills_stops_no_mining(tmp_path: Path) -> None:
    """On a little disk of its own. Needs user namespaces, as CI has."""
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -m tests.agent.rig.full_disk "$1"'
    command = ["unshare", "-Urm", "sh", "-ec", script, "sh", str(tmp_path), sys.executable]
    scene = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )  # fmt: skip
    out, errors = await scene.communicate()
    if b"unshare failed" in errors and os.environ.get("MINER_AGENT_REQUIRE_ALL") != "1":
        pytest.skip("needs unshare and user namespaces")
    assert scene.returncode == 0, errors.decode()
    assert json.loads(out.splitlines()[-1]) == {
        "goes_on": True,
        "copy": False,
        "ended": True,
        "on_disk": True,
    }
