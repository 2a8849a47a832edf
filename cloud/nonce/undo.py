"""A new order made from what there was before an earlier one, as the evidence of its tasks tells it. Ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from cloud.context import STORE
from cloud.http.errors import ApiError, json_response
from cloud.http.rights import needs
from cloud.nonce import creation
from cloud.nonce.answers import one
from cloud.nonce.orders import BatchOrder, GroupOrder, Ordered
from cloud.nonce.planning import BatchRequest, Place, Skipped
from cloud.nonce.requests import batch_of, farm_of, group_of, named, read_body, takes
from cloud.nonce.tasks import is_unknown
from cloud.store.engine import Connection, chunks
from cloud.store.schema.rows import FarmRow
from cloud.store.tasks import groups, lookup
from cloud.store.tasks.batches import Counts
from contract.hiding import is_hidden
from contract.nonce.batches import MINERS_PER_BATCH
from contract.nonce.groups import UndoBody
from contract.nonce.sites import FARM
from contract.roles import Role
from contract.task import ParamsError, TaskName, TaskStatus, parse_params, stored_params

Facts = Mapping[str, Any]
_AWAKE: Final = ("low", "normal", "high")
# Work modes of AntMiners, of those whose running mode was not seen.
_NUMBERS: Final = {"0": "normal", "1": "sleep", "2": "low", "3": "low", "254": "sleep"}
_ANY_POOL: Final = "*"
_UNKNOWN: Final = "Task skipped: its evidence does not tell what there was before"


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """What puts one miner back."""

    name: str
    params: dict[str, Any] | None = None
    place: Place | None = None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """Of one task: its evidence, and what it was asked with."""

    before: Facts
    after: Facts
    asked: Facts


class Passwords:
    """Those of pools that the operator tells, by user, by url, or for all others under `*`."""

    def __init__(self, told: Mapping[str, str]) -> None:
        self._told = told
        self._lacking: dict[str, dict[str, None]] = {}  # users by url

    def of(self, url: str, user: str) -> str | None:
        found = self._told.get(user, self._told.get(url, self._told.get(_ANY_POOL)))
        if found is None:
            self._lacking.setdefault(url, {})[user] = None
        return found

    def needed(self) -> list[str]:
        """The pools that lack theirs, each once however many miners have a user of their own there."""
        return [
            f"{url} (user {next(iter(users))}"
            + (f" and {len(users) - 1} more)" if len(users) > 1 else ")")
            for url, users in self._lacking.items()
        ]


@needs(Role.OPERATOR)
@takes()
async def undo_batch(request: web.Request) -> web.Response:
    """POST F/tasks/batches/{batch_id}/undo: a new group that puts back what the batch changed."""
    farm = await farm_of(request)
    body = await read_body(request, UndoBody, may_be_empty=True)
    batch_id = named(request, "batch_id")
    async with request.app[STORE].read() as connection:
        batch = await batch_of(connection, farm, batch_id)
    return await _undo(
        request, farm, body, TaskName(batch.task_name), batch_id, [batch_id], batch.counts
    )


@needs(Role.OPERATOR)
@takes()
async def undo_group(request: web.Request) -> web.Response:
    """POST F/tasks/groups/{group_id}/undo: the same for all batches of a group."""
    farm = await farm_of(request)
    body = await read_body(request, UndoBody, may_be_empty=True)
    group_id = named(request, "group_id")
    async with request.app[STORE].read() as connection:
        group = await group_of(connection, farm, group_id)
        parts = [part.id for part in await groups.batches_of(connection, group_id)]
    return await _undo(
        request, farm, body, TaskName(group.task_name), group_id, parts, group.counts
    )


async def _undo(
    request: web.Request,
    farm: FarmRow,
    body: UndoBody,
    name: TaskName,
    undo_of: str,
    batch_ids: Sequence[str],
    counts: Counts,
) -> web.Response:
    """ApiError 409 for what cannot be undone, what has not ended, and pools whose passwords are not known."""
    if name not in _UNDO:
        raise ApiError(
            409,
            f"{name} cannot be undone: nothing is left that could be put back. Undone can be {', '.join(_UNDO)}",
        )
    if counts.open:
        raise ApiError(
            409, f"{counts.open} of its tasks have not ended yet: cancel it first, or wait"
        )

    async def read(connection: Connection) -> Ordered:
        ordered = await _ordered(connection, batch_ids, Passwords(body.passwords))
        if ordered.needed and not body.dry_run:
            told = [f"passwords: that of {pool} is needed" for pool in ordered.needed]
            raise ApiError(409, [*told, 'send {"passwords": {"url or user": "password"}}'])
        return ordered

    order = GroupOrder(name=name, params=None, read=read, is_group=True, undo_of=undo_of)
    if body.dry_run:
        return one(await creation.preview(request, farm, order))
    return json_response(await creation.create(request, farm, order))


async def _ordered(
    connection: Connection, batch_ids: Sequence[str], passwords: Passwords
) -> Ordered:
    """Miners with equal states together, in the order in which they were first met."""
    skipped = Skipped()
    by_former: dict[tuple[str, bytes], list[str]] = {}
    places: dict[str, Place] = {}
    for batch_id in batch_ids:
        rows, _ = await lookup.of_batch(connection, batch_id)
        for row in rows:
            # What perhaps was changed is put back, too: a setting is read before it is written.
            if row.miner_id is None or not (row.status == TaskStatus.SUCCEED or is_unknown(row)):
                continue
            former = former_of(row.name, row.params, (row.result or {}).get("evidence"), passwords)
            if former is None:
                skipped.add("before_unknown", _UNKNOWN, row.miner_id)
            elif former.place is not None:
                places[row.miner_id] = former.place
            else:
                key = (former.name, msgspec.json.encode(former.params, order="deterministic"))
                by_former.setdefault(key, []).append(row.miner_id)
    orders = [
        _order(TaskName(name), msgspec.json.decode(params), ids)
        for (name, params), ids in by_former.items()
    ]
    orders += [
        _rack_order({miner_id: places[miner_id] for miner_id in some})
        for some in chunks(list(places), MINERS_PER_BATCH)
    ]
    return Ordered(orders=orders, skipped=skipped.told(), needed=passwords.needed())


def former_of(name: str, asked: Facts | None, evidence: Any, passwords: Passwords) -> Former | None:
    """What undoes a task, by the evidence that its agent told; None where it tells nothing, or what no task takes."""
    facts = evidence if isinstance(evidence, dict) else {}
    before, after = facts.get("before"), facts.get("after")
    if not isinstance(before, dict):
        return None
    told = _Told(before=before, after=after if isinstance(after, dict) else {}, asked=asked or {})
    former = _UNDO[name](told, passwords)
    if former is None:
        return None
    if former.params is not None and told.asked.get("allow_maintenance") is True:
        former.params["allow_maintenance"] = True
    try:
        parse_params(TaskName(former.name), former.params)
    except ParamsError:
        return None
    return former


def _order(name: TaskName, given: dict[str, Any] | None, ids: Sequence[str]) -> BatchOrder:
    params = parse_params(name, given)
    return BatchOrder(
        request=BatchRequest(name=name, params=params, miner_ids=ids),
        params=stored_params(name, params),
    )


def _rack_order(places: Mapping[str, Place]) -> BatchOrder:
    name = TaskName.RACK_LOCATION
    updates = [
        {"miner_id": miner_id, "rack": rack, "position": position}
        for miner_id, (rack, position) in places.items()
    ]
    return BatchOrder(
        request=BatchRequest(
            name=name, params=parse_params(name, None), miner_ids=list(places), places=places
        ),
        params={"updates": updates},
    )


# --- by task name: the facts of a task, and the passwords -> what puts its miner back ------------------------------


def _light(told: _Told, _passwords: Passwords) -> Former | None:
    is_on = told.before.get("light_on")
    if not isinstance(is_on, bool):
        return None
    return Former(name=TaskName.LIGHT, params={"action": "on" if is_on else "off"})


def _mode(told: _Told, _passwords: Passwords) -> Former | None:
    if told.before.get("mining") is False:  # a WhatsMiner that was off; it has no mode for that
        return Former(name=TaskName.MINING, params={"action": "off"})
    mode = _mode_in(told.before)
    return None if mode is None else Former(name=TaskName.POWER_MODE, params={"mode": mode})


def _mining(told: _Told, _passwords: Passwords) -> Former | None:
    mode = _mode_in(told.before)
    if told.before.get("mining") is False or mode == "sleep":
        return Former(name=TaskName.MINING, params={"action": "off"})
    if told.before.get("mining") is True or mode in _AWAKE:
        return Former(name=TaskName.MINING, params={"action": "on"})
    return None


def _mode_in(before: Facts) -> str | None:
    """The makes tell it under keys of their own."""
    mode = before.get("mode_running") or before.get("mode")
    return mode if isinstance(mode, str) else _NUMBERS.get(str(before.get("mode_configured")))


def _pools(told: _Told, passwords: Passwords) -> Former | None:
    slots = told.before.get("pools")
    if (
        not isinstance(slots, list)
        or not slots
        or not all(isinstance(each, dict) for each in slots)
    ):
        return None
    pools = []
    for slot in slots:
        pool = {"url": str(slot.get("url")), "user": str(slot.get("user"))}
        if is_hidden("url", pool["url"]):
            return None  # of an address with a password inside, which nobody keeps
        password = slot.get("password")
        if password:
            password = passwords.of(**pool)
        pools.append(pool if password is None else {**pool, "password": password})
    return Former(name=TaskName.POOLS, params={"pools": pools})


def _power_limit(told: _Told, _passwords: Passwords) -> Former | None:
    key = "percent" if told.asked.get("percent") is not None else "watts"
    value = told.before.get(key)  # its driver tells both as they are asked for
    return None if value is None else Former(name=TaskName.POWER_LIMIT, params={key: value})


def _asset(told: _Told, _passwords: Passwords) -> Former | None:
    status = told.before.get("asset_status") or told.before.get("ops_status") or "online"
    return Former(name=TaskName.ASSET_UPDATE, params={"status": status, "allow_maintenance": True})


def _tags(told: _Told, _passwords: Passwords) -> Former | None:
    had, has = told.before.get("tags") or [], told.after.get("tags") or []
    changes = {
        "add": [tag for tag in had if tag not in has],
        "remove": [tag for tag in has if tag not in had],
    }
    return Former(name=TaskName.TAGS, params={key: tags for key, tags in changes.items() if tags})


def _place(told: _Told, _passwords: Passwords) -> Former | None:
    place = told.before.get("place")
    if not isinstance(place, list) or len(place) != 2:
        return None
    return Former(name=TaskName.RACK_LOCATION, place=(place[0], place[1]))


_UNDO: Final[Mapping[str, Callable[[_Told, Passwords], Former | None]]] = {
    TaskName.LIGHT: _light,
    TaskName.POWER_MODE: _mode,
    TaskName.MINING: _mining,
    TaskName.POWER_LIMIT: _power_limit,
    TaskName.POOLS: _pools,
    TaskName.ASSET_UPDATE: _asset,
    TaskName.TAGS: _tags,
    TaskName.RACK_LOCATION: _place,
}
ROUTES: Final = (
    web.post(FARM + "/tasks/batches/{batch_id}/undo", undo_batch),
    web.post(FARM + "/tasks/groups/{group_id}/undo", undo_group),
)
