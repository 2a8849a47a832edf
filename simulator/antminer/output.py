"""What scripts of the web server give back: pages, JSON, and plain text as a shell script prints it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from simulator.antminer.catalogue import Generation
from simulator.http import WebRequest, WebResponse

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

Script = Callable[["AntminerDevice", WebRequest], Awaitable[WebResponse]]


def page(status: int, title: str, *headers: tuple[str, str]) -> WebResponse:
    """A page the server itself makes."""
    body = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    )
    return WebResponse(status, body.encode(), (("Content-Type", "text/html"), *headers))


def json_output(miner: AntminerDevice, document: Any) -> WebResponse:
    """A script's JSON."""
    return script_output(miner, json.dumps(document))


def code_output(miner: AntminerDevice, code: str, message: str) -> WebResponse:
    """A script's refusal."""
    return json_output(miner, {"stats": "error", "code": code, "msg": message})


def script_output(miner: AntminerDevice, text: str, *, status: int = 200) -> WebResponse:
    """What a shell script printed: two blank lines first, no length, and hardly a type."""
    is_old = miner.spec.generation is Generation.OLD
    return WebResponse(
        status,
        b"\n\n" + text.encode(),
        () if is_old else (("Content-Type", "text/html"),),
        length=False,
        chunked=miner.spec.chunked,
    )
