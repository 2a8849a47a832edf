"""A whole agent, its cloud, and simulated miners that are taken apart while it reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from cloud.store.engine import sqlite_url
from cloud.store.schema.migrate import migrate
from contract.clock import SystemClock
from simulator.farm import Farm
from simulator.miner import Miner
from tests.agent.onfarm import config_for, free_base
from tests.cloud.on_site import Desk, enrolled, running, serving
from tests.waiting import until

PACE = 200.0


class Ahead(SystemClock):
    """The host's clock, and as many seconds as a test does not want to wait."""

    ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)


@dataclass
class Repair:
    """What a person at the cloud sees of a farm whose miners are repaired."""

    farm: Farm
    clock: Ahead
    desk: Desk

    async def listed(self) -> list[Any]:
        found: list[Any] = await self.desk.ask("GET", "miner/latest?pageSize=100")
        return found

    async def by_mac(self) -> dict[str, Any]:
        return {each["mac"]: each for each in await self.listed()}

    async def show(self, *miners: Miner) -> dict[str, str]:
        """Ids by MAC, once these are shown with the hashboards that they have."""
        macs: dict[str, str] = {}

        async def is_shown() -> bool:
            found = await self.by_mac()
            macs.update({mac: each["id"] for mac, each in found.items()})
            return all(
                (item := found.get(miner.mac)) is not None
                and [each["serial_number"] for each in item["hashboards"]] == miner.board_serials
                for miner in miners
            )

        await until(is_shown, within_s=60, every_s=0.1)
        return macs

    async def open_proposals(self, number: int) -> list[Any]:
        """Once there are so many, and nothing speaks against them."""
        found: list[Any] = []

        async def are_there() -> bool:
            found[:] = await self.desk.ask("GET", "miner-proposals?status=open")
            return len(found) == number and not any(each["doubts"] for each in found)

        await until(are_there, within_s=60, every_s=0.1)
        return found


@asynccontextmanager
async def repaired(specs: str, folder: Path) -> AsyncIterator[Repair]:
    """A farm that an agent reads every second, in a cloud, until left."""
    data, state = folder / "cloud", folder / "agent"
    data.mkdir()
    state.mkdir()
    migrate(sqlite_url(data))
    clock = Ahead()
    async with (
        await Farm.start(specs, base=free_base(), time_scale=PACE) as farm,
        serving(data, clock=clock) as (store, base),
        aiohttp.ClientSession() as http,
    ):
        desk = await enrolled(store, base, http, state)
        config = config_for(
            farm,
            cloud={"url": base},
            state={"dir": str(state)},
            telemetry={
                "interval_s": 1.0,
                "min_interval_s": 0.2,
                "slow_every_polls": 2,
                "backoff_max_s": 1.0,
                "batch_wait_s": 0.0,
            },
        )
        config = config.model_copy(
            update={"miners": config.miners.model_copy(update={"device_pace": PACE})}
        )
        async with running(config):
            yield Repair(farm, clock, desk)


def miners_of(farm: Farm) -> list[Miner]:
    return [each for each in farm.miners if isinstance(each, Miner)]


async def test_what_is_repaired_keeps_its_record(tmp_path: Path) -> None:
    """Two control boards change places, and one is replaced by a new one."""
    async with repaired("antminer/s21:3,whatsminer/m60s:1", tmp_path) as repair:
        one, two, three, bystander = miners_of(repair.farm)
        before = await repair.show(one, two, three, bystander)
        old = three.mac
        cases = {before[each.mac]: list(each.board_serials) for each in (one, two, three)}
        one.exchange_control_boards(two)
        three.replace_control_board(mac="02:5E:00:00:00:99", serial="NEWCTRL0001")
        await repair.show(one, two, three, bystander)
        repair.clock.ahead_s = 120.0  # nobody has read the MAC that is gone for so long
        proposals = await repair.open_proposals(3)
        pairs = {each["asset"]["id"]: each for each in proposals}
        assert pairs.keys() == set(cases)
        assert pairs[before[one.mac]]["found"]["id"] == before[two.mac]
        assert pairs[before[old]]["found"]["mac"] == three.mac
        for asset in (before[one.mac], before[old]):
            await repair.desk.ask("POST", f"miner-proposals/{pairs[asset]['id']}/confirm")
        after = await repair.by_mac()
        assert {mac: each["id"] for mac, each in after.items()} == {
            one.mac: before[two.mac],
            two.mac: before[one.mac],
            three.mac: before[old],
            bystander.mac: before[bystander.mac],
        }
        for each in after.values():
            serials = [board["serial_number"] for board in each["hashboards"]]
            assert serials == cases.get(each["id"], bystander.board_serials)
        # The readings that follow are those of the records that were joined.
        assert await repair.show(one, two, three, bystander) == {
            mac: each["id"] for mac, each in after.items()
        }
        # No hashboard ever left its case.
        for device, case in ((one, two), (two, one)):
            (board,) = await repair.desk.ask("GET", f"parts/{device.board_serials[0]}")
            assert [each["miner_id"] for each in board["places"]] == [before[case.mac]]


async def test_a_copied_mac_and_a_control_board_in_another_case(tmp_path: Path) -> None:
    """The copy is shown at both addresses and joins nothing; a board that was moved takes the record of its new case."""
    async with repaired("antminer/s21:2,whatsminer/m60s:2", tmp_path) as repair:
        mover, into, original, copy = miners_of(repair.farm)
        before = await repair.show(mover, into, original, copy)
        copy.clone_mac(original)

        async def is_told() -> bool:
            shown = await repair.listed()
            twins = [each for each in shown if each["unstable_reason"] == "duplicate_mac"]
            return {each["ip"] for each in twins} == {original.ip, copy.ip}

        await until(is_told, within_s=60, every_s=0.1)
        at = {each["ip"]: each["id"] for each in await repair.listed()}
        assert at[original.ip] == before[original.mac]
        mover.move_control_board(into)
        await repair.show(mover)
        repair.clock.ahead_s = 120.0
        (proposal,) = await repair.open_proposals(1)
        assert proposal["asset"]["id"] == before[into.mac]
        assert proposal["found"]["id"] == before[mover.mac]
        await repair.desk.ask("POST", f"miner-proposals/{proposal['id']}/confirm")
        assert (await repair.show(mover))[mover.mac] == before[into.mac]
        (board,) = await repair.desk.ask("GET", f"parts/{original.board_serials[0]}")
        assert [each["miner_id"] for each in board["places"]] == [before[original.mac]]
