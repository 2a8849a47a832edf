"""A sweep of hard ends: the agent ends before and after every commit of its journal and every write to a device, one point
at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.demo.stage import SimulatedMiner
from contract.task import TaskName
from simulator.antminer.catalogue import MODELS
from simulator.antminer.firmware import build_bmu
from simulator.iceriver.firmware import build_image
from simulator.whatsminer.firmware import build_package
from tests.system.crashpoints.ends import HIT
from tests.system.crashpoints.lives import Lives, lives_of
from tests.system.site import Site, open_site
from tests.system.witness import shown

SIDES = (
    ("commit", "before"),
    ("commit", "after"),
    ("write", "before"),
    ("write", "sent"),
    ("write", "after"),
)
MOST = 40  # no scenario has so many points; a sweep that gets here never ends
QUIET: dict[str, dict[str, Any]] = {"telemetry": {"enabled": False}, "log": {"level": "warning"}}
# No scan finds a rig: the cloud hears of it by its readings.
_OF_RIGS = QUIET | {"telemetry": {"interval_s": 5}}
_VERSIONS = ("Tue Jun  3 18:55:45 CST 2025", "Wed Jul  2 18:55:45 CST 2025")
_WHATSMINER_VERSIONS = ("20260603.12.REL", "20260702.12.REL")
_ICERIVER_BUILDS = ("ICM168_3_2_11", "ICM168_3_2_12")
# A farm of each make: the newest kind, which alone gets new firmware, and another dialect.
MAKES = {
    "antminer": "antminer/s21:1,antminer/s9:1",
    "whatsminer": "whatsminer/m60s:1,whatsminer/m50s:1",
    "iceriver": "iceriver/ks5l:1,iceriver/ks3m:1",
    "rig": "rig/xmrig-and-lolminer:1",  # a program that is paused, one that its unit ends, two cards
}
SETTINGS_AND_LOOKS = (
    TaskName.LIGHT,
    TaskName.POOLS,
    TaskName.POWER_MODE,
    TaskName.MINING,
    TaskName.LOG,
)
ONE_SHOTS = (TaskName.REBOOT, TaskName.FIRMWARE)


class Scenario:
    """One kind of task, wished for again each time it runs."""

    def __init__(self, site: Site, name: TaskName) -> None:
        self._site = site
        self._name = name
        self._turn = 0

    async def order(self) -> str:
        """Create the batch; give its id."""
        self._turn += 1
        return await self._site.order(self._name, self._miners(), self._params())

    def _miners(self) -> list[SimulatedMiner]:
        if self._name is TaskName.FIRMWARE:
            return [each for each in self._site.miners if each.key in ("s21", "m60s", "ks5l")]
        if self._name in (TaskName.POWER_MODE, TaskName.MINING):
            return [each for each in self._site.miners if each.key != "s9"]
        if self._name is TaskName.POWER_LIMIT:
            # The one that takes a percentage without a restart, whose ramp would have to be waited for.
            return [each for each in self._site.miners if each.key == "m50s" or each.make == "rig"]
        return list(self._site.miners)

    def _params(self) -> dict[str, Any] | None:
        odd = bool(self._turn % 2)
        if self._name is TaskName.LIGHT:
            return {"action": "on" if odd else "off"}
        if self._name is TaskName.POWER_MODE:
            return {"mode": self._other_mode if odd else "normal"}
        if self._name is TaskName.MINING:
            return {"action": "off" if odd else "on"}
        if self._name is TaskName.POWER_LIMIT:
            return {"percent": 60 if odd else 90}
        if self._name is TaskName.POOLS:
            url = f"stratum+tcp://pool{self._turn}.example.com:3333"
            return {"pools": [{"url": url, "user": "farm.{ip4}"}]}
        if self._name is TaskName.REBOOT:
            return {"force": True}
        if self._name is TaskName.FIRMWARE:
            name, image = self._image()
            (self._site.stage.firmware / name).write_bytes(image)
            return {"firmware_url": f"{self._site.images_url}/{name}"}
        return None

    @property
    def _make(self) -> str:
        return self._site.miners[0].make

    @property
    def _other_mode(self) -> str:
        return "low" if self._make == "whatsminer" else "sleep"

    def _image(self) -> tuple[str, bytes]:
        """The file of this turn: its name and its bytes."""
        odd = self._turn % 2
        if self._make == "whatsminer":
            return f"turn{self._turn}.bin", build_package("h616", _WHATSMINER_VERSIONS[odd])
        if self._make == "iceriver":
            return f"ks5l-turn{self._turn}.bgz", build_image("KS5L", _ICERIVER_BUILDS[odd])
        model = MODELS["s21"]
        image = build_bmu(model.name, model.subtype, _VERSIONS[odd])
        return f"turn{self._turn}.bmu", image


async def crash_at(
    site: Site, lives: Lives, scenario: Scenario, place: str, side: str, nth: int
) -> bool:
    """One task, an agent that ends at that point, another that takes over. False: the task ended before the point."""
    await lives.end()
    batch_id = await scenario.order()
    await lives.begin(place, side, nth)

    async def over() -> str | None:
        if lives.exit_code is not None:
            return "crashed"
        # The last point is the acknowledgement of the outcome, which comes after the cloud shows it.
        batch = await site.operator.batch(batch_id)
        if batch["status"] == "pending":
            return None
        return "done" if all(row.state == "reported" for row in site.rows()) else None

    how = await site.until(over, f"{place} {side} {nth}", every_s=0.02)
    if how == "crashed":
        assert lives.exit_code == HIT, site.stage.agent.last_words()
        await lives.begin()
    await site.ended(batch_id)
    return bool(how == "crashed")


async def sweep(
    make: str, name: TaskName, folder: Path, base: str, tell: Callable[[str], None]
) -> None:
    """Every point of one kind of task on one make. Fails when the checker finds anything wrong."""
    async with (
        open_site(
            folder,
            makes=MAKES[make],
            base=base,
            time_scale=60.0,
            settings=_OF_RIGS if make == "rig" else QUIET,
        ) as site,
        lives_of(site) as lives,
    ):
        scenario = Scenario(site, name)
        points: Counter[str] = Counter()
        for place, side in SIDES:
            if place == "write" and name is TaskName.LOG:
                continue  # a look writes nothing
            nth = 1
            while await crash_at(site, lives, scenario, place, side, nth):
                points[f"{place} {side}"] += 1
                nth += 1
                assert nth < MOST
        seen = []
        for batch in await site.operator.batches():
            tasks = await site.operator.tasks(batch["batch_id"])
            seen += shown(batch["batch_id"], batch["task_name"], tasks)
        figures = await site.verdict(seen)
        where = ", ".join(f"{point} {count}" for point, count in sorted(points.items()))
        tell(figures.table(f"crash points of {name} on {make}s: {where}"))
        assert figures.wrongs == 0, figures.findings
        assert points["commit before"] >= 3 and points["commit after"] >= 3
        if name is not TaskName.LOG:
            assert all(points[f"write {side}"] for side in ("before", "sent", "after"))
