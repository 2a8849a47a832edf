"""A scripted day in simulated time: the monitor flaps, is away, forgets codes and comes back; the miners do exactly what
was wished of them, and nothing for the faults.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from simulator.farm import Farm
from tests.agent.rigmonitor.stage import agent_on, codes_for, farm_of, monitor_config
from tests.agent.rigmonitor.strict_server import Machine, StrictServer, strict_server
from tests.virtual_time import VirtualClock, run_virtually

HOUR = 3600.0
MINUTE = 60.0


class Noted(list[dict[str, Any]]):
    """The entries of a ledger; `note` sees each of them the moment it is written."""

    def __init__(self, note: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._note = note

    def append(self, entry: dict[str, Any]) -> None:
        super().append(entry)
        self._note(entry)


class Day:
    """Its stage: three miners by name, the monitor's machine of each, and the ledger by virtual time."""

    def __init__(self, farm: Farm, server: StrictServer, machines: list[Machine]) -> None:
        self.farm = farm
        self.server = server
        self.ant, self.whats, self.ice = machines
        self.clock = VirtualClock()
        self.began = asyncio.get_running_loop().time()
        self.deeds: list[tuple[float, str, str, dict[str, Any]]] = []
        self.tasks: list[dict[str, Any]] = []  # of the journal, at the end
        names = dict(zip((each.ip for each in farm), ("ant", "whats", "ice"), strict=True))

        def note(entry: dict[str, Any]) -> None:
            if entry["phase"] == "applied":
                name = names[entry["ip"]]
                self.deeds.append((self.at, name, entry["action"], entry["after"]))

        farm.ledger.entries = Noted(note)

    @property
    def at(self) -> float:
        """Seconds since the day began."""
        return asyncio.get_running_loop().time() - self.began

    async def until(self, hour: float) -> None:
        await self.clock.sleep(hour * HOUR - self.at)


async def on_stage(
    tmp_path: Path,
    script: Callable[[Day], Awaitable[None]],
    *,
    ports: dict[str, int] | None = None,
    **settings: Any,
) -> Day:
    async with (
        farm_of("antminer/s21:1,whatsminer:1,iceriver/ks5l:1", time_scale=1.0, ports=ports) as farm,
        strict_server() as server,
    ):
        _, codes = codes_for(farm, tmp_path)
        day = Day(farm, server, [server.add(codes[device.ip]) for device in farm.miners])
        config = monitor_config(
            farm,
            tmp_path,
            server.url,
            device_pace=1.0,
            telemetry={"interval_s": 60.0},
            **{"log_every_s": 60.0, "expected_every_s": 30.0, "power_gap_s": 300.0} | settings,
        )
        async with agent_on(farm, config, day.clock) as agent:
            await script(day)
            day.tasks = agent.tasks
        return day


Deed = tuple[str, str, dict[str, Any]]
ANT_OFF: Deed = ("ant", "mode", {"mode": "1"})
ANT_ON: Deed = ("ant", "mode", {"mode": "0"})
ANT_LIGHT: Deed = ("ant", "light", {"on": True})
ANT_DARK: Deed = ("ant", "light", {"on": False})
ICE_OFF: Deed = ("ice", "mode", {"mode": "sleep"})
ICE_ON: Deed = ("ice", "mode", {"mode": "normal"})
ICE_LIGHT: Deed = ("ice", "light", {"on": True})
ICE_DARK: Deed = ("ice", "light", {"on": False})
WHATS_OFF: Deed = ("whats", "power_off", {"mining": False})
WHATS_ON: Deed = ("whats", "power_on", {"mining": True})
WHATS_LIGHT: Deed = ("whats", "light", {"on": True})
WHATS_DARK: Deed = ("whats", "light", {"on": False})


def deeds(day: Day) -> list[Deed]:
    return [(name, action, after) for _, name, action, after in day.deeds]


def test_an_hour_in_which_the_monitor_is_away_for_a_while(tmp_path: Path) -> None:
    async def script(day: Day) -> None:
        await day.until(0.2)
        assert day.deeds == []
        day.ant.asic, day.whats.light = "off", "on"
        await day.until(0.4)
        assert sorted(deeds(day), key=str) == sorted([ANT_OFF, WHATS_LIGHT], key=str)
        day.server.mood = "away"
        day.whats.asic = "off"
        await day.until(0.6)
        day.whats.asic, day.server.mood = "on", "well"
        await day.until(0.7)
        assert len(day.deeds) == 2
        day.ant.asic, day.whats.light = "on", "off"
        await day.until(1.0)

    day = run_virtually(on_stage(tmp_path, script))
    assert sorted(deeds(day)[2:], key=str) == sorted([ANT_ON, WHATS_DARK], key=str)
    assert [task["status"] for task in day.tasks] == ["succeed"] * 4
    assert day.server.faults == []


