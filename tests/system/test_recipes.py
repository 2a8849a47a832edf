"""The recipes of docs/recipes.md, typed into a shell as they stand there, on a mixed farm of 300 with its dead, its wrong
passwords and its firmware of others. What the commands say is compared with the ledger of the miners.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from agent.demo import mixed
from agent.demo.mixed import MixedFarm, open_mixed
from agent.demo.operator import Operator
from agent.demo.play import serve_images
from agent.demo.stage import Stage, set_stage
from contract.clock import SystemClock
from tests.pages import ROOT, sessions
from tests.system.test_console_blocks import typed
from tests.system.witness import Entry, read_ledger
from tests.waiting import until

PAGE: Final = ROOT / "docs" / "recipes.md"
MINERS: Final = 300
OF_THE_DEMO: Final = "127.77."
_GROUP: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
# What an order did to a miner, in the words of the ledger of each make.
_STOPS: Final = {"mode": ("sleep",), "power_off": None}


class Shell:
    """Types the recipes, and reads the ledger of what came of each."""

    def __init__(self, stage: Stage, farm: MixedFarm, images_url: str, folder: Path) -> None:
        self.stage = stage
        self.farm = farm
        self._images_url = images_url
        self._folder = folder
        self._typed = 0

    async def recipe(
        self, name: str, *, codes: Collection[int] = (0,), instead: Mapping[str, str] | None = None
    ) -> list[str]:
        """What each command of a recipe printed. The shell ends at the first that fails, with one of `codes`."""
        self._typed += 1
        folder = self._folder / f"{self._typed}-{name}"
        folder.mkdir()
        settings = (
            f"export MINER_CLOUD_URL={self.stage.cloud_url} MINER_CLOUD_KEY_FILE={self.farm.key_file} "
            f"DEMO={self.stage.folder} IMAGES={self._images_url}"
        )
        network = self.stage.miners[0].ip.rsplit(".", 2)[0]
        commands = [settings, *sessions(PAGE)[name]]
        async with typed(
            commands, folder, {OF_THE_DEMO: f"{network}.", **(instead or {})}
        ) as result:
            assert result.code in codes, (name, result.errors, *result.answers)
            return list(result.answers[1:])

    def applied(self, after: int = 0) -> list[Entry]:
        """What was done to miners since that line of the ledger; not what a rig's program does, which ends by itself."""
        restless = {ip for ip, faults in self.farm.faults.items() if faults == ["program_dies"]}
        every = read_ledger(self.stage.ledger)[after:]
        return [each for each in every if each.changed and each.ip not in restless]

    @property
    def lines(self) -> int:
        return len(read_ledger(self.stage.ledger))


async def miners_of(stage: Stage) -> dict[str, dict[str, Any]]:
    """The miners of the cloud, by address."""
    async with Operator(stage) as operator:
        return {row["ip"]: row for row in await operator.miners()}


@pytest.mark.slow
async def test_eleven_errands_of_a_day(tmp_path: Path, tell: Callable[[str], None]) -> None:
    base = "127.88.0.1"
    makes = mixed.makes_of(MINERS)
    async with (
        set_stage(tmp_path, miners=MINERS, time_scale=60, makes=makes, base=base) as stage,
        serve_images(stage.firmware) as images_url,
    ):
        farm = await open_mixed(stage, SystemClock())
        shell = Shell(stage, farm, images_url, tmp_path / "typed")
        (tmp_path / "typed").mkdir()
        await _the_dead(shell)
        await _racks(shell)
        await _a_hall(shell, tell)
        await _firmware(shell, tell)
        await _pools(shell, tell)
        await _watts(shell, tell)
        await _maintenance(shell)
        await _export(shell)
        await _who(shell)
        await _rigs(shell)
        await _noon(shell)
        await _update(shell)


async def _the_dead(shell: Shell) -> None:
    dead = {ip for ip, faults in shell.farm.faults.items() if faults == ["dead"]}
    assert len(dead) >= 5

    async def are_seen() -> bool:
        rows = await miners_of(shell.stage)
        return all(rows[ip]["status"] == "offline" for ip in dead)

    await until(are_seen, within_s=90, every_s=0.5)
    (listed,) = await shell.recipe("dead")
    assert set(re.findall(r"127\.\d+\.\d+\.\d+", listed)) >= dead
    assert shell.applied() == []


async def _racks(shell: Shell) -> None:
    preview, _ = await shell.recipe("racks")
    assert "300" in preview
    rows = await miners_of(shell.stage)
    with shell.farm.racks.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            told = rows[row["ip"]]
            place = (told["hall"], told["rack"], str(told["position"]))
            assert place == (row["hall"], row["rack"], row["position"])


