"""How such hosts serve a port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from simulator.hosts.catalogue import Pages, RpcApi, Said, Speech
from simulator.http import HttpConnection, WebRequest, WebResponse
from simulator.net import Connection, ListeningPort

if TYPE_CHECKING:
    import asyncio

    from simulator.device import Device


def door(host: Device, kind: str, said: Said) -> ListeningPort:
    """The port of that kind, with what is said there."""
    number = host.ports[kind]
    if isinstance(said, Pages):
        return ListeningPort(
            host.ip, number, lambda port: _PageConnection(host, port, said), tls=kind == "https"
        )
    if isinstance(said, RpcApi):
        return ListeningPort(host.ip, number, lambda port: _ApiConnection(host, port, said))
    return ListeningPort(
        host.ip,
        number,
        lambda port: _SpokenConnection(host, port, kind, said),
        one_by_one=said.one_by_one,
    )


class _PageConnection(HttpConnection):
    server = None

    def __init__(self, host: Device, listener: ListeningPort, pages: Pages) -> None:
        super().__init__(host, listener, self._page)
        self._host = host
        self._pages = pages

    async def _page(self, request: WebRequest) -> WebResponse:
        pages = self._pages
        is_read = request.method in ("GET", "HEAD")
        if request.path != "/" and pages.elsewhere != pages.status:
            return WebResponse(pages.elsewhere)
        if not is_read and pages.elsewhere != pages.status:
            return WebResponse(405)
        headers = [(name, text.replace("{ip}", self._host.ip)) for name, text in pages.headers]
        return WebResponse(
            pages.status, pages.body.encode(), (("Content-Type", "text/html"), *headers)
        )


class _ApiConnection(Connection):
    """One read, one reply with a NUL behind it, the end."""

    kind = "rpc"

    def __init__(self, host: Device, listener: ListeningPort, api: RpcApi) -> None:
        super().__init__(host, listener)
        self._api = api
        self._served = False

    def data_received(self, data: bytes) -> None:
        self.device.tap(self.listener.port, self.kind, data, had_credentials=False)
        if not self._served:
            self._served = True
            self.send(self._answer(data) + b"\0", close=True)

    def _answer(self, data: bytes) -> bytes:
        try:
            section, row = self._api.replies[json.loads(data.rstrip(b"\0\r\n "))["command"]]
        except (ValueError, TypeError, KeyError):
            return msgspec.json.encode(
                {"STATUS": [self._status("E", 14, "Invalid command")], "id": 1}
            )
        status = self._status("S", 11, section)
        return msgspec.json.encode({"STATUS": [status], section: [row], "id": 1})

    def _status(self, letter: str, code: int, text: str) -> dict[str, str | int]:
        return {"STATUS": letter, "Code": code, "Msg": text, "Description": self._api.description}


class _SpokenConnection(Connection):
    def __init__(self, host: Device, listener: ListeningPort, kind: str, said: Speech) -> None:
        super().__init__(host, listener)
        self.kind = kind
        self._said = said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._said.greeting and self.transport is not None:
            self.transport.write(self._said.greeting)

    def data_received(self, data: bytes) -> None:
        self.device.tap(self.listener.port, self.kind, data, had_credentials=False)
        if self._said.echoes and self.transport is not None:
            self.transport.write(data)
