"""Orders of many miners at once, as an operator with a seeded mind gives them: by what is true of the miners, first shown,
then ordered with the count that was shown, some of them with a few that go first; and what is done about them later.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.demo.operator import DeclinedError, Operator
from contract.task import TaskName

Batches = dict[str, int]  # batch id -> how many tasks the cloud said it has
RACK_OF: Final = 5  # miners in each
_CONFLICT: Final = 409
_GONE: Final = 404
_SAVED: Final = "half"
_LIMITED: Final = ("whatsminer", "rig")
_UNDONE: Final = (
    TaskName.LIGHT,
    TaskName.POOLS,
    TaskName.POWER_MODE,
    TaskName.MINING,
    TaskName.POWER_LIMIT,
)


class Groups:
    """`ordered` says how many orders were answered, of `refused` that the miners had become more or fewer."""

    def __init__(self, operator: Operator, ips: Sequence[str], *, seed: int) -> None:
        self.ordered = 0
        self.refused = 0
        self._operator = operator
        self._ips = ips
        self._random = random.Random(seed)
        self._watched: dict[str, str] = {}  # of groups that have not ended: id -> name of the task
        self._racks = [f"A{number}" for number in range(-(-len(ips) // RACK_OF))]

    async def prepare(self) -> None:
        """Say where every miner stands, and keep a selection; as often as one likes."""
        updates = [
            {"miner": ip, "rack": self._racks[index // RACK_OF], "position": index % RACK_OF}
            for index, ip in enumerate(self._ips)
        ]
        await self._operator.ask("POST", "/miners/places", json={"updates": updates})
        filters = {"rack": {"in": self._racks[: max(1, len(self._racks) // 2)]}}
        kept = {"name": _SAVED, "filters": filters, "replace": True}
        await self._operator.ask("POST", "/selections", json=kept)

    async def create(self, name: TaskName, params: Mapping[str, Any] | None) -> Batches:
        """Order a task for a selection. Nothing where every miner is skipped, or where the cloud now finds another
        number of them than it showed.
        """
        selection = self._selection(name, params or {})
        pick, order = self._random, {"task_name": name, "selection": selection}
        if params is not None:
            order["params"] = dict(params)
        if pick.random() < 0.6:
            order["canary"] = pick.choice((1, 1, 2))
        shown = await self._operator.ask("POST", "/tasks/batches", json={**order, "dry_run": True})
        count: Any = shown["data"]["count"]
        if pick.random() < 0.3:
            count = {"count": count, "within_percent": 10.0}
        try:
            return await self._order("/tasks/batches", {**order, "expect_count": count})
        except DeclinedError as error:
            if error.status != _CONFLICT:
                raise
            self.refused += 1
            return {}

    async def decide(self, *, of_all: bool = False) -> Batches:
        """Look at the groups that have not ended: let go or call off what waits for a proof that will not come, now and
        then also what is under way; and of one that has ended, do again what failed or put back what was done. Gives
        the batches that this made. `of_all`: of all the farm, those whose answer was lost among them, let go or call
        off whatever waits, so that everything ends; no more.
        """
        if of_all:
            listed = await self._operator.ask("GET", "/tasks/groups?pageSize=10000")
            self._watched = {
                each["group_id"]: each["task_name"] for each in listed["data"] if _is_open(each)
            }
        made: Batches = {}
        for group_id, name in list(self._watched.items()):
            try:
                made |= await self._decide_on(group_id, TaskName(name), is_last=of_all)
            except DeclinedError as error:
                if error.status == _GONE:  # the database was put back to before it
                    del self._watched[group_id]
                elif error.status != _CONFLICT:  # it ended meanwhile
                    raise
        return made

    async def _decide_on(self, group_id: str, name: TaskName, *, is_last: bool) -> Batches:
        pick, at = self._random, f"/tasks/groups/{group_id}"
        told = (await self._operator.ask("GET", at))["data"]
        group, canary = told["group"], told["canary"]
        if _is_open(group):
            is_stuck = bool(group["held_count"]) and (is_last or canary["state"] == "failed")
            if is_stuck or (not is_last and pick.random() < 0.01):
                ways = ["release"] * 2 if group["held_count"] else []
                await self._operator.ask("POST", f"{at}/{pick.choice([*ways, 'cancel'])}")
            return {}
        del self._watched[group_id]
        if is_last or pick.random() < 0.5:
            return {}
        if group["failed_count"] + group["timed_out_count"] and pick.random() < 0.5:
            return await self._order(f"{at}/retry", {})
        if name not in _UNDONE or not group["succeed_count"]:
            return {}
        shown = await self._operator.ask("POST", f"{at}/undo", json={"dry_run": True})
        pools = [each.partition(" (user")[0] for each in shown["data"]["passwords_needed"]]
        return await self._order(f"{at}/undo", {"passwords": dict.fromkeys(pools, "x")})

    async def _order(self, path: str, body: Mapping[str, Any]) -> Batches:
        reply = await self._operator.ask("POST", path, json=body)
        made = {each["batch_id"]: each["task_count"] for each in reply["data"]}
        assert sum(made.values()) == reply["meta"]["summary"]["created_count"], reply["meta"]
        if made:
            self.ordered += 1
            self._watched[reply["meta"]["group_id"]] = reply["data"][0]["task_name"]
        return made

    def _selection(self, name: TaskName, params: Mapping[str, Any]) -> dict[str, Any]:
        pick = self._random
        if name is TaskName.POWER_LIMIT:
            # Of so many watts a rig of some cards and a WhatsMiner do not speak alike.
            makes = ["whatsminer"] if isinstance(params.get("watts"), int) else _LIMITED
            return {"make": {"eq": pick.choice(makes)}}
        rack = {"rack": {"eq": pick.choice(self._racks)}}
        return pick.choice(
            (
                rack,
                rack,
                {**rack, "make": {"eq": "antminer"}},
                {"model": {"like": ["*S19*"]}, "rack": {"in": pick.sample(self._racks, 1)}},
                {"saved": _SAVED, "make": {"eq": pick.choice(("whatsminer", "iceriver"))}},
                {"make": {"eq": "rig"}},  # who refuse what they have not
            )
        )


def _is_open(group: Mapping[str, Any]) -> bool:
    return group["status"] == "pending"
