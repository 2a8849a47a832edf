"""Uploading files of tasks (agents, resumable) and fetching them (anyone with a signed link)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from cloud.context import CLOCK, FILES, SETTINGS, STORE, TIME
from cloud.http.auth import AGENT
from cloud.http.bodies import refuse_encoding
from cloud.http.errors import ApiError, json_response
from cloud.link.files import safe_name
from cloud.link.uploads import range_of, receive
from cloud.store.tasks.files import (
    FILES_PER_TASK,
    FilesFullError,
    TooManyFilesError,
    begin_file,
    complete_file,
    find_file,
    forget_file,
    may_upload,
    oldest_beyond,
)
from contract.link import PREFIX, FileReply

# So long an upload may take before its place can go to another.
_UNDISTURBED_S: Final = 3600.0
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Upload:
    task_id: str
    name: str
    sha256: str
    start: int | None  # None only asks how far we are
    size_bytes: int


async def put_file(request: web.Request) -> web.Response:
    """`PUT /link/v1/files/{task_id}`. Whatever the range sent, the answer tells from which byte to go on."""
    refuse_encoding(request)
    upload = _upload(request)
    store, files = request.app[STORE], request.app[FILES]
    agent = request[AGENT]
    if not await may_upload(store, agent, upload.task_id):
        raise ApiError(404, f"Task {upload.task_id[:64]} was not given to this agent")
    async with files.turn(upload.task_id):
        record = await find_file(store, upload.task_id, upload.name)
        if record is None or record.sha256 != upload.sha256:
            await _begin(request, agent.farm_id, upload)
        elif record.completed_at is not None:
            return json_response(FileReply(received=upload.size_bytes, complete=True))
        return json_response(await _receive(request, upload))


async def get_file(request: web.Request) -> web.StreamResponse:
    """`GET /files/{task_id}/{name}?expires=&sig=`. 403 for a link that is forged or old, 404 once the file is gone."""
    task_id, name = request.match_info["task_id"], request.match_info["name"]
    files = request.app[FILES]
    expires, signature = request.query.get("expires", ""), request.query.get("sig", "")
    if not files.check(task_id, name, expires, signature, request.app[TIME].now()):
        raise ApiError(403, "This link is not valid or has expired")
    record = await find_file(request.app[STORE], task_id, name)
    path = files.path(task_id, name)
    if record is None or record.completed_at is None or not path.is_file():
        raise ApiError(404, "This file is no longer kept")
    return web.FileResponse(
        path,
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{safe_name(name)}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private",
        },
    )


async def _begin(request: web.Request, farm_id: str, upload: _Upload) -> None:
    """Make room, the oldest files first, and record the upload. 507 if there is none, 409 for a task with too many."""
    store, files, cloud_s = request.app[STORE], request.app[FILES], request.app[TIME].now()
    cap_bytes = request.app[SETTINGS].files_bytes
    for old in await oldest_beyond(
        store, upload.size_bytes, cloud_s - _UNDISTURBED_S, cap_bytes=cap_bytes
    ):
        await files.remove(old.task_id, old.name)
        await forget_file(store, old.task_id, old.name)
    try:
        await begin_file(
            store,
            farm_id,
            upload.task_id,
            upload.name,
            upload.size_bytes,
            upload.sha256,
            cloud_s,
            cap_bytes=cap_bytes,
        )
    except FilesFullError:
        raise ApiError(507, "The files of all tasks fill what files_bytes allows") from None
    except TooManyFilesError:
        raise ApiError(409, f"A task may bring {FILES_PER_TASK} files") from None
    # Other content under the same name: what there is of the old one goes.
    await files.remove(upload.task_id, upload.name)


async def _receive(request: web.Request, upload: _Upload) -> FileReply:
    reply = await receive(
        request,
        request.app[FILES],
        upload.task_id,
        upload.name,
        start=upload.start,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
    )
    if reply.complete:
        await complete_file(
            request.app[STORE], upload.task_id, upload.name, request.app[CLOCK].now()
        )
    return reply


def _upload(request: web.Request) -> _Upload:
    sha256 = request.headers.get("X-Sha256", "").lower()
    if not _SHA256.fullmatch(sha256):
        raise ApiError(400, "X-Sha256 must be the SHA-256 of the whole file, in hex")
    given = request.headers.get("Content-Range")
    start: int | None = 0
    if given is None:
        if request.content_length is None:
            raise ApiError(411, "Content-Range or Content-Length must tell how long the file is")
        size = request.content_length
    else:
        start, size = range_of(given)
    cap = request.app[SETTINGS].file_bytes
    if size > cap:
        raise ApiError(413, f"A file may have {cap} bytes, this one has {size}")
    name = safe_name(request.headers.get("X-File-Name", "file"))
    return _Upload(request.match_info["task_id"], name, sha256, start, size)


ROUTES: Final = (
    web.put(f"{PREFIX}/files/{{task_id}}", put_file),
    web.get("/files/{task_id}/{name}", get_file),
)
