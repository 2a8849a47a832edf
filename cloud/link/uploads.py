"""What all resumable uploads share: the range they send, and what becomes of its bytes."""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from cloud.http.errors import ApiError
from cloud.link.files import ChecksumError, FileTooLargeError, Folder
from contract.link import FileReply

_RANGE: Final = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def range_of(given: str) -> tuple[int | None, int]:
    """Of `Content-Range`: where the bytes begin, None for a question of how far we are; and how large the file is.
    ApiError 400.
    """
    match = _RANGE.fullmatch(given.strip())
    if match is None:
        raise ApiError(400, "Content-Range must be `bytes first-last/size` or `bytes */size`")
    first, last, total = match.groups()
    if first is None:
        return None, int(total)
    if not int(first) <= int(last) < int(total):
        raise ApiError(400, f"Content-Range {given[:80]} is outside the file")
    return int(first), int(total)


async def receive(
    request: web.Request,
    folder: Folder,
    owner: str,
    name: str,
    *,
    start: int | None,
    size_bytes: int,
    sha256: str,
) -> FileReply:
    """Take the bytes of the body that are not here yet; once all are, see that it is the file. Its place has to be kept
    by `Folder.turn`. ApiError 400 for more than was announced, 422 for another file, 507 for a full disk.
    """
    received = await folder.received(owner, name)
    if start is not None and start <= received:
        try:
            received = await folder.append(
                owner, name, _chunks(request), skip=received - start, size_bytes=size_bytes
            )
        except FileTooLargeError:
            await folder.restart(owner, name)
            raise ApiError(400, "More bytes than Content-Range announced") from None
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise ApiError(507, "The disk of the cloud is full") from None
    if received < size_bytes:
        return FileReply(received=received, complete=False)
    try:
        await folder.finish(owner, name, sha256)
    except ChecksumError:
        raise ApiError(
            422, "The file does not match X-Sha256; send it again from the start"
        ) from None
    return FileReply(received=received, complete=True)


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        yield chunk
