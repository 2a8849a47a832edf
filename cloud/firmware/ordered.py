"""What an order with an image of the library means: which image it is, resolved as the order is read, and the address
by which an agent fetches it, made as the task is handed out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from cloud.config import CloudSettings
from cloud.context import FILES, IMAGES, SETTINGS, STORE, TIME
from cloud.http.errors import ApiError
from cloud.nonce.orders import BatchOrder
from cloud.store import firmware
from cloud.store.engine import Connection
from cloud.store.schema.rows import AgentRow
from contract.keys import nearest
from contract.link import ClaimedTask
from contract.task import FirmwareParams, TaskName, stored_params

_OLD_NAME: Final = "firmware"  # of a file whose image is known no more
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


async def with_image(
    request: web.Request, connection: Connection, workspace_id: str, order: BatchOrder
) -> BatchOrder:
    """The same order with the sha256 and the version of the image it names: what becomes of the name later changes
    nothing of it. One that names none is given back as it is.

    ApiError 400 for a name that the library has not; 409 for an image that is another one than was meant, is not
    uploaded whole, or whose file is damaged.
    """
    params = order.request.params
    if not isinstance(params, FirmwareParams) or params.firmware is None:
        return order
    row = await firmware.find(connection, workspace_id, params.firmware)
    if row is None:
        near = nearest(params.firmware, await firmware.names(connection, workspace_id))
        hint = f"; did you mean {near}?" if near else "; `miner-cloud firmware list` shows what is"
        raise ApiError(400, f"params.firmware: {params.firmware} is not in the library{hint}")
    if params.sha256 not in (None, row.sha256):
        raise ApiError(
            409, f"{row.name} is another file in the library now: its sha256 is {row.sha256}"
        )
    if row.completed_at is None:
        raise ApiError(409, f"{row.name} is not uploaded whole: `miner-cloud firmware add` goes on")
    if not await request.app[IMAGES].has_size(row):
        raise ApiError(
            409,
            f"The file of {row.name} is damaged on the cloud's disk: remove it, and add it again",
        )
    known: dict[str, Any] = {"sha256": row.sha256}
    if params.target_version is None and row.version is not None:
        known["target_version"] = row.version
    resolved = params.model_copy(update=known)
    asked = msgspec.structs.replace(
        order.request, params=resolved, for_make=row.make, for_models=tuple(row.models)
    )
    return msgspec.structs.replace(
        order, request=asked, params=stored_params(TaskName.FIRMWARE, resolved)
    )


async def addressed(
    request: web.Request, agent: AgentRow, tasks: Sequence[ClaimedTask]
) -> tuple[ClaimedTask, ...]:
    """Tasks as an agent is handed them: with a link in place of a name of the library. It is good for as long as the
    task may wait and take.
    """
    digests = {
        task.params["sha256"] for task in tasks if _names_image(task) and "sha256" in task.params
    }
    if not digests:
        return tuple(tasks)
    async with request.app[STORE].read() as connection:
        rows = await firmware.by_sha256(connection, agent.workspace_id, digests)
    names = {sha256: row.file_name for sha256, row in rows.items()}
    return tuple(_addressed(request, agent, names, tasks))


def _addressed(
    request: web.Request, agent: AgentRow, names: dict[str, str], tasks: Iterable[ClaimedTask]
) -> Iterable[ClaimedTask]:
    images, base_url = request.app[IMAGES], _base_url(request, request.app[SETTINGS])
    cloud_s = request.app[TIME].now()
    for task in tasks:
        if not _names_image(task):
            yield task
            continue
        sha256 = task.params["sha256"]
        until_s = cloud_s + task.queue_ttl_s + task.limit_s
        url = images.link(
            base_url, agent.workspace_id, sha256, names.get(sha256, _OLD_NAME), until_s
        )
        params = {key: value for key, value in task.params.items() if key != "firmware"}
        yield msgspec.structs.replace(task, params={**params, "firmware_url": url})


def _names_image(task: ClaimedTask) -> bool:
    return task.name == TaskName.FIRMWARE and "firmware" in task.params


def _base_url(request: web.Request, settings: CloudSettings) -> str:
    """How this agent reaches us: as the outside does, or where nobody said how, as it just did."""
    if settings.public_url is not None:
        return settings.public_url
    if _HOST.fullmatch(request.host) is None:
        return request.app[FILES].base_url
    return f"{request.scheme}://{request.host}"
