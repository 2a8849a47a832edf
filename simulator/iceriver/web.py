"""Port 80: pages for browsers, and `/user/<action>`, which hands everything on to the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from simulator.http import HttpConnection, WebRequest, WebResponse
from simulator.iceriver.actions import ACTIONS, Action
from simulator.iceriver.bridge import Bridge, LostError, WebError
from simulator.iceriver.catalogue import Variant
from simulator.iceriver.forms import fields
from simulator.iceriver.render import render
from simulator.net import ListeningPort

if TYPE_CHECKING:
    from simulator.iceriver.device import IceriverDevice

LOGIN_EXPIRED: Final = 1004
_SLOWEST_S: Final = 8.0  # chosen by us
_HTML: Final = ("Content-Type", "text/html")
_HEADERS: Final = (
    ("Vary", "Accept-Encoding"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-XSS-Protection", "1; mode=block"),
)
_PAGES: Final = (
    "/",
    *(f"/user/{name}" for name in ["login", "user", "machine", "ip", "system", "fir", "log"]),
)
_PAGE: Final = (
    '<!DOCTYPE html><HTML><HEAD><META charset="utf-8"><TITLE>用户界面</TITLE></HEAD>'
    '<BODY><DIV id="app"></DIV><SCRIPT src="/js/user.js"></SCRIPT></BODY></HTML>'
)
_MISSING: Final = "<HTML><HEAD><TITLE>Document Error: Not Found</TITLE></HEAD><BODY></BODY></HTML>"


class AppwebConnection(HttpConnection):
    """Appweb does not tell its name."""

    server: ClassVar[str | None] = None


class IceriverWebServer:
    """The web layer: it takes memory with each page, and has no session of any kind."""

    def __init__(self, miner: IceriverDevice) -> None:
        self.miner = miner
        self._memory = miner.web
        self._bridge = Bridge(miner)

    def connection(self, listener: ListeningPort) -> HttpConnection:
        return AppwebConnection(self.miner, listener, self._serve)

    async def _serve(self, request: WebRequest) -> WebResponse:
        miner = self.miner
        self._memory.loads += 1
        if self._memory.is_used_up:
            miner.sync_listeners()
            return WebResponse(drop=True)
        if (worn := self._memory.worn) > 0:
            await miner.clock.sleep(_SLOWEST_S * worn)
        if not miner.spec.speaks_stock_web:
            return WebResponse(302, headers=(("Location", f"https://{miner.ip}{request.target}"),))
        action = ACTIONS.get(request.path.removeprefix("/user/"))
        if request.method == "POST" and action is not None:
            try:
                return await self._act(request, action)
            except LostError as lost:
                return WebResponse(drop=True) if lost.hangs_up else WebResponse(hold=True)
        if request.method == "POST" or request.path not in _PAGES:
            return WebResponse(404, _MISSING.encode(), (_HTML, *_HEADERS))
        etag = ("ETag", "1685935579")
        return WebResponse(
            200, _PAGE.encode(), (_HTML, *_HEADERS, etag, ("Accept-Ranges", "bytes"))
        )

    async def _act(self, request: WebRequest, action: Action) -> WebResponse:
        faults = self.miner.faults
        # the selector of an upload is in the query: where else could it be
        is_upload = "multipart" in request.headers.get("content-type", "")
        given = fields(request, with_query=is_upload or "query_ignored" not in faults)
        text = f"{request.line} post={given.get('post', '')}"
        if faults.take("login_page", text=text):
            return WebResponse(200, _PAGE.encode(), (_HTML, *_HEADERS))
        if told := faults.take("answers_error", text=text):
            code = int(told.args.get("code", LOGIN_EXPIRED))
            return self._reply(
                _error(self.miner, WebError(code, str(told.args.get("message", ""))))
            )
        work = action.works.get(given.get("post", ""))
        if (action.unknown, given.get("post")) == ("machineConfig", "3") and (
            self.miner.variant is Variant.A
        ):
            work = None
        if work is None:
            return self._reply({"data": action.unknown})
        if action.unknown == "loginpost":
            self._memory.logged_in = False
        elif "wants_login" in faults and not self._memory.logged_in:
            return self._reply(_error(self.miner, WebError(LOGIN_EXPIRED, "(null)")))
        try:
            result = await work(self._bridge, given, request)
        except WebError as error:
            return self._reply(_error(self.miner, error))
        self._memory.logged_in = self._memory.logged_in or action.unknown == "loginpost"
        return self._reply({"error": 0, "data": result.data, "message": result.message})

    def _reply(self, document: dict[str, Any]) -> WebResponse:
        faults = self.miner.faults
        if "error" in document and faults.take("no_error_key"):
            del document["error"]
        odd = faults.get("odd_content_type")
        kind = ("Content-Type", str(odd.args.get("type", "image/png"))) if odd else _HTML
        chunked = "chunked_web" in faults
        body = render(document).encode("utf-8", "surrogateescape")
        return WebResponse(200, body, (kind, *_HEADERS), length=not chunked, chunked=chunked)


def _error(miner: IceriverDevice, error: WebError) -> dict[str, Any]:
    empty: Any = {} if miner.variant is Variant.A else []
    return {"error": error.code, "data": empty, "message": error.message}
