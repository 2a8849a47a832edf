"""Mining outlives the service: killed, restarted, or with another config; and no stranger is taken for a program."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.rig.client import RigService
from agent.rig.shapes import ApplyPlaybooks, ProgramState
from service.notify import Notifier
from tests.agent.rig.stage import GOOD, RigStage, entry, is_alive
from tests.service.ear import Ear
from tests.waiting import until
from tests.warm import started

pytestmark = pytest.mark.real_time


async def test_a_killed_service_finds_its_program_again(stage: RigStage) -> None:
    async with stage.process() as life:
        pid = await stage.mines()
        life.kill()
        await life.wait()
    assert is_alive(pid)
    async with stage.process() as life:
        status = await stage.only()
        assert (status.pid, status.is_adopted, status.state) == (pid, True, ProgramState.RUNNING)
        assert [each.pid for each in await stage.apply(entry())] == [pid]
        # and ends it, though it is no child of its own
        await stage.apply()
        assert not is_alive(pid)
        life.terminate()
        assert await life.wait() == 0


async def test_a_service_that_is_told_to_stop_leaves_it_mining(stage: RigStage) -> None:
    async with stage.process() as life:
        pid = await stage.mines()
        life.terminate()
        assert await life.wait() == 0
    assert is_alive(pid)
    async with stage.running():
        assert (await stage.only()).pid == pid
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _runs_as_another(stage, pid))
        assert "earlier run of the service" in ((await stage.only()).last_end or "")


async def test_one_killed_between_begin_and_note_starts_nothing_twice(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
    record = stage.recorded()
    record["run"]["pid"] = record["run"]["started_ticks"] = None
    _write(stage, record)
    async with stage.running():
        assert (await stage.only()).pid == pid
    assert stage.recorded()["run"]["pid"] == pid


@pytest.mark.parametrize("how", ["ticks", "boot"])
async def test_a_stranger_with_its_pid_is_neither_adopted_nor_ended(
    stage: RigStage, how: str
) -> None:
    async with stage.running():
        pid = await stage.mines()
    stage.end_all()
    await until(lambda: not is_alive(pid))
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "-IS", "-c", "import signal; signal.pause()"
    )
    try:
        record = stage.recorded()
        record["run"]["pid"] = stranger.pid
        if how == "boot":
            ticks = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]
            record["run"] |= {"started_ticks": int(ticks), "boot_id": "of-another-day"}
        _write(stage, record)
        async with stage.running():
            await until(lambda: _runs_as_another(stage, stranger.pid))
            await stage.apply()
            assert await stage.status() is None
        assert stranger.returncode is None
        assert is_alive(stranger.pid)
    finally:
        stranger.kill()
        await stranger.wait()


async def test_what_was_to_end_ends_after_the_service_comes_back(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
    record = stage.recorded()
    record["wish"] = None  # it was killed after it had written so
    _write(stage, record)
    async with stage.running():
        await until(lambda: not is_alive(pid))
        assert await stage.status() is None


async def test_what_the_config_allows_no_more_goes_on_and_never_begins_again(
    stage: RigStage,
) -> None:
    async with stage.running():
        pid = await stage.mines()
    text = stage.config.read_text()
    stage.config.write_text(text.replace("6.22.2", "6.99.0"))
    async with stage.running():
        status = await stage.only()
        assert status.pid == pid
        assert "6.99.0 is" in (status.refused or "")
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _is(stage, ProgramState.STOPPED))
    stage.config.write_text(text)
    async with stage.running():
        await until(lambda: _runs_as_another(stage, pid))


async def test_what_the_config_says_otherwise_begins_anew(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
    stage.write_config(program='arguments = ["--print-time", "9"]')
    async with stage.running():
        await until(lambda: _runs_as_another(stage, pid))
        command = Path(f"/proc/{(await stage.only()).pid}/cmdline")
        # The kernel shows none for an instant in which the process has begun already.
        await until(lambda: command.read_bytes().endswith(b"--print-time\x009\x00"))


@pytest.mark.parametrize("text", ['{"XMRig": [', '{"XMRig": {}}', "\x00" * 4096, None])
async def test_what_runs_has_an_owner_though_the_state_is_lost(
    stage: RigStage, text: str | None
) -> None:
    async with stage.running():
        pid = await stage.mines()
    path = stage.folder / "state/programs.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    async with stage.running():
        assert is_alive(pid)
        status = await stage.only()
        assert (status.state, status.pid) == (ProgramState.RUNNING, pid)
        assert "was lost" in (status.refused or "")
    async with stage.running():
        assert is_alive(pid)
        other = await stage.mines()  # the next answer is followed, and it runs once
        assert other != pid
        assert not is_alive(pid)
    assert (stage.folder / "state/programs.bad").exists() is (text is not None)


async def test_what_another_version_wished_is_told_again_and_mines_on(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
    record = stage.recorded()
    del record["wish"]["entry"]["software_version"]
    _write(stage, record)
    for _ in range(2):
        async with stage.running():
            assert is_alive(pid)
    async with stage.running():
        assert [each.pid for each in await stage.apply(entry())] == [pid]
        assert (await stage.only()).pid == pid


async def test_systemd_hears_when_it_is_ready_that_it_lives_and_that_it_stops(
    stage: RigStage,
) -> None:
    with closing(Ear(stage.folder / "notify")) as ear:
        notifier = Notifier(
            {"NOTIFY_SOCKET": str(stage.folder / "notify"), "WATCHDOG_USEC": "200000"}
        )
        async with stage.running(notifier):
            heard: list[str] = []
            await until(lambda: heard.extend(ear.heard()) or heard.count("WATCHDOG=1") > 2)
            assert heard[0] == "READY=1\nSTATUS=1 programs may be started"
        assert ear.heard()[-1] == "STOPPING=1"


async def test_a_second_service_on_the_folder_does_not_start(stage: RigStage) -> None:
    async with stage.running():
        second = await started("agent.cli.rig_service", "run", "--config", stage.config)
        _, errors = await second.communicate()
        assert second.returncode == 1
        assert b"another miner-agent-rig runs" in errors
        assert await stage.status() is None  # the first still listens


async def test_an_agent_that_dies_in_the_middle_of_a_request_changes_nothing(
    stage: RigStage,
) -> None:
    async with stage.running():
        pid = await stage.mines()
        whole = msgspec.json.encode(ApplyPlaybooks(entries=())) + b"\n"
        for size in (1, len(whole) - 1):
            _, writer = await asyncio.open_unix_connection(str(stage.socket))
            writer.write(whole[:size])
            await writer.drain()
            writer.close()
        async with RigService(stage.socket) as service:
            await service.status()
        assert is_alive(pid)
        # one that was heard whole is carried out, whether anybody waits or not
        _, writer = await asyncio.open_unix_connection(str(stage.socket))
        writer.write(whole)
        await writer.drain()
        writer.transport.abort()
        await until(lambda: not is_alive(pid))


async def test_an_agent_that_is_killed_and_starts_again_finds_the_same_process(
    stage: RigStage,
) -> None:
    agent = (
        "import socket, sys, signal; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(sys.argv[2].encode() + b'\\n'); print(s.recv(65536)); sys.stdout.flush(); signal.pause()"
    )
    line = msgspec.json.encode(ApplyPlaybooks(entries=(entry(GOOD.format(how="x")),))).decode()
    pids = []
    async with stage.running():
        for _ in range(2):
            life = await asyncio.create_subprocess_exec(
                sys.executable,
                "-IS",
                "-c",
                agent,
                str(stage.socket),
                line,
                stdout=asyncio.subprocess.PIPE,
            )
            assert life.stdout is not None
            said = await life.stdout.readline()
            assert b'"accepted":true' in said
            pids.append((await stage.only()).pid)
            life.kill()
            await life.communicate()
            assert pids[-1] is not None
            assert is_alive(pids[-1])
    assert len(set(pids)) == 1


def _write(stage: RigStage, record: dict[str, Any]) -> None:
    (stage.folder / "state/programs.json").write_text(json.dumps({"XMRig": record}))


async def _runs_as_another(stage: RigStage, pid: int) -> bool:
    status = await stage.only()
    return status.state is ProgramState.RUNNING and status.pid != pid


async def _is(stage: RigStage, state: ProgramState) -> bool:
    return (await stage.only()).state is state
