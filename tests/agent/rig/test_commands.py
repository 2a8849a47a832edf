"""`miner-agent-rig` as a person, or an agent by SSH, gives it: exit codes, words, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agent.rig.stage import GOOD, RigStage, entry, is_alive
from tests.warm import started

pytestmark = pytest.mark.real_time


async def rig(*args: object) -> tuple[int, str, str]:
    life = await started("agent.cli.rig_service", *args)
    out, err = await life.communicate()
    assert life.returncode is not None
    return life.returncode, out.decode(), err.decode()


async def test_it_stops_starts_and_tells(stage: RigStage) -> None:
    at = ("--socket", stage.socket)
    async with stage.running():
        assert await rig("status", *at) == (0, "it has no playbook\n", "")
        pid = await stage.mines()
        assert await rig("status", *at) == (0, f"XMRig 6.22.2: running, process {pid}\n", "")
        code, out, err = await rig("stop", "XMRig", *at)
        assert (code, out, err) == (0, "XMRig 6.22.2: stopped, stopped by hand\n", "")
        assert not is_alive(pid)
        assert (await rig("stop", "XMRig", *at))[0] == 0  # it is
        code, out, err = await rig("start", "XMRig", *at, "--json")
        document: Any = json.loads(out)
        assert (code, err, document["ok"]) == (0, "", True)
        assert document["program"]["state"] == "running"
        code, out, _ = await rig("status", *at, "--json")
        (program,) = json.loads(out)["programs"]
        assert (code, program["pid"]) == (0, document["program"]["pid"])
        assert program["log"] == str(stage.log)


async def test_a_folder_that_is_missing_is_named(stage: RigStage, tmp_path: Path) -> None:
    config, socket = tmp_path / "rig.toml", tmp_path / "none" / "rig.sock"
    config.write_text(
        f"socket = '{socket}'\nstate_dir = '{tmp_path}/s'\nlog_dir = '{tmp_path}/l'\n"
    )
    code, _, err = await rig("run", "--config", config)
    assert code == 1
    assert f"{socket}: no such file or directory" in err


async def test_what_cannot_be_done_is_said(stage: RigStage) -> None:
    at = ("--socket", stage.socket)
    code, out, err = await rig("stop", "XMRig", *at)
    assert (code, out) == (1, "")
    assert "no miner-agent-rig listens" in err
    code, out, err = await rig("start", "XMRig", *at, "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False
    code, out, err = await rig("start", *at, "--json")
    assert (code, json.loads(out)["ok"]) == (2, False)
    assert "Missing argument 'name'" in err
    async with stage.running():
        code, _, err = await rig("start", "XMRig", *at)
        assert code == 1
        assert "no playbook came for 'XMRig'" in err
        stage.program.chmod(0o777)
        await stage.apply(entry(GOOD.format(how="x")))
        code, _, err = await rig("start", "XMRig", *at)
        assert code == 1
        assert "can be changed by others" in err


async def test_a_config_that_cannot_be_used_is_named(stage: RigStage) -> None:
    stage.config.write_text('[[programs]]\nsoftware_name = "XMRig"\nsha = "x"\n')
    code, _, err = await rig("run", "--config", stage.config)
    assert code == 2
    assert "programs.0.path: is missing" in err
    code, _, err = await rig("run", "--config", stage.folder / "none.toml")
    assert code == 2
    assert "copy rig.example.toml there" in err
