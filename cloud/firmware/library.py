"""What operators call about the firmware library of their workspace (ours).

GET    W/firmware              the images
POST   W/firmware              announce one
GET    W/firmware/{name}       one of them
PUT    W/firmware/{name}/file  send its file, whole or in pieces
DELETE W/firmware/{name}       forget one that no open task needs
"""

from __future__ import annotations

from typing import Final

import structlog
from aiohttp import web

from cloud.context import CLOCK, IMAGES, SETTINGS, STORE, TIME
from cloud.http.auth import ACTOR, WORKSPACE_ID
from cloud.http.bodies import in_time, refuse_encoding
from cloud.http.errors import ApiError, json_response
from cloud.http.rights import needs
from cloud.link.uploads import range_of, receive
from cloud.nonce.answers import many, one
from cloud.nonce.requests import PAGE, named, page_of, read_body, takes
from cloud.store import firmware
from cloud.store.access import audit
from cloud.store.engine import Connection
from cloud.store.firmware import LibraryConflictError, LibraryFullError
from cloud.store.schema.rows import FirmwareRow
from contract.nonce.batches import NoBody
from contract.nonce.firmware import FIRMWARE, AddFirmware, FirmwareItem, FirmwareRemoved
from contract.nonce.times import nonce_time
from contract.roles import Role
from contract.texts import composed

log = structlog.get_logger(__name__)


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_firmware(request: web.Request) -> web.Response:
    """GET W/firmware, by name."""
    page = page_of(request)
    rows, total = await firmware.page_of(request.app[STORE], request[WORKSPACE_ID], page)
    return many([await _item(request, row) for row in rows], page, total)


@needs(Role.VIEWER)
@takes()
async def get_firmware(request: web.Request) -> web.Response:
    """GET W/firmware/{name}."""
    async with request.app[STORE].read() as connection:
        row = await _row_of(request, connection)
    return one(await _item(request, row))


@needs(Role.MANAGER)
@takes()
async def add_firmware(request: web.Request) -> web.Response:
    """POST W/firmware: what the image is; its file comes by PUT. Announced again with the same file and the same words,
    an upload goes on. 409 for a name or a file that is there already, and for one image too many; 413 for a file that
    is too large, 507 where all images together would be.
    """
    body = await read_body(request, AddFirmware)
    settings, workspace_id = request.app[SETTINGS], request[WORKSPACE_ID]
    if body.size_bytes > settings.firmware_file_bytes:
        raise ApiError(
            413,
            f"size_bytes: an image may have {settings.firmware_file_bytes} bytes, this one has {body.size_bytes}",
        )
    async with request.app[STORE].write() as connection:
        there = await firmware.find(connection, workspace_id, body.name)
        if there is None:
            there = await _announce(request, connection, body)
        elif not _is_same(there, body):
            raise ApiError(
                409, f"An image is called {body.name} already: remove it, or name another"
            )
    return one(await _item(request, there))


@needs(Role.MANAGER)
@takes()
async def put_firmware(request: web.Request) -> web.Response:
    """PUT W/firmware/{name}/file. Whatever the range sent, the answer tells from which byte to go on."""
    refuse_encoding(request)
    start, size = range_of(request.headers.get("Content-Range", ""))
    images, store = request.app[IMAGES], request.app[STORE]
    async with store.read() as connection:
        row = await _row_of(request, connection)
    if size != row.size_bytes:
        raise ApiError(400, f"Content-Range tells of {size} bytes, the image has {row.size_bytes}")
    async with images.turn(f"{row.workspace_id}/{row.sha256}"):
        async with (
            store.read() as connection
        ):  # another upload may have ended, or the image be gone
            row = await _row_of(request, connection)
        if row.completed_at is not None:
            return json_response({"received": row.size_bytes, "complete": True})
        async with in_time(request, row.size_bytes):
            reply = await receive(
                request, images, row.workspace_id, row.sha256,
                start=start, size_bytes=row.size_bytes, sha256=row.sha256,
            )  # fmt: skip
        if reply.complete:
            await firmware.complete(store, row, request.app[CLOCK].now())
            log.info("firmware.added", workspace=row.workspace_id, name=row.name, sha256=row.sha256)
    return json_response(reply)


