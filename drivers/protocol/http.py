"""As much HTTP/1.1 as a miner's web server needs, without a socket: requests as bytes, replies as records.

No redirects are followed, nothing is decompressed, and what the headers claim of the content is not believed:
CGI scripts of miners send no Content-Type or a wrong one, and often no length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from contract.errors import MalformedError

FORM_TYPE: Final = "application/x-www-form-urlencoded"
HEAD_CAP_BYTES: Final = 16 * 1024
HEADERS_CAP: Final = 64
_CHUNK_LINE_CAP_BYTES: Final = 256
# What a hostile server may make us do in a hurry: a reply of nothing but headers, or of chunks of a byte each,
# costs hundreds of times the work of an honest one of the same size.
_INTERIM_CAP: Final = 8
_TINY_CHUNK_BYTES: Final = 16
_TINY_CHUNKS_CAP: Final = 4096
_NO_BODY: Final = (204, 304)


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One reply. Header names are lower case, values of repeated ones joined by ", ".

    `truncated` when the body went over its cap and the rest was not waited for.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    size_bytes: int = 0
    truncated: bool = False


class BodySink(Protocol):
    """Takes the body of a 200 piece by piece."""

    def write(self, data: bytes) -> object: ...


def build_request(
    method: str,
    path: str,
    host: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    more_bytes: int = 0,
    keep: bool = False,
) -> bytes:
    """One request as one string of bytes. `more_bytes` follow `body` by other means and are counted in its length.
    `keep`: the connection is to be kept behind the reply.

    Raises ValueError for a path or header that would break out of its line.
    """
    connection = "keep-alive" if keep else "close"
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"Connection: {connection}",
        "Accept: */*",
    ]
    if method != "GET" or body or more_bytes:
        lines.append(f"Content-Length: {len(body) + more_bytes}")
    lines.extend(f"{name}: {value}" for name, value in (headers or {}).items())
    if " " in path or any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a request line or header holds a blank or a line end")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class ResponseDecoder:
    """Collects one reply: by Content-Length, chunked, or until the miner hangs up. Interim 1xx are skipped.

    A body over `body_cap_bytes` is malformed, or with `truncate` is cut there. With `sink` the body of a
    status 200 goes there instead of into the Response.
    """

    def __init__(
        self, *, body_cap_bytes: int, sink: BodySink | None = None, truncate: bool = False
    ) -> None:
        self._cap = body_cap_bytes
        self._to = sink
        self._truncate = truncate
        self._buffer = bytearray()
        self._head: tuple[int, dict[str, str]] | None = None
        self._body = bytearray()
        self._size = 0
        self._left: int | None = None  # of the body or of the current chunk; None: until the end
        self._chunked = False
        self._in_trailer = False
        self._at_chunk_end = False
        self._interims = 0
        self._tiny_chunks = 0
        self.stays = False
        """Whether the server keeps the connection behind the reply, and sent nothing after it."""

    def feed(self, data: bytes) -> Response | None:
        """Take more bytes (b"" for the end of the stream). Raises MalformedError."""
        if not data:
            return self._end()
        self._buffer += data
        while self._head is None:
            head = self._take_head()
            if head is None:
                return None
            if head[0] >= 200:
                self._begin_body(*head)
                break
            self._interims += 1
            if self._interims > _INTERIM_CAP:
                raise MalformedError("HTTP reply that only begins, again and again")
        return self._take_chunks() if self._chunked else self._take_body()

    # --- private ---------------------------------------------------------------------------------

    def _take_head(self) -> tuple[int, dict[str, str]] | None:
        # not beyond the cap: the search is done again for every head and every piece
        at = self._buffer.find(b"\n\r\n", 0, HEAD_CAP_BYTES + 3)
        bare = self._buffer.find(
            b"\n\n", 0, HEAD_CAP_BYTES + 3
        )  # scripts that print their own headers forget the CR
        size = 3
        if bare >= 0 and (at < 0 or bare < at):
            at, size = bare, 2
        if at < 0:
            if len(self._buffer) > HEAD_CAP_BYTES:
                raise MalformedError(f"HTTP headers over {HEAD_CAP_BYTES} bytes")
            _check_start(self._buffer)
            return None
        if at > HEAD_CAP_BYTES:
            raise MalformedError(f"HTTP headers over {HEAD_CAP_BYTES} bytes")
        text = bytes(self._buffer[:at]).decode("latin-1")
        del self._buffer[: at + size]
        return _parse_head(text)

    def _begin_body(self, status: int, headers: dict[str, str]) -> None:
        self._head = (status, headers)
        if status != 200:
            self._to = None
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length")
        if status in _NO_BODY:
            self._chunked, self._left = False, 0
        elif self._chunked:
            self._left = 0
        elif length is not None:
            self._left = _length(length)
            if self._left > self._cap and not self._truncate:
                raise MalformedError(f"HTTP body of {self._left} bytes, over {self._cap}")

    def _take_body(self) -> Response | None:
        if self._left is not None:
            self.stays = len(self._buffer) == self._left and self._is_kept()
            del self._buffer[self._left :]  # what follows the body is not ours
            self._left -= len(self._buffer)
        is_cut = self._keep(bytes(self._buffer))
        self._buffer.clear()
        if not is_cut and self._left != 0:
            return None
        return self._response(truncated=is_cut)

    def _take_chunks(self) -> Response | None:
        while True:
            if self._left:
                part = bytes(self._buffer[: self._left])
                del self._buffer[: len(part)]
                self._left -= len(part)
                if self._keep(part):
                    return self._response(truncated=True)
                if self._left:
                    return None
                self._at_chunk_end = True
            at = self._buffer.find(b"\n")
            if at < 0:
                if len(self._buffer) > _CHUNK_LINE_CAP_BYTES:
                    raise MalformedError("HTTP chunk without a size")
                return None
            line = bytes(self._buffer[:at]).strip()
            del self._buffer[: at + 1]
            if self._in_trailer:
                if not line:
                    self.stays = not self._buffer and self._is_kept()
                    return self._response()
            elif line or not self._at_chunk_end:  # an empty line ends the chunk before
                self._begin_chunk(line)
            else:
                self._at_chunk_end = False

    def _begin_chunk(self, line: bytes) -> None:
        self._left = _chunk_size(line)
        self._in_trailer = self._left == 0
        self._at_chunk_end = False
        self._tiny_chunks += self._left < _TINY_CHUNK_BYTES
        if self._tiny_chunks > _TINY_CHUNKS_CAP:
            raise MalformedError(f"over {_TINY_CHUNKS_CAP} HTTP chunks of a few bytes")

    def _keep(self, data: bytes) -> bool:
        """Take a piece of the body; whether it was cut at the cap."""
        room = self._cap - self._size
        is_cut = len(data) > room
        if is_cut:
            if not self._truncate:
                raise MalformedError(f"HTTP body over {self._cap} bytes")
            data = data[:room]
        self._size += len(data)
        if self._to is not None:
            self._to.write(data)
        else:
            self._body += data
        return is_cut

    def _is_kept(self) -> bool:
        assert self._head is not None
        return self._head[1].get("connection", "").lower() != "close"

    def _end(self) -> Response:
        if self._head is None:
            if not self._buffer:
                raise MalformedError("the web server hung up without an answer")
            raise MalformedError("HTTP reply cut in its headers")
        # Chunks that merely lack their last line are a cut too: a script may have died in between.
        if self._chunked or self._left:
            raise MalformedError(f"HTTP body cut after {self._size} bytes")
        return self._response()

    def _response(self, *, truncated: bool = False) -> Response:
        assert self._head is not None
        status, headers = self._head
        return Response(
            status=status,
            headers=headers,
            body=bytes(self._body),
            size_bytes=self._size,
            truncated=truncated,
        )


def _check_start(data: bytearray) -> None:
    """Say early that this is no HTTP: some ports answer in another language and keep the line open."""
    start = bytes(data[:5])
    if not b"HTTP/".startswith(start) and start != b"HTTP/":
        raise MalformedError("the web port does not speak HTTP")


def _parse_head(text: str) -> tuple[int, dict[str, str]]:
    first, *rest = text.split("\n")
    parts = first.split(None, 2)
    if (
        len(parts) < 2
        or not parts[0].startswith("HTTP/")
        or len(parts[1]) != 3
        or not (parts[1].isascii() and parts[1].isdigit())
        or parts[1] < "100"
    ):
        raise MalformedError("the web port does not speak HTTP")
    if len(rest) > HEADERS_CAP:
        raise MalformedError(f"more than {HEADERS_CAP} HTTP headers")
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            continue  # scripts print stray lines before their body; they carry nothing we use
        key, value = name.strip().lower(), value.strip()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return int(parts[1]), headers


def _length(text: str) -> int:
    values = {part.strip() for part in text.split(",")}
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()) or len(value) > 15:
        raise MalformedError("HTTP Content-Length is no number")
    return int(value)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 12 or digits.strip(b"0123456789abcdefABCDEF"):
        raise MalformedError("HTTP chunk size is no number")
    return int(digits, 16)
