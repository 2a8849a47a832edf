"""The published API over HTTP: who may call it, how much they may send, and how long they may take.

On loopback without a token, every user of this host may call; but no web page may in the name of a browser here: one
that shows an `Origin`, or a `Host` that is not of this host (a name that was made to point here), is refused.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from agent.config.file import ConfigError, why
from agent.config.keyfiles import read_secret
from agent.config.subscriptions import ListenAddress, SubscriptionsSection, listen_address
from agent.subscriptions.api import ApiAnswer, SubscriptionApi
from contract.hosts import is_loopback

BODY_MAX: Final = 64 * 1024  # bytes
CONNECTIONS_MOST: Final = 32
IDLE_S: Final = 15.0  # for all of a head, from the connection or the last answer on
BODY_S: Final = 10.0
ANSWER_S: Final = 30.0  # for an answer to be taken
_HANDSHAKE_S: Final = 10.0
_GOODBYE_S: Final = 1.0
_SCHEME: Final = "bearer "

log: Any = structlog.get_logger(__name__)


def check_listen(section: SubscriptionsSection, *, port_too: bool) -> None:
    """Raises ConfigError where `SubscriptionServer` would; `port_too`: nobody should listen there yet."""
    _secret(section)
    _context(section)
    if section.listen is None or not port_too:
        return
    at = listen_address(section.listen)
    try:
        socket.create_server(at, family=_family(at)).close()
    except OSError as error:
        raise _not_served(at, error) from None


class SubscriptionServer:
    """Listens where the section says; not at all where it says nothing."""

    def __init__(self, api: SubscriptionApi, section: SubscriptionsSection) -> None:
        """Raises ConfigError for files that cannot be used."""
        self._api = api
        self._at = None if section.listen is None else listen_address(section.listen)
        self._secret = _secret(section)
        self._context = _context(section)
        self._web = web.Server(self._handle)
        self._arriving: set[asyncio.BaseProtocol] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises ConfigError, which names the key, when the address is taken."""
        if self._at is None:
            return
        secure: dict[str, Any] = {}
        if self._context is not None:
            secure = {"ssl": self._context, "ssl_handshake_timeout": _HANDSHAKE_S}
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._connected, self._at.host, self._at.port, backlog=CONNECTIONS_MOST, **secure
            )
        except OSError as error:
            raise _not_served(self._at, error) from None
        log.info("subscriptions.listening", host=self._at.host, port=self._at.port)

    async def stop(self) -> None:
        """Close the door; calls under way are cut: what they sent is settled by the ledger."""
        if self._server is None:
            return
        self._server.close()
        await self._web.shutdown(_GOODBYE_S)
        await self._server.wait_closed()

    def _connected(self) -> asyncio.BaseProtocol:
        if len(self._web.connections) + len(self._arriving) >= CONNECTIONS_MOST:
            return _TurnedAway()
        loop = asyncio.get_running_loop()
        line = _Line(
            self._web,
            loop=loop,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=IDLE_S,
            lingering_time=_GOODBYE_S,
        )
        if self._context is not None:
            # aiohttp knows of it once its handshake is done
            self._arriving.add(line)
            loop.call_later(_HANDSHAKE_S, self._arriving.discard, line)
            line.on_made = partial(self._arriving.discard, line)
        return line

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with asyncio.timeout(BODY_S):
                answer = await self._refusal_or_body(request)
        except TimeoutError:
            answer = _error(408, f"the body did not arrive within {BODY_S:.0f} s")
        except ConnectionError:
            answer = _error(400, "the body broke off")
        if isinstance(answer, bytes):
            content_type = request.headers.get("Content-Type")
            answer = await self._answer(request, answer, content_type)
        response = _response(answer)
        if not request.content.at_eof():
            response.force_close()  # the rest of a body that nobody wants
        try:
            async with asyncio.timeout(ANSWER_S):
                await response.prepare(request)
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _answer(
        self, request: web.BaseRequest, body: bytes, content_type: str | None
    ) -> ApiAnswer:
        try:
            return await self._api.answer(request.method, request.path, body, content_type)
        except Exception as error:
            log.exception("subscriptions.bug")
            return _error(500, f"internal error in the daemon: {type(error).__name__}")

    async def _refusal_or_body(self, request: web.BaseRequest) -> ApiAnswer | bytes:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return _error(415, "a body is taken as it is, not compressed")
        body = bytearray()
        if (request.content_length or 0) > BODY_MAX:
            return _error(413, f"the body is larger than {BODY_MAX} bytes")
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > BODY_MAX:
                return _error(413, f"the body is larger than {BODY_MAX} bytes")
        return bytes(body)

    def _refusal(self, request: web.BaseRequest) -> ApiAnswer | None:
        headers = request.headers
        if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
            return _error(403, "web pages may not call this")
        if self._secret is None:
            if not is_loopback(_host_of(headers.get("Host", ""))):
                return _error(403, "the Host must be this host: 127.0.0.1, [::1] or localhost")
            return None
        shown = headers.get("Authorization", "")
        scheme, token = shown[: len(_SCHEME)].lower(), shown[len(_SCHEME) :]
        is_ours = hmac.compare_digest(token.encode("utf-8", "replace"), self._secret)
        if scheme != _SCHEME or not is_ours:
            return _error(401, "a bearer token is needed: Authorization: Bearer TOKEN")
        return None


class _Line(web.RequestHandler):
    """One connection. What is not HTTP is refused in the form of every other refusal."""

    __slots__ = ("on_made",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_made: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.on_made is not None:
            self.on_made()
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called by aiohttp for a head it cannot read."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = _response(_error(status, f"the request cannot be read: {(message or '')[:200]}"))
        response.force_close()
        return response


class _TurnedAway(asyncio.Protocol):
    """As many are here as may."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        log.warning("subscriptions.full", most=CONNECTIONS_MOST)
        cast("asyncio.Transport", transport).abort()  # of whatever class uvloop's are


def _response(answer: ApiAnswer) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if answer.allow is not None:
        headers["Allow"] = answer.allow
    if answer.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if answer.document is None:
        return web.Response(status=answer.status, headers=headers)
    return web.json_response(answer.document, status=answer.status, headers=headers)


def _error(status: int, message: str) -> ApiAnswer:
    return ApiAnswer(status=status, document={"error": message})


def _host_of(header: str) -> str:
    with suppress(ValueError):
        return urlsplit(f"//{header}").hostname or ""
    return ""


def _secret(section: SubscriptionsSection) -> bytes | None:
    return None if section.token_file is None else read_secret(section.token_file).encode()


def _context(section: SubscriptionsSection) -> ssl.SSLContext | None:
    if section.tls_cert is None or section.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(section.tls_cert, section.tls_key)
    except ssl.SSLError:
        raise ConfigError(
            f"{section.tls_cert} (tls_cert) and {section.tls_key} (tls_key) are no certificate with its key in PEM"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{section.tls_cert} (tls_cert) or {section.tls_key} (tls_key) cannot be read: {why(error)}"
        ) from None
    return context


def _family(at: ListenAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in at.host else socket.AF_INET


def _not_served(at: ListenAddress, error: OSError) -> ConfigError:
    return ConfigError(
        f"subscriptions cannot be served at {at.host}:{at.port}: {why(error)}; see listen in [subscriptions]"
    )
