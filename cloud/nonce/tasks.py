"""The tasks of a miner and of a batch, in the two spellings Nonce has for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from cloud.context import CLOCK, FILES, STORE, TIME
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many
from cloud.nonce.miners import snapshot_of
from cloud.nonce.requests import (
    PAGE,
    batch_of,
    farm_of,
    miner_of,
    named,
    page_of,
    takes,
    text_of,
    words_of,
)
from cloud.nonce.standing import standing_of
from cloud.store.tasks import lookup
from cloud.store.tasks.lookup import ListedTask
from contract.hiding import hidden, masked_url
from contract.nonce.sites import FARM
from contract.nonce.tasks import (
    TASK_WINDOW,
    Downloadable,
    LogItem,
    MinerSnapshot,
    MinerTaskItem,
    TaskError,
    TaskItem,
)
from contract.nonce.times import nonce_time, parse_time
from contract.outcome import Outcome
from contract.roles import Role
from contract.task import TaskName, TaskStatus

SignUrl = Callable[[str, str], str]  # (task id, file name) -> URL
_STAMPS: Final = ("queuing", "pending", "succeed", "failed", "timed_out", "cancelled")
_SLACK: Final = timedelta(minutes=5)  # the asker's clock and ours differ
_WORDS: Final[Mapping[str, str]] = {
    TaskStatus.FAILED: "The task failed",
    TaskStatus.TIMED_OUT: "The task exceeded its time limit",
    TaskStatus.CANCELLED: "The task was cancelled",
}


@needs(Role.VIEWER)
@takes(*PAGE, "task_name", "status", "from_time", "to_time")
async def list_miner_tasks(request: web.Request) -> web.Response:
    """GET F/miners/{miner_id}/tasks: newest first, of the last seven days at most."""
    farm = await farm_of(request)
    store, now, page = request.app[STORE], request.app[CLOCK].now(), page_of(request)
    since, until = _window(request, now)
    name, status = _one_of(request, "task_name", TaskName), _one_of(request, "status", TaskStatus)
    miner = await miner_of(request, farm, deleted=True)
    rows, total = await lookup.of_miner(
        store, farm.id, miner.id, page, since=since, until=until, name=name, status=status
    )
    today = snapshot_of(miner, farm, now) if rows else None
    sign = signer(request)
    items = []
    for row in rows:
        kept = row.miner_snapshot
        snapshot = today if kept is None else msgspec.convert(kept, MinerSnapshot)
        assert snapshot is not None
        items.append(_miner_task(row, snapshot, sign))
    return many(items, page, total)


@needs(Role.VIEWER)
@takes(*PAGE, lists=("status",))
async def list_batch_tasks(request: web.Request) -> web.Response:
    """GET F/tasks/batches/{batch_id}/tasks."""
    farm = await farm_of(request)
    page, statuses = page_of(request), words_of(request, "status")
    batch_id = named(request, "batch_id")
    async with request.app[STORE].read() as connection:
        await batch_of(connection, farm, batch_id)
        rows, total = await lookup.of_batch(connection, batch_id, statuses=statuses, page=page)
        held = (await standing_of(connection, farm, [batch_id])).reasons
    sign = signer(request)
    return many([task_item(row, sign, held.get(row.id)) for row in rows], page, total)


def signer(request: web.Request) -> SignUrl:
    """Makes the URLs under which the files of tasks can be fetched for two weeks."""
    files, cloud_s = request.app[FILES], request.app[TIME].now()
    return lambda task_id, name: files.sign_url(task_id, name, cloud_s)


def task_item(row: ListedTask, sign: SignUrl, held_reason: str | None) -> TaskItem:
    """A task within its batch."""
    file = row.file
    return TaskItem(
        id=row.id,
        batch_id=row.batch_id or "",
        task_name=row.name,
        miner_id=row.miner_id,
        agent_id=row.agent_id,
        status=row.status,
        params=masked_params(row.params),
        created_at=nonce_time(row.created_at),
        result=masked_result(row),
        error=_error(row),
        log_download_url=sign(row.id, file.name) if file else None,
        log_file_size=file.size_bytes if file else None,
        held_reason=UNSET if held_reason is None else held_reason,
        **_stamps(row),
    )


def masked_params(params: dict[str, Any] | None) -> dict[str, Any] | None:
    """Parameters without the passwords in them."""
    return hidden(params) if params else None


def masked_result(row: ListedTask) -> dict[str, Any] | UnsetType:
    """What the agent said, and what it said after the task was closed."""
    result: dict[str, Any] = dict(row.result or {})
    if row.late:
        result["late"] = row.late
    return hidden(result) or UNSET


def is_unknown(row: ListedTask) -> bool:
    """Whether nobody knows if the miner was changed: said so, or begun and never heard of again."""
    outcome = (row.result or {}).get("outcome")
    if outcome is not None:
        return bool(outcome == Outcome.UNKNOWN)
    return row.pending_at is not None and row.status == TaskStatus.TIMED_OUT


def _miner_task(row: ListedTask, miner: MinerSnapshot, sign: SignUrl) -> MinerTaskItem:
    file, payload = row.file, masked_params(row.params)
    logs = [
        LogItem(
            timestamp=nonce_time(line.at),
            level=line.level,
            message=masked_url(line.message),
        )
        for line in row.logs
    ]
    return MinerTaskItem(
        id=row.id,
        batch_id=row.batch_id or "",
        name=row.name,
        status=row.status,
        created_at=nonce_time(row.created_at),
        miner=miner,
        payload=payload or {},
        result=masked_result(row),
        logs=logs,
        downloadable=Downloadable(
            file_path=sign(row.id, file.name),
            file_name=file.name,
            file_size=file.size_bytes,
        )
        if file
        else UNSET,
        **_stamps(row),
    )


def _stamps(row: ListedTask) -> dict[str, Any]:
    return {
        f"{state}_at": nonce_time(at)
        for state in _STAMPS
        if (at := getattr(row, f"{state}_at")) is not None
    }


def _error(row: ListedTask) -> TaskError | UnsetType:
    """Failed, timed-out and cancelled tasks say why."""
    standard = _WORDS.get(row.status)
    if standard is None:
        return UNSET
    said = (row.result or {}).get("error")
    if not isinstance(said, dict):
        return TaskError(message=standard)
    code = said.get("code")
    return TaskError(
        message=masked_url(str(said.get("message") or standard)),
        code=UNSET if code is None else str(code),
    )


def _window(request: web.Request, now: datetime) -> tuple[datetime, datetime]:
    """`from_time` and `to_time`, which must lie within the last seven days."""
    earliest = now - TASK_WINDOW
    bounds = {"from_time": earliest, "to_time": now}
    for name in bounds:
        text = text_of(request, name)
        if text is None:
            continue
        try:
            at = parse_time(text)
        except ValueError as error:
            raise ApiError(400, f"{name} {error}") from None
        if not earliest - _SLACK <= at <= now + _SLACK:
            raise ApiError(400, f"{name} must be within the last {TASK_WINDOW.days} days")
        bounds[name] = at
    if bounds["from_time"] > bounds["to_time"]:
        raise ApiError(400, "from_time must not be after to_time")
    return bounds["from_time"], bounds["to_time"]


def _one_of(request: web.Request, name: str, words: Any) -> Any:
    text = text_of(request, name)
    if text is None:
        return None
    try:
        return words(text)
    except ValueError:
        raise ApiError(400, f"{name} must be one of {', '.join(words)}") from None


ROUTES: Final = (
    web.get(FARM + "/miners/{miner_id}/tasks", list_miner_tasks, allow_head=False),
    web.get(FARM + "/tasks/batches/{batch_id}/tasks", list_batch_tasks, allow_head=False),
)
