"""Reading bodies with a cap and a deadline, and turning them into messages or a 400."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from cloud.context import SETTINGS
from cloud.http.auth import ACTOR, AGENT
from cloud.http.errors import ApiError

T = TypeVar("T")
# Of a caller that nobody knows, while its body is waited for: since when, on the loop's clock.
AWAITED_SINCE: Final = web.RequestKey("awaited_since", float)
_GZIP: Final = 16 + zlib.MAX_WBITS
_PLAIN: Final = ("", "identity")
_PACKED: Final = ("gzip", "deflate")


async def read_body(request: web.Request, cap_bytes: int) -> bytes:
    """The whole body, inflated if it came compressed. Raises ApiError 413 beyond the cap, however small it was on the
    wire; 415 for a Content-Encoding that is not spoken here, 408 for a body that takes too long, 400 for one that is
    not in the encoding it claims.
    """
    encoding = _encoding(request)
    if request.content_length is not None and request.content_length > cap_bytes:
        raise ApiError(413, f"The body is larger than {cap_bytes} bytes")
    body, inflate = bytearray(), None
    async with in_time(request, cap_bytes):
        async for chunk in request.content.iter_any():
            if encoding in _PLAIN:
                body += chunk
            elif chunk:
                inflate = inflate or _Inflate(encoding, chunk)
                body += inflate.feed(chunk, cap_bytes + 1 - len(body))
            if len(body) > cap_bytes:
                raise ApiError(413, f"The body is larger than {cap_bytes} bytes")
    if inflate is not None and not inflate.is_whole:
        raise ApiError(400, f"The body cannot be read: it ends before its {encoding} does")
    return bytes(body)


def refuse_encoding(request: web.Request) -> None:
    """For a body that is taken as it comes. Raises ApiError 415 if it is compressed."""
    encoding = _encoding(request)
    if encoding not in _PLAIN:
        raise ApiError(415, f"Content-Encoding {encoding} is not taken here: send it as it is")


@asynccontextmanager
async def in_time(request: web.Request, cap_bytes: int) -> AsyncIterator[None]:
    """A body of at most so many bytes has to be read within this block. Raises ApiError 408 when it took too long."""
    settings = request.app[SETTINGS]
    limit_s = settings.body_wait_s + cap_bytes / settings.body_bytes_per_s
    if AGENT not in request and ACTOR not in request:
        request[AWAITED_SINCE] = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError:
        raise ApiError(408, f"The body did not arrive within {limit_s:.0f} s") from None
    finally:
        request.pop(AWAITED_SINCE, None)


async def read_message(request: web.Request, kind: type[T], cap_bytes: int) -> T:
    """A JSON body of that type. Raises ApiError 400 that names what is wrong and where, or what `read_body` raises."""
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


class _Inflate:
    """One compressed body, piece by piece."""

    def __init__(self, encoding: str, first: bytes) -> None:
        bits = _GZIP
        if encoding == "deflate":
            # Some leave out the header of zlib (RFC 9110, section 8.4.1.2); its first byte would end in 8.
            bits = zlib.MAX_WBITS if first[0] & 0x0F == 8 else -zlib.MAX_WBITS
        self._encoding = encoding
        self._inflate = zlib.decompressobj(wbits=bits)

    @property
    def is_whole(self) -> bool:
        return self._inflate.eof

    def feed(self, chunk: bytes, most: int) -> bytes:
        """What comes out, at most so many bytes of it (`most` is at least 1). Raises ApiError 400."""
        if self._inflate.eof:
            raise ApiError(400, f"The body cannot be read: it goes on after its {self._encoding}")
        try:
            out = self._inflate.decompress(chunk, most)
        except zlib.error:
            raise ApiError(400, f"The body cannot be read: it is no {self._encoding}") from None
        if self._inflate.unused_data:
            raise ApiError(400, f"The body cannot be read: it goes on after its {self._encoding}")
        return out


def _encoding(request: web.Request) -> str:
    """In which encoding the body is. Raises ApiError 415 for one that is not spoken here."""
    named = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    if named not in (*_PLAIN, *_PACKED):
        raise ApiError(
            415,
            f"Content-Encoding {named[:80]} is not spoken here: send gzip, deflate or none",
            headers={"Accept-Encoding": ", ".join(_PACKED)},
        )
    return named
