"""The server side of HTTP/1.1, as small as an embedded web server, and its Digest."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from simulator.net import Connection, Host, ListeningPort

MAX_HEAD: Final = 16 * 1024
MAX_BODY: Final = 256 * 1024 * 1024
_REASONS: Final = {
    200: "OK",
    204: "No Content",
    302: "Found",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Request Entity Too Large",
    417: "Expectation Failed",
    500: "Internal Server Error",
}


@dataclass(frozen=True, slots=True)
class WebRequest:
    """One request, whole. Header names are in small letters."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    client_gone: Callable[[], bool] = lambda: False
    """True once the client has hung up; a script may leave traces when that happens."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"


@dataclass(frozen=True, slots=True)
class WebResponse:
    """One answer.

    `length` False: no Content-Length is sent and the end of the body is the end of the connection
    (`chunked` True: chunks instead, where the client keeps the connection). `drop`: hang up
    without an answer. `hold`: never answer, and leave the connection open.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    length: bool = True
    chunked: bool = False
    drop: bool = False
    hold: bool = False


Handler = Callable[[WebRequest], Awaitable[WebResponse]]


@dataclass(slots=True)
class DigestGate:
    """Digest (RFC 2617, MD5) without memory: a nonce is never old, `nc` is never looked at."""

    realm: str
    user: str = "root"
    issued: int = field(default=0)

    def challenge(self, *, secret: str, opaque: bool = False, stale: bool = False) -> str:
        """The value of WWW-Authenticate, with a nonce not given before."""
        self.issued += 1
        nonce = hashlib.md5(f"{secret}:{self.issued}".encode()).hexdigest()
        text = f'Digest realm="{self.realm}", nonce="{nonce}", qop="auth"'
        if opaque:
            text += f', opaque="{hashlib.md5(secret.encode()).hexdigest()}", algorithm=MD5'
        return text + (", stale=true" if stale else "")

    def admits(self, request: WebRequest, password: str) -> bool:
        """True when the Authorization of that request proves the password for that target."""
        given = parse_digest(request.headers.get("authorization", ""))
        if given is None or given.get("username") != self.user or given.get("realm") != self.realm:
            return False
        if given.get("uri") != request.target or not given.get("nonce"):
            return False
        ha1 = _md5(f"{self.user}:{self.realm}:{password}")
        ha2 = _md5(f"{request.method}:{request.target}")
        if given.get("qop"):
            middle = f"{given['nonce']}:{given.get('nc', '')}:{given.get('cnonce', '')}:auth"
        else:
            middle = given["nonce"]
        return given.get("response") == _md5(f"{ha1}:{middle}:{ha2}")


_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


def parse_digest(header: str) -> dict[str, str] | None:
    """The fields of a Digest Authorization, or None when it is no such thing."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest":
        return None
    return {name.lower(): quoted or bare for name, quoted, bare in _PAIR.findall(rest)}


class HttpConnection(Connection):
    """Parses requests one after another and hands each to the device."""

    kind = "http"
    is_http = True
    server: ClassVar[str | None] = "lighttpd/1.4.32"
    """The name it gives itself, `None` where it gives none."""

    def __init__(self, device: Host, listener: ListeningPort, handler: Handler) -> None:
        super().__init__(device, listener)
        self._handler = handler
        self._buffer = bytearray()
        self._parsed: _Head | None = None
        self._busy = False
        self._done = False
        self._eof = False

    def data_received(self, data: bytes) -> None:
        if self._done:
            return
        self._buffer += data
        if not self._busy:
            self._advance()

    def eof_received(self) -> bool:
        # only a running script keeps the line; to the server a half-closed client is gone
        self._eof = True
        return self._busy and not self._done

    def connection_lost(self, exc: Exception | None) -> None:
        if self._buffer and not self._busy and not self._done:
            self._tap(bytes(self._buffer), {})  # a request that never became whole
        super().connection_lost(exc)

    def _advance(self) -> None:
        if self._parsed is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD:
                    self._refuse(413)
                return
            raw = bytes(self._buffer[: end + 4])
            del self._buffer[: end + 4]
            self._parsed = _parse_head(raw)
            if self._parsed is None:
                self._tap(raw, {})
                self._refuse(400)
                return
            if refusal := self._parsed.refusal():
                self._tap(raw, self._parsed.headers)
                self._refuse(refusal)
                return
        head = self._parsed
        if len(self._buffer) < head.length:
            return
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        self._parsed = None
        self._tap(head.raw + body, head.headers)
        request = WebRequest(
            head.method,
            head.target,
            head.headers,
            body,
            head.keep_alive,
            client_gone=lambda: self._eof or self.transport is None,
        )
        if self.attack(request.line):
            self._done = True
            return
        self._busy = True
        self.device.spawn(self._serve(request))

    async def _serve(self, request: WebRequest) -> None:
        # runs on the device, not on the connection: a CGI goes on when its client has gone
        if slow := self.device.faults.take("slow_cgi", text=request.line, port="http"):
            # the fault's own measure, in real seconds: a client's patience does not live faster
            await asyncio.sleep(float(slow.args.get("seconds", 5)))
        response = await self._handler(request)
        if self.transport is None or response.hold:
            self._done = True
            return
        if response.drop:
            self._done = True
            self.transport.close()
            return
        keep = self._answer(request, response)
        self._busy = False
        self._done = not keep
        if keep and self._buffer:
            self._advance()

    def _answer(self, request: WebRequest, response: WebResponse) -> bool:
        body = self.spoil(response.body, request.line)
        head = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Status')}"]
        head += [f"{name}: {value}" for name, value in response.headers]
        keep = request.keep_alive and not self._eof
        if response.length:
            head.append(f"Content-Length: {len(body)}")
        elif response.chunked and keep:
            head.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        else:
            keep = False
        head.append("Connection: keep-alive" if keep else "Connection: close")
        if self.server is not None:
            head.append(f"Server: {self.server}")
        if request.method == "HEAD":
            body = b""
        self.send("\r\n".join([*head, "", ""]).encode() + body, close=not keep, text=request.line)
        return keep

    def _refuse(self, status: int) -> None:
        self._done = True
        text = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        self.send(text.encode(), close=True)

    def _tap(self, raw: bytes, headers: dict[str, str]) -> None:
        secret = (
            "authorization" in headers or "cookie" in headers or b"authorization:" in raw.lower()
        )
        self.device.tap(self.listener.port, self.kind, raw, had_credentials=secret)


@dataclass(frozen=True, slots=True)
class _Head:
    raw: bytes
    method: str
    target: str
    headers: dict[str, str]
    keep_alive: bool

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    def refusal(self) -> int | None:
        """The status with which this server turns the request away unread, if it does."""
        given = self.headers.get("content-length")
        if "transfer-encoding" in self.headers or (self.method == "POST" and given is None):
            return 411
        if given is not None and not given.isdigit():
            return 400
        if self.length > MAX_BODY:
            return 413
        return 417 if "expect" in self.headers else None


def _parse_head(raw: bytes) -> _Head | None:
    lines = raw.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
        return None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    asked = headers.get("connection", "").lower()
    keep = asked != "close" if parts[2] == "HTTP/1.1" else asked == "keep-alive"
    return _Head(raw, parts[0], parts[1], headers, keep)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
