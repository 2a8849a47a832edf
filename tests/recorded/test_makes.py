"""Every real device whose replies were recorded is met as the make that it is, or as nobody: never as another make."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from contract.clock import SystemClock
from contract.errors import MinerError
from contract.miner import Endpoint
from drivers.base import Credentials
from drivers.registry import recognise
from drivers.stranger import Stranger
from tests.drivers.servers import FAST, Behaviour, address, serving
from tests.recorded.where import needs, recordings_of

ROOT = recordings_of("antminer").parent
pytestmark = needs(ROOT)

_COMMANDS: Final = (
    "version|stats|summary|pools|devs|edevs|devdetails|temps|fans|status|"
    "get_version|get_miner_info|get_psu|get_error_code"
)
_OF_API: Final = re.compile(rf"(?P<device>.*?)(?P<command>{_COMMANDS})(\.malformed)?\.(json|txt)")
_PAGE: Final = "<HTML><TITLE>用户界面</TITLE></HTML>".encode()

# Recorded without the reply that tells what they are.
UNTELLING: Final = {
    "whatsminer/legacy/m20s-",  # of its statistics alone
    "whatsminer/v2-compat/m60s-farm-",  # without its version
}


def devices() -> dict[str, dict[str, bytes]]:
    """What each recorded device answers on port 4028, by its folder and its own part of the files' names."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    for make in ("antminer/rpc", "antminer/other-firmware", "whatsminer"):
        for path in sorted((ROOT / make).rglob("*")):
            match = _OF_API.fullmatch(path.name)
            if match is not None and not {"doc-examples", "v3"} & set(path.parts):
                folder = path.parent.relative_to(ROOT).as_posix()
                found[f"{folder}/{match['device']}"][match["command"]] = path.read_bytes()
    return dict(found)


def speaking(replies: Mapping[str, bytes], make: str) -> Behaviour:
    """Port 4028 of a device: what was not recorded is a command that it does not know."""
    refusal: dict[str, Any] = {"STATUS": "E", "When": 1, "Code": 14, "Msg": "invalid cmd"}
    if make == "antminer" or b'"Description": "cgminer' in b"".join(replies.values()):
        refusal = {"STATUS": [refusal | {"Description": "cgminer 1.0.0"}], "id": 1}

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = msgspec.json.decode(await reader.read(4096))
        writer.write(replies.get(asked.get("command"), json.dumps(refusal).encode()) + b"\0")

    return behave


def framed(body: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(len(body).to_bytes(4, "little") + body)

    return behave


def paged(panel: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(4096):
            body = panel if asked.startswith(b"POST /user/userpanel ") else _PAGE
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return behave


async def make_of(**behaviours: Behaviour) -> str | None:
    """Which make it is met as; `None`: nobody's."""
    async with AsyncExitStack() as on:
        host = address()
        ports = {
            name: (await on.enter_async_context(serving(behave, host))).rpc_port
            for name, behave in behaviours.items()
        }
        closed = dict.fromkeys({"http_port", "rpc_port", "v3_port", "daemon_port"} - set(ports), 9)
        try:
            found = await recognise(
                Endpoint(host=host, **ports, **closed),
                clock=SystemClock(),
                timing=FAST,
                credentials=lambda _: Credentials("root", "root"),
            )
        except MinerError:
            return None
        return None if isinstance(found, Stranger) else found.make


async def test_no_recorded_device_is_met_as_another_make() -> None:
    met = {
        name: await make_of(rpc_port=speaking(replies, name.split("/")[0]))
        for name, replies in devices().items()
        if set(replies) & {"version", "stats", "summary", "get_version", "status", "devdetails"}
    }
    assert len(met) > 25
    wrong = {name: make for name, make in met.items() if make not in {None, name.split("/")[0]}}
    assert wrong == {}
    assert {name for name, make in met.items() if make is None} == UNTELLING


async def test_the_recorded_answers_of_port_4433_are_those_of_whatsminers() -> None:
    for path in sorted((ROOT / "whatsminer").rglob("*get_device_info.json")):
        assert await make_of(v3_port=framed(_compact(path))) == "whatsminer", path


async def test_the_recorded_panels_are_those_of_icerivers() -> None:
    for path in sorted((ROOT / "iceriver").glob("*-userpanel-post4*.json")):
        assert await make_of(http_port=paged(path.read_bytes())) == "iceriver", path


def _compact(path: Path) -> bytes:
    return json.dumps(json.loads(path.read_text())).encode()
