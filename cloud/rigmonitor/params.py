"""Reading what a machine sent: JSON, or a form."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import BodyPartReader, web

from cloud.context import SETTINGS
from cloud.http.bodies import in_time, read_body, refuse_encoding
from cloud.rigmonitor.replies import MachineError

_FIELDS_MAX: Final = 5000
_URLENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"


async def read_params(request: web.Request) -> dict[str, Any]:
    """The fields of the body. JSON is taken under any type but that of a form; JSON that is no object has no fields.

    In a form, a name that ends in `[]` is a list.

    MachineError 400 for what cannot be read; ApiError or MachineError 413 beyond the cap.
    """
    if request.content_type == _MULTIPART:
        refuse_encoding(request)
        async with in_time(request, request.app[SETTINGS].rig_body_bytes):
            return await _multipart(request)
    body = await read_body(request, request.app[SETTINGS].rig_body_bytes)
    try:
        if request.content_type == _URLENCODED:
            return _form(
                parse_qsl(
                    body.decode(),
                    keep_blank_values=True,
                    errors="strict",
                    max_num_fields=_FIELDS_MAX,
                )
            )
        fields = msgspec.json.decode(body) if body.strip() else {}
    except (ValueError, RecursionError):  # whatever is wrong with JSON, UTF-8 or percent signs
        raise MachineError(HTTPStatus.BAD_REQUEST) from None
    return fields if isinstance(fields, dict) else {}


async def _multipart(request: web.Request) -> dict[str, Any]:
    """Parts that are files are no fields of ours: they are not read as such."""
    pairs: list[tuple[str, Any]] = []
    left = request.app[SETTINGS].rig_body_bytes
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):  # parts within a part
                raise MachineError(HTTPStatus.BAD_REQUEST)
            data = bytearray()
            while chunk := await part.read_chunk():
                left -= len(chunk)
                if left < 0:
                    raise MachineError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                data += chunk
            if part.name and part.filename is None:
                pairs.append((part.name, data.decode()))
            if len(pairs) > _FIELDS_MAX:
                raise MachineError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except (ValueError, AssertionError):  # no boundary, no UTF-8, headers that are none
        raise MachineError(HTTPStatus.BAD_REQUEST) from None
    return _form(pairs)


def _form(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name.endswith("[]"):
            values = fields.setdefault(name.removesuffix("[]"), [])
            if isinstance(values, list):
                values.append(value)
        else:
            fields[name] = value
    return fields