@needs(Role.MANAGER)
@takes()
async def remove_firmware(request: web.Request) -> web.Response:
    """DELETE W/firmware/{name}. 409 while an open task needs it."""
    await read_body(request, NoBody, may_be_empty=True)
    images, store = request.app[IMAGES], request.app[STORE]
    async with store.read() as connection:
        row = await _row_of(request, connection)
    async with images.turn(f"{row.workspace_id}/{row.sha256}"):
        async with store.write() as connection:
            row = await _row_of(request, connection)
            if number := await firmware.needed_by(connection, row):
                raise ApiError(
                    409, f"{number} open tasks need {row.name}: wait for them, or cancel them first"
                )
            await firmware.drop(connection, row)
            await audit.record(
                connection, request[ACTOR], request.app[CLOCK].now(), "firmware.remove",
                ("firmware", row.name), workspace_id=row.workspace_id, before=_told(row),
            )  # fmt: skip
        # A crash before this leaves a file of no image, which is tidied away.
        await images.remove(row.workspace_id, row.sha256)
    return one(FirmwareRemoved(name=row.name))


async def _announce(request: web.Request, connection: Connection, body: AddFirmware) -> FirmwareRow:
    settings, actor = request.app[SETTINGS], request[ACTOR]
    row = FirmwareRow(
        workspace_id=request[WORKSPACE_ID],
        actor_id=actor.id,
        created_at=request.app[CLOCK].now(),
        created_cloud_s=request.app[TIME].now(),
        completed_at=None,
        **body.model_dump(),
    )
    try:
        await firmware.add(
            connection,
            {name: getattr(row, name) for name in row.__struct_fields__},
            most=settings.firmware_images,
            cap_bytes=settings.firmware_bytes,
        )
    except LibraryConflictError as error:
        raise ApiError(409, str(error)) from None
    except LibraryFullError:
        raise ApiError(
            507,
            f"The images of all workspaces fill the {settings.firmware_bytes} bytes of firmware_bytes",
        ) from None
    await audit.record(
        connection, actor, row.created_at, "firmware.add", ("firmware", row.name),
        workspace_id=row.workspace_id, after=_told(row),
    )  # fmt: skip
    return row


async def _row_of(request: web.Request, connection: Connection) -> FirmwareRow:
    name = composed(named(request, "name"))
    row = await firmware.find(connection, request[WORKSPACE_ID], name)
    if row is None:
        raise ApiError(404, "No image of this workspace is called so")
    return row


def _is_same(row: FirmwareRow, body: AddFirmware) -> bool:
    return all(getattr(row, name) == value for name, value in body.model_dump().items())


def _told(row: FirmwareRow) -> dict[str, object]:
    """What the audit keeps of an image."""
    return {name: getattr(row, name) for name in AddFirmware.model_fields if name != "name"}


async def _item(request: web.Request, row: FirmwareRow) -> FirmwareItem:
    is_complete, received = row.completed_at is not None, row.size_bytes
    if not is_complete:
        received = await request.app[IMAGES].received(row.workspace_id, row.sha256)
    return FirmwareItem(
        name=row.name,
        make=row.make,
        models=row.models,
        version=row.version,
        notes=row.notes,
        file_name=row.file_name,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        received=received,
        complete=is_complete,
        created_by=row.actor_id,
        created_at=nonce_time(row.created_at),
    )


ROUTES: Final = (
    web.get(FIRMWARE, list_firmware, allow_head=False),
    web.post(FIRMWARE, add_firmware),
    web.get(FIRMWARE + "/{name}", get_firmware, allow_head=False),
    web.put(FIRMWARE + "/{name}/file", put_firmware),
    web.delete(FIRMWARE + "/{name}", remove_firmware),
)
