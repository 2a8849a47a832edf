"""What a process says of itself to root's installer."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from agent.update.running import RunningReport
from release.handover import RUNNING, RunningRelease
from service.install.own import OwnRelease
from tests.virtual_time import loop_clock
from tests.waiting import until

OWN = OwnRelease(version="0.3.0", sha256="ab" * 32, place=Path("/nowhere"), is_proven=False)


class Facts:
    def __init__(self) -> None:
        self.linked = self.turned = False

    def is_linked(self) -> bool:
        return self.linked

    async def has_turned(self) -> bool:
        return self.turned


def report(folder: Path) -> RunningReport:
    return RunningReport(folder, OWN, loop_clock(), environment={"INVOCATION_ID": "cd" * 16})


def told(folder: Path) -> RunningRelease:
    return msgspec.json.decode((folder / RUNNING).read_bytes(), type=RunningRelease)


async def test_each_fact_is_told_once_it_is_true_and_then_there_is_no_more_to_say(
    tmp_path: Path,
) -> None:
    facts = Facts()
    running = asyncio.create_task(report(tmp_path).run(facts.is_linked, facts.has_turned))
    await until((tmp_path / RUNNING).exists)
    first = told(tmp_path)
    assert (first.version, first.sha256, first.pid) == ("0.3.0", "ab" * 32, os.getpid())
    assert (first.invocation, first.boot_id) == ("cd" * 16, loop_clock().boot().boot_id)
    assert (first.ready, first.linked, first.journal_turned) == (True, False, False)
    written = (tmp_path / RUNNING).stat().st_ino
    await asyncio.sleep(30.0)
    assert (tmp_path / RUNNING).stat().st_ino == written  # nothing new, nothing written
    facts.turned = True
    await until(lambda: told(tmp_path).journal_turned)
    facts.turned = False
    assert not told(tmp_path).linked
    facts.linked = True
    await asyncio.wait_for(running, 10.0)
    last = told(tmp_path)
    assert (last.ready, last.linked, last.journal_turned) == (True, True, True)
    assert (tmp_path / RUNNING).stat().st_mode & 0o777 == 0o600


async def test_a_disk_that_does_not_take_it_is_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = Facts()
    facts.linked = facts.turned = True
    (tmp_path / "update").write_text("no folder")
    running = asyncio.create_task(report(tmp_path).run(facts.is_linked, facts.has_turned))
    await until(lambda: "update.running_not_told" in capsys.readouterr().out)
    (tmp_path / "update").unlink()
    await asyncio.wait_for(running, 10.0)
    assert told(tmp_path).linked
