"""The tasks that need no agent: changes of our own records, done as the batch is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cloud.nonce.planning import BatchRequest, new_tags, ops_status_of
from cloud.store.engine import Connection
from cloud.store.miners import assets, maintenance
from cloud.store.miners.search import ListedMiner
from cloud.store.tasks.handed import Confirmed
from contract.nonce.times import nonce_time
from contract.task import AssetStatus, AssetUpdateParams, CommentParams, TagsParams, TaskName

Evidence = dict[str, Any]


async def carry_out(
    connection: Connection, request: BatchRequest, chosen: Sequence[ListedMiner], now: datetime
) -> list[tuple[ListedMiner, Evidence]]:
    """Change the records of the chosen miners within the caller's transaction; each with what was there
    before and after.
    """
    if not chosen:
        return []
    ids = [row.id for row in chosen]
    params, name = request.params, request.name
    if name is TaskName.ASSET_UPDATE:
        assert isinstance(params, AssetUpdateParams)
        after = {"asset_status": params.status.value, "ops_status": ops_status_of(params.status)}
        await assets.set_asset_status(connection, ids, after, params.comment, now)
        return [
            (row, {"before": {key: getattr(row, key) for key in after}, "after": after})
            for row in chosen
        ]
    if name in (TaskName.ASSET_DELETE, TaskName.RECORD_DELETE):
        assert isinstance(params, CommentParams)
        if name is TaskName.ASSET_DELETE:
            await assets.mark_deleted(connection, ids, params.comment, now)
        else:
            await assets.forget(connection, ids, now)
        return [(row, _change("deleted_at", row.deleted_at, now)) for row in chosen]
    if name is TaskName.TAGS:
        assert isinstance(params, TagsParams)
        tags = {row.id: new_tags(row, params) for row in chosen}
        await assets.set_tags(connection, tags, now)
        return [(row, _change("tags", row.tags, tags[row.id])) for row in chosen]
    if name is TaskName.RACK_LOCATION:
        places = {id_: request.places[id_] for id_ in ids}
        await assets.set_places(connection, places, now)
        return [
            (row, _change("place", [row.rack, row.position], list(places[row.id])))
            for row in chosen
        ]
    raise AssertionError(f"{name} is carried out by an agent")


async def tell_maintenance(
    connection: Connection,
    farm_id: str,
    request: BatchRequest,
    chosen: Sequence[ListedMiner],
    now: datetime,
    confirmed: Confirmed,
) -> frozenset[str]:
    """Where that began or ended the maintenance of a miner, see to it that nobody writes to it from now on, or may
    again. Gives the agents to wake.
    """
    was = [row.id for row in chosen if row.ops_status == AssetStatus.MAINTENANCE]
    params = request.params
    begun = [
        row.id
        for row in chosen
        if isinstance(params, AssetUpdateParams) and params.status is AssetStatus.MAINTENANCE
    ]
    ended = was if request.name in (TaskName.ASSET_UPDATE, TaskName.RECORD_DELETE) else []
    if not begun and not ended:
        return frozenset()
    return await maintenance.changed(connection, farm_id, begun, now, confirmed)


def _change(what: str, before: Any, after: Any) -> Evidence:
    return {"before": {what: _plain(before)}, "after": {what: _plain(after)}}


def _plain(value: Any) -> Any:
    return nonce_time(value) if isinstance(value, datetime) else value
