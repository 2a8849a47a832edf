"""Reading bodies with a cap, and turning them into messages or a 400."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web

from cloud.errors import ApiError

T = TypeVar("T")


async def read_body(request: web.Request, cap_bytes: int) -> bytes:
    """The whole body, inflated if it came compressed. Raises ApiError 413 beyond the cap, however small it was on the
    wire.
    """
    if request.content_length is not None and request.content_length > cap_bytes:
        raise ApiError(413, f"The body is larger than {cap_bytes} bytes")
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > cap_bytes:
            raise ApiError(413, f"The body is larger than {cap_bytes} bytes")
    return bytes(body)


async def read_message(request: web.Request, kind: type[T], cap_bytes: int) -> T:
    """A JSON body of that type. Raises ApiError 400 that names what is wrong and where, or 413."""
    body = await read_body(request, cap_bytes)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"The body is not JSON: {error}") from None
    except RecursionError:
        raise ApiError(400, "The body is nested too deeply") from None


def is_clean(text: str) -> bool:
    """Whether every database can hold it: no NUL, no half of a surrogate pair."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False
