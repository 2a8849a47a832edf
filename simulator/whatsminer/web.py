"""The web page of the control board: an address to log in at, and nothing behind it.

Drivers write by the API only; the page is there because scanners recognise the device by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.http import HttpConnection, WebRequest, WebResponse

if TYPE_CHECKING:
    from simulator.net import ListeningPort
    from simulator.whatsminer.device import WhatsminerDevice

TLS_PORT: Final = 443
_LUCI: Final = "/cgi-bin/luci"
_HTML: Final = ("Content-Type", "text/html")
_INDEX: Final = (
    '<?xml version="1.0"?><html><head><meta http-equiv="refresh" content="0; URL=/cgi-bin/luci"/>'
    '</head><body><a href="/cgi-bin/luci">LuCI - Lua Configuration Interface</a></body></html>'
)
_LOGIN: Final = (
    '<html><head><title>WhatsMiner - LuCI</title></head><body><form action="/cgi-bin/luci">'
    '<input name="luci_username"><input name="luci_password" type="password"></form></body></html>'
)


class SecureConnection(HttpConnection):
    """Port 443."""

    kind = "https"


def web_connection(
    miner: WhatsminerDevice, listener: ListeningPort, *, is_tls: bool = False
) -> HttpConnection:
    """One connection to the page, or to the port that sends everyone to it."""

    async def move(request: WebRequest) -> WebResponse:
        return WebResponse(307, headers=(("Location", f"https://{miner.ip}{request.target}"),))

    async def page(request: WebRequest) -> WebResponse:
        if request.path == "/":
            return WebResponse(200, _INDEX.encode(), (_HTML,))
        if request.path.startswith(_LUCI):  # whoever asks is not logged in
            return WebResponse(403, _LOGIN.encode(), (_HTML,))
        return WebResponse(404, b"not found", (_HTML,))

    if is_tls:
        return SecureConnection(miner, listener, page)
    return HttpConnection(miner, listener, move)
