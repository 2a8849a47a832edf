"""What agents fetch: an image, by a link that was signed for one task and ends with it."""

from __future__ import annotations

from typing import Final

import structlog
from aiohttp import web

from cloud.context import IMAGES, STORE, TIME
from cloud.http.errors import ApiError
from cloud.store import firmware

_GONE: Final = "This image is no longer in the library"
log = structlog.get_logger(__name__)


async def get_image(request: web.Request) -> web.StreamResponse:
    """`GET /firmware/{workspace_id}/{sha256}/{name}?expires=&sig=`. 403 for a link that is forged or old; 404 once the
    image was removed, and where its file is not what was uploaded.
    """
    workspace_id, sha256 = request.match_info["workspace_id"], request.match_info["sha256"]
    images = request.app[IMAGES]
    if not images.opens(
        workspace_id,
        sha256,
        request.match_info["name"],
        expires=request.query.get("expires", ""),
        signature=request.query.get("sig", ""),
        cloud_s=request.app[TIME].now(),
    ):
        raise ApiError(403, "This link is not valid or has expired")
    async with request.app[STORE].read() as connection:
        found = await firmware.by_sha256(connection, workspace_id, [sha256])
    row = found.get(sha256)
    if row is None or row.completed_at is None:
        raise ApiError(404, _GONE)
    path = await images.whole(row)
    if path is None:
        log.error("firmware.damaged", workspace=workspace_id, name=row.name, sha256=sha256)
        raise ApiError(404, "The file of this image is damaged: remove it, and add it again")
    return web.FileResponse(
        path,
        headers={
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private",
        },
    )


ROUTES: Final = (web.get("/firmware/{workspace_id}/{sha256}/{name}", get_image, allow_head=False),)