@pytest.mark.slow
def test_a_day_of_flaps_and_faults_leaves_exactly_the_wished_transitions(tmp_path: Path) -> None:
    wanted: list[tuple[float, float, Deed]] = []  # between which hours, and what

    def expect(hour: float, *what: Deed, within: float = 10 * MINUTE) -> None:
        wanted.extend((hour, hour + within / HOUR, each) for each in what)

    async def script(day: Day) -> None:
        ant, whats, ice, server = day.ant, day.whats, day.ice, day.server
        flips = [itertools.cycle(["off", "on"]) for _ in range(4)]

        await day.until(1)  # off, and on again an hour later
        ant.asic, whats.asic, ice.asic, ice.light = "off", "off", "off", "on"
        expect(1, ANT_OFF, WHATS_OFF, ICE_OFF, ICE_LIGHT)
        await day.until(2)
        told = len(ant.logs), len(whats.logs)
        await day.until(2.2)
        assert (len(ant.logs), len(whats.logs)) == told  # asleep: silence, not zeros
        ant.asic, whats.asic, ice.asic, ice.light = "on", "on", "on", "off"
        expect(2.2, ANT_ON, WHATS_ON, ICE_ON, ICE_DARK, within=25 * MINUTE)

        await day.until(3)  # each poll says the opposite of the one before
        ant.asic, whats.asic, ice.asic, whats.light = (partial(next, flip) for flip in flips)
        expect(3, WHATS_LIGHT)  # a light goes on at once, and off only when two polls say so
        await day.until(3.5)
        ant.asic, whats.asic, ice.asic, whats.light = "on", "on", "on", "on"
        await day.until(3.6)
        whats.light = "off"
        expect(3.6, WHATS_DARK)

        await day.until(4)  # away for hours, in four ways, while its operator changes his mind
        server.mood = "away"
        ant.asic, whats.asic, ice.asic, whats.light = "off", "off", "off", "on"
        await day.until(6)
        server.mood = "hanging"
        await day.until(7)
        server.mood = "html"
        await day.until(7.5)
        server.mood = "wrong"
        await day.until(8)
        ant.asic, whats.asic, ice.asic = "on", "on", "on"
        server.mood = "well"
        expect(8, WHATS_LIGHT)  # the one wish that was left
        await day.until(8.5)
        assert ant.logs
        assert ant.log_times[-1] - day.began > 8.3 * HOUR
        gap = max(b - a for a, b in itertools.pairwise(ant.log_times))
        assert gap > 3.9 * HOUR
        late = [at for at in ant.log_times if at - day.began > 8 * HOUR]
        assert len(late) <= 32  # nothing old was told when it came back

        await day.until(9)  # every code unknown for an hour; the bulk call goes on answering
        specs = len(ant.specs), len(whats.specs)
        asked = server.replies["logs", 401]
        server.mood = "refusing"
        await day.until(9.1)
        ant.asic, whats.asic, ice.asic, ice.light = "off", "off", "off", "on"
        await day.until(9.9)
        ant.asic, whats.asic, ice.asic, ice.light = "on", "on", "on", "off"
        await day.until(10)
        refused = sum(n for (_, status), n in server.replies.items() if status == 401)
        assert refused - asked <= 3 * 8  # asked again every ten minutes, not every minute
        server.mood = "well"
        await day.until(10.5)
        assert (len(ant.specs), len(whats.specs)) == (specs[0] + 1, specs[1] + 1)

        await day.until(11)  # off, and on again too soon: the gap is kept
        ant.asic = "off"
        expect(11, ANT_OFF)
        await day.until(11 + 2 / 60)
        ant.asic = "on"
        expect(11 + 5 / 60, ANT_ON, within=25 * MINUTE)

        await day.until(12)  # its machine is gone from the monitor, then says what is no wish
        del server.machines[ant.code]
        ant.asic = "off"
        await day.until(13)
        for strange in (None, "ON", "OFF", 0, 1, "", ["off"]):
            ant.asic, ant.light = strange, strange
            server.machines[ant.code] = ant
            await day.clock.sleep(5 * MINUTE)
        ant.asic, ant.light = "on", "off"

        await day.until(14)  # a miner that loses its light by a restart is given it again
        ant.light = "on"
        expect(14, ANT_LIGHT)
        await day.until(14.5)
        miner: Any = day.farm.miners[0]
        miner.power_cycle()
        expect(14.5, ("ant", "reboot", {"boot": 2}))
        expect(14.5, ANT_LIGHT, within=25 * MINUTE)
        await day.until(15.5)
        ant.light = "off"
        expect(15.5, ANT_DARK)

        await day.until(16)  # a miner that cannot be reached is left alone, and seen to afterwards
        whats.asic = "off"
        expect(16, WHATS_OFF)
        await day.until(17)
        day.farm.miners[1].faults.replace(["dead"])
        whats.asic = "on"
        await day.until(18)
        day.farm.miners[1].faults.replace([])
        expect(18, WHATS_ON, within=25 * MINUTE)
        await day.until(24)

    day = run_virtually(on_stage(tmp_path, script))
    found = list(day.deeds)
    for begin, end, deed in wanted:
        match = next(
            (each for each in found if each[1:] == deed and begin * HOUR <= each[0] <= end * HOUR),
            None,
        )
        assert match is not None, (begin, deed, [(round(e[0] / HOUR, 2), *e[1:]) for e in found])
        found.remove(match)
    assert found == [], "done by nobody's wish"
    failed = [task for task in day.tasks if task["status"] != "succeed"]
    assert len(failed) <= 1, failed  # for the miner that died between a reading and a poll
    assert all("unreachable" in task["result"] for task in failed)
    assert {task["origin"] for task in day.tasks} == {"rigmonitor"}
    assert day.server.faults == []
    assert set(day.server.most_at_once.values()) == {1}


def test_a_meter_that_is_asked_now_and_then_is_enough_for_every_report(tmp_path: Path) -> None:
    async def script(day: Day) -> None:
        await day.until(1.0)

    day = run_virtually(on_stage(tmp_path, script, ports={"power": 6060}, default_power_w=None))
    assert len(day.ant.logs) > 50
    assert all(3000 <= log["power"] <= 4000 for log in day.ant.logs), "measured, never invented"
    assert day.ice.logs == [], "it measures none, and nobody said what it takes"
    assert day.server.faults == []
