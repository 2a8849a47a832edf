"""The repository of releases, for agents and whoever else asks: GET of a file by its name, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from aiohttp import web

from cloud.context import SETTINGS
from cloud.http.errors import ApiError
from contract.link import RELEASES

_METADATA: Final = re.compile(r"timestamp\.json|[0-9]{1,9}\.(root|targets|snapshot)\.json")
_FOLDERS: Final = ("bundles", "channels")
_TARGET: Final = re.compile(r"[0-9a-f]{64}\.[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


async def get_metadata(request: web.Request) -> web.StreamResponse:
    """`GET /releases/metadata/{name}`. The timestamp may be kept by nobody on the way, all else for ever."""
    name = request.match_info["name"]
    if not _METADATA.fullmatch(name):
        raise ApiError(404, "There is no such file of releases")
    keep = "no-store" if name == "timestamp.json" else "public, max-age=86400, immutable"
    return _file(request, f"metadata/{name}", "application/json", keep)


async def get_target(request: web.Request) -> web.StreamResponse:
    """`GET /releases/targets/{folder}/{name}`: a bundle, or what a channel says."""
    folder, name = request.match_info["folder"], request.match_info["name"]
    if folder not in _FOLDERS or not _TARGET.fullmatch(name):
        raise ApiError(404, "There is no such file of releases")
    keep = "public, max-age=86400, immutable"
    return _file(request, f"targets/{folder}/{name}", "application/octet-stream", keep)


def _file(request: web.Request, path: str, kind: str, keep: str) -> web.StreamResponse:
    whole: Path = request.app[SETTINGS].data / "release" / "repository" / path
    if whole.is_symlink() or not whole.is_file():
        raise ApiError(404, "There is no such file of releases")
    if "," in request.headers.get("Range", ""):
        raise ApiError(416, "One range at a time")
    return web.FileResponse(
        whole,
        headers={
            "Content-Type": kind,
            "Cache-Control": keep,
            "X-Content-Type-Options": "nosniff",
        },
    )


ROUTES: Final = (
    web.get(f"{RELEASES}/metadata/{{name}}", get_metadata, allow_head=False),
    web.get(f"{RELEASES}/targets/{{folder}}/{{name}}", get_target, allow_head=False),
)
