"""`miner-cloud firmware`: images for miners, uploaded once and given to tasks by name."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final
from urllib.parse import quote

import typer

from cloud.cli.api import URL_DEFAULT, Api, ApiRefusedError, CaFile, KeyFile, Url, with_api
from cloud.cli.terminal import AsJson, fail, printable_lines, say, table

firmware = typer.Typer(
    no_args_is_help=True, help="Images for miners: uploaded once, given to tasks by name."
)
_PIECE: Final = 4 * 1024 * 1024  # sent at once; what arrived is not sent again
_TRIES: Final = 3  # of one piece, after its answer was lost
_WAIT_S: Final = 2.0
_COLUMNS: Final = ("name", "make", "models", "version", "size_bytes", "complete", "created_at")
_Name = Annotated[str, typer.Argument(metavar="NAME")]


@firmware.command("add")
def firmware_add(
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False)],
    name: Annotated[str, typer.Option(help="What tasks call it.")],
    make: Annotated[str, typer.Option(help="Bitmain, MicroBT or IceRiver.")],
    model: Annotated[
        list[str],
        typer.Option(help="A model that it is for, such as 'S19j Pro' or 'S21*'; several times."),
    ],
    version: Annotated[
        str | None,
        typer.Option(help="As such a miner tells it: tasks check that this is what runs then."),
    ] = None,
    notes: Annotated[str | None, typer.Option(help="For people.")] = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Upload an image. Given again after it broke off, it goes on from what had arrived."""
    try:
        with file.open("rb") as opened:
            size_bytes = file.stat().st_size
            body = {
                "name": name,
                "make": make,
                "models": model,
                "file_name": file.name[-150:],
                "size_bytes": size_bytes,
                "sha256": hashlib.file_digest(opened, "sha256").hexdigest(),
                **({} if version is None else {"version": version}),
                **({} if notes is None else {"notes": notes}),
            }

            async def work(api: Api) -> dict[str, Any]:
                item = dict((await api.post("/firmware", body))["data"])
                await _send(api, item, opened)
                return dict((await api.get(_path(item["name"])))["data"])

            told = with_api(url, key_file, ca_file, work)
    except OSError as error:
        fail(f"{file} cannot be read: {(error.strerror or str(error)).lower()}", 2)
    words = f"firmware {told['name']} is in the library: {told['size_bytes']} bytes, sha256 {told['sha256']}"
    say(told, words, as_json)


@firmware.command("list")
def firmware_list(
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """All images of the workspace."""
    found = with_api(url, key_file, ca_file, lambda api: api.every("/firmware"))
    if not as_json:
        found = [each | {"models": ", ".join(each["models"])} for each in found]
    table(found, _COLUMNS, as_json)


@firmware.command("show")
def firmware_show(
    name: _Name,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """All that is known of one."""

    async def work(api: Api) -> dict[str, Any]:
        return dict((await api.get(_path(name)))["data"])

    told = with_api(url, key_file, ca_file, work)
    shown = told | {"models": ", ".join(told["models"])}
    lines = (f"{key}: {'-' if value is None else value}" for key, value in shown.items())
    say(told, "\n".join(lines), as_json)


@firmware.command("remove")
def firmware_remove(
    name: _Name,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Forget one. Refused while an open task needs it."""

    async def work(api: Api) -> dict[str, Any]:
        return dict((await api.delete(_path(name)))["data"])

    told = with_api(url, key_file, ca_file, work)
    say(told, f"firmware {told['name']} is removed", as_json)


async def _send(api: Api, item: dict[str, Any], file: BinaryIO) -> None:
    """The bytes that the cloud has not, piece by piece. Raises ApiRefusedError."""
    size, received, is_complete = item["size_bytes"], item["received"], item["complete"]
    while not is_complete:
        await asyncio.to_thread(file.seek, received)
        piece = await asyncio.to_thread(file.read, _PIECE)
        span = f"{received}-{received + len(piece) - 1}" if piece else "*"
        answer = await _piece(api, f"{_path(item['name'])}/file", piece, f"bytes {span}/{size}")
        is_complete = answer["complete"]
        if not piece and not is_complete:
            raise ApiRefusedError(0, "The file became shorter while it was sent: add it again")
        received = answer["received"]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{received * 100 // size} %" + ("\n" if is_complete else ""))
            sys.stderr.flush()


async def _piece(api: Api, path: str, piece: bytes, content_range: str) -> dict[str, Any]:
    """Sent once more where no answer came: the cloud leaves out what it has."""
    import aiohttp

    for left in reversed(range(_TRIES)):
        try:
            return await api.put_piece(path, piece, content_range)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            if not left:
                raise
            sys.stderr.write(f"{printable_lines(str(error) or type(error).__name__)}; once more\n")
            await asyncio.sleep(_WAIT_S)
    raise AssertionError("the last try raises")


def _path(name: str) -> str:
    return f"/firmware/{quote(name, safe='')}"