async def _a_hall(shell: Shell, tell: Callable[[str], None]) -> None:
    before = shell.lines
    dry, said = await shell.recipe("hall-off", codes=(1,))
    assert "108 get a task" in dry
    assert "auth_failed" in said
    done = shell.applied(before)
    stopped = {each.ip for each in done if _stops(each)}
    rigs = {each.ip for each in shell.stage.rigs}
    assert len(stopped & rigs) == len(rigs) - 1, "all but the one whose program is gone"
    places = {ip: row["hall"] for ip, row in (await miners_of(shell.stage)).items()}
    assert {places[ip] for ip in stopped} == {"B"}
    assert len(stopped) > 95
    before = shell.lines
    await shell.recipe("hall-on", codes=(0, 1, 3))
    started = {each.ip for each in shell.applied(before) if _starts(each)}
    assert started == stopped
    tell(f"hall B: {len(stopped)} miners stopped and started again")


def _stops(each: Entry) -> bool:
    return each.action in ("power_off", "pause", "stop") or (
        each.action == "mode" and each.after.get("mode") == "sleep"
    )


def _starts(each: Entry) -> bool:
    return each.action in ("power_on", "resume", "start") or (
        each.action == "mode" and each.before.get("mode") == "sleep"
    )


async def _firmware(shell: Shell, tell: Callable[[str], None]) -> None:
    before = shell.lines
    await shell.recipe("firmware")
    flashed = [each for each in shell.applied(before) if each.action == "firmware"]
    models = {miner.ip: miner.model for miner in shell.stage.miners}
    assert {models[each.ip] for each in flashed} == {"Antminer S21"}
    assert len({each.ip for each in flashed}) == len(flashed) > 5
    first = sorted(each.t for each in flashed)
    tell(f"firmware: {len(flashed)} flashed once each, the sixth {first[5] - first[4]:.1f} s after")


async def _pools(shell: Shell, tell: Callable[[str], None]) -> None:
    before = shell.lines
    said, _ = await shell.recipe("pools")
    group = _GROUP.search(said)
    assert group is not None, said
    changed = {each.ip: each.before for each in shell.applied(before) if each.action == "pools"}
    assert len(changed) > 15
    undone = shell.lines
    await shell.recipe("undo", instead={"GROUP": group[0]})
    restored = {each.ip: each.after for each in shell.applied(undone) if each.action == "pools"}
    assert restored == changed
    tell(f"pools: {len(changed)} miners changed and put back")


async def _watts(shell: Shell, tell: Callable[[str], None]) -> None:
    before = shell.lines
    (said,) = await shell.recipe("watts", codes=(0, 1))
    assert "unsupported_mode" in said
    limited = [each for each in shell.applied(before) if each.action == "power_percent"]
    assert {each.after["power_percent"] for each in limited} == {90}
    assert len({each.ip for each in limited}) == len(limited) > 20
    tell(f"watts: {len(limited)} WhatsMiners take ten percent less")


async def _maintenance(shell: Shell) -> None:
    before = shell.lines
    _, light, _ = await shell.recipe("maintenance")
    assert "maintenance" in light
    assert shell.applied(before) == []


async def _export(shell: Shell) -> None:
    await shell.recipe("export")
    text = (shell.stage.folder / "farm.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["ip"] for row in rows} == set(await miners_of(shell.stage))
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


async def _who(shell: Shell) -> None:
    before = shell.lines
    _, said = await shell.recipe("who")
    assert "miner.system.reboot" in said
    assert "demo" in said  # the name of the key
    (reboot,) = [each for each in shell.applied(before) if each.action == "reboot"]
    assert reboot.ip.endswith(".0.5")


async def _rigs(shell: Shell) -> None:
    """What is wrong with two of them is told of them, as of any miner."""
    told = {"gpu_falls_off": "gpu_lost", "program_dies": "program_away"}
    wanted = {ip: told[faults[0]] for ip, faults in shell.farm.faults.items() if faults[0] in told}
    assert len(wanted) == 2

    async def is_told() -> bool:
        rows = await miners_of(shell.stage)
        return all(
            code in [each["code"] for each in rows[ip]["errors"]] for ip, code in wanted.items()
        )

    await until(is_told, within_s=90, every_s=0.5)


async def _noon(shell: Shell) -> None:
    (said,) = await shell.recipe("noon", codes=(1,))
    dead = sum(faults == ["dead"] for faults in shell.farm.faults.values())
    assert f"{dead} unreachable" in said
    assert "does not answer" in said


async def _update(shell: Shell) -> None:
    (shown,) = await shell.recipe("update")
    assert "1 agent is meant, 1 is skipped" in shown
    assert "no release of its own" in shown
