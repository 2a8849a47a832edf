"""The commands of the operators' guide, run by curl itself."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

COMMANDS = dict(
    re.findall(
        r"^# --- (.+?)\n(.+?)(?=^# ---|\Z)",
        (Path(__file__).parent / "guide.curl").read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)
SHAPES = {
    "tasks of a miner": "ListMinerTasks",
    "tasks of a miner, by bearer": "ListMinerTasks",
    "search batches": "SearchTaskBatches",
}


async def run(stage: Any, name: str) -> Any:
    swaps = {
        "https://api.nonce.app": stage.url,
        "YOUR_API_KEY": stage.key,
        "{workspace_id}": stage.workspace,
        "{farm_id}": stage.farm,
        "{miner_id}": stage.miners[1],
        "miner-id-1": stage.miners[1],
        "miner-id-2": stage.miners[2],
    }
    command = COMMANDS[name]
    for old, new in swaps.items():
        command = command.replace(old, new)
    curl = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command.replace("curl ", "curl --silent --show-error --fail-with-body --noproxy '*' ", 1),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await curl.communicate()
    assert curl.returncode == 0, (out, err)
    return json.loads(out)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("name", COMMANDS)
async def test_each_command_of_the_guide_answers_as_documented(
    stage: Any, published: dict[str, Any], name: str
) -> None:
    body = await run(stage, name)
    shape = SHAPES.get(name, "CreateTaskBatch")
    jsonschema.Draft202012Validator(published[shape]["output"]).validate(body)
    assert body["success"] is True
    assert body["error"] is None
    if shape == "CreateTaskBatch":
        asked = json.loads(re.search(r"-d '(.+?)'$", COMMANDS[name], re.DOTALL | re.MULTILINE)[1])  # type: ignore[index]
        assert body["data"][0]["task_name"] == asked["task_name"]
        assert body["data"][0]["task_count"] == len(asked.get("miner_ids", ["the agent"]))
        assert body["data"][0]["task_params"] == asked.get("params")
        assert body["meta"]["summary"]["skipped_count"] == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_guides_example_of_a_skip_is_answered_with_the_reason(
    stage: Any, readings: Any
) -> None:
    from contract.miner import PowerMode, Slow

    stage.clock.forward(1)
    await stage.look_at(readings.healthy(2, slow=Slow(mode=PowerMode.LOW)))
    body = await run(stage, "power mode")
    assert body["meta"] == {
        "summary": {"created_count": 1, "skipped_count": 1},
        "skipped": [
            {
                "reason": "no_change",
                "message": "Task skipped: miner already in requested mode",
                "miner_ids": [stage.miners[2]],
            }
        ],
    }
