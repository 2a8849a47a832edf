"""`miner-cloud firmware`, as a person and as a script use it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud.cli import firmware
from cloud.cli.commands import app
from tests.cloud.conftest import Cloud
from tests.cloud.firmware.shelf import DATA, IMAGE, SHA, miner, shelf_of

FOR: tuple[str, ...] = ("--name", IMAGE["name"], "--make", "bitmain", "--model", "S19*")


async def run(cloud: Cloud, *words: object, status: int = 0) -> tuple[str, str]:
    """Beside the cloud that the test serves: a command has a loop of its own."""
    env = {"MINER_CLOUD_URL": cloud.base, "MINER_CLOUD_KEY": cloud.key}
    texts = ["firmware", *map(str, words)]
    done = await asyncio.to_thread(CliRunner().invoke, app, texts, env=env)
    assert done.exit_code == status, (done.output, done.exception)
    # the cloud of the test logs to where the command writes
    lines = [each for each in done.stdout.splitlines(keepends=True) if "[info " not in each]
    return "".join(lines), done.stderr


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "an image (1).bmu"
    path.write_bytes(DATA)
    return path


async def test_an_image_is_added_in_pieces_listed_shown_ordered_and_removed(
    cloud: Cloud, image: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(firmware, "_PIECE", 100_000)
    out, _ = await run(cloud, "add", image, *FOR, "--model", "T19", "--version", "2025.03")
    assert out == f"firmware s19-2025 is in the library: {len(DATA)} bytes, sha256 {SHA}\n"
    out, _ = await run(cloud, "list")
    assert out.splitlines()[1].split()[:6] == [
        "s19-2025",
        "Bitmain",
        "S19*,",
        "T19",
        "2025.03",
        str(len(DATA)),
    ]
    out, _ = await run(cloud, "show", IMAGE["name"], "--json")
    assert json.loads(out)["file_name"] == image.name
    out, _ = await run(cloud, "show", IMAGE["name"])
    assert f"sha256: {SHA}" in out.splitlines()
    agent = await cloud.agent()
    await miner(cloud, agent.agent_id)
    words = ("--params", json.dumps({"firmware": IMAGE["name"]}), "--all", "--expect", "1")
    env = {"MINER_CLOUD_URL": cloud.base, "MINER_CLOUD_KEY": cloud.key}
    ordered = await asyncio.to_thread(
        CliRunner().invoke, app, ["task", "miner.firmware.update", *words], env=env
    )
    assert ordered.exit_code == 0, ordered.output
    (task,) = (await agent.claim())["tasks"]
    assert "/an_image_1_.bmu?expires=" in task["params"]["firmware_url"]
    _, err = await run(cloud, "remove", IMAGE["name"], status=1)
    assert "1 open tasks need s19-2025" in err
    path = f"/farms/{cloud.farm_id}/tasks/batches/{task['batch_id']}/cancel"
    await shelf_of(cloud).ask("POST", path)
    event = agent.event(task, "cancelled", cloud.clock.now(), result={"outcome": "not_done"})
    await agent.report(event)
    out, _ = await run(cloud, "remove", IMAGE["name"])
    assert out == "firmware s19-2025 is removed\n"


async def test_an_upload_that_broke_off_goes_on_and_a_whole_one_is_only_told(
    cloud: Cloud, image: Path
):
    shelf = shelf_of(cloud)
    await shelf.announce(file_name=image.name)
    await shelf.put(DATA[:1000], f"0-999/{len(DATA)}")
    for _ in range(2):
        out, _ = await run(cloud, "add", image, *FOR, "--json")
        told: dict[str, Any] = json.loads(out)
        assert (told["complete"], told["sha256"]) == (True, SHA)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("add", "/no/file", *FOR), 2, "/no/file cannot be read: no such file"),
        (("add", "/", *FOR), 2, "/ cannot be read: is a directory"),
        (("add", "{image}", "--name", "a", "--make", "Canaan", "--model", "a"), 1, "make: must be one of Bitmain"),
        (("add", "{empty}", *FOR), 1, "size_bytes: "),
        (("show", "nothing"), 1, "No image of this workspace is called so"),
        (("remove", "nothing"), 1, "No image of this workspace is called so"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_said(
    cloud: Cloud, image: Path, words: tuple[str, ...], status: int, said: str
):
    empty = image.with_name("empty")
    empty.touch()
    given = [word.format(image=image, empty=empty) for word in words]
    _, err = await run(cloud, *given, status=status)
    assert said in err
