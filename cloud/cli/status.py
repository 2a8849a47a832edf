"""`miner-cloud status`: what is wrong with a farm, on one screen."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

from cloud.cli.api import URL_DEFAULT, Api, ApiRefusedError, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.given import Select, filters_of, moment_of
from cloud.cli.status_page import farm_page, farms_page
from cloud.cli.terminal import AsJson

_CLEAR: Final = "\x1b[H\x1b[J"
_SERVER_FAILED: Final = 500


def status(
    url: Url = URL_DEFAULT,
    farm: Farm = None,
    select: Select = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only what went wrong since: 3h, 12:00, 2026-11-29."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[
        float, typer.Option("--every", min=1, max=86_400, help="Seconds between, with --watch.")
    ] = 10.0,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong, at a glance: of one farm, or a line for each. Exit 1 when something is wrong."""
    filters = filters_of(select)
    if since is not None:
        moment = moment_of(since).isoformat(timespec="seconds")
        filters = {**filters, "wrong_since": {"gte": moment}}

    async def work(api: Api) -> bool:
        from aiohttp import ClientError

        farms = [await api.farm(farm)] if farm is not None else await _farms(api)
        while True:
            is_fine = False
            try:
                found = [await _status(api, each, filters) for each in farms]
            except (ClientError, TimeoutError, ApiRefusedError) as error:
                if not watch or getattr(error, "status", _SERVER_FAILED) < _SERVER_FAILED:
                    raise
                _show(f"{str(error) or type(error).__name__}; asked again in {every:g} s", watch)
            else:
                is_fine = all(each["is_fine"] for each in found)
                _show(_text(found, as_json), watch and not as_json)
            if not watch:
                return is_fine
            await asyncio.sleep(every)

    if not with_api(url, key_file, ca_file, _until_stopped(work) if watch else work):
        raise typer.Exit(1)


def _until_stopped(
    work: Callable[[Api], Coroutine[Any, Any, bool]],
) -> Callable[[Api], Coroutine[Any, Any, bool]]:
    """The same until a signal ends it, which is no failure; also where it came ignored from whoever started us (a
    shell's background job).
    """

    async def watched(api: Api) -> bool:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await work(api)
        except asyncio.CancelledError:
            return True

    return watched


async def _farms(api: Api) -> list[dict[str, Any]]:
    """Those that are in use."""
    return [each for each in await api.every("/farms") if not each["archived"]]


async def _status(api: Api, farm: Mapping[str, Any], filters: Mapping[str, Any]) -> dict[str, Any]:
    path = f"/farms/{farm['id']}/status"
    answer = await (api.post(path, filters) if filters else api.get(path))
    return dict(answer["data"])


def _text(found: Sequence[Mapping[str, Any]], as_json: bool) -> str:
    if as_json:
        is_fine = all(each["is_fine"] for each in found)
        return msgspec.json.encode({"is_fine": is_fine, "farms": found}).decode()
    return farm_page(found[0]) if len(found) == 1 else farms_page(found)


def _show(text: str, clear: bool) -> None:
    if clear and sys.stdout.isatty():
        sys.stdout.write(_CLEAR)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
