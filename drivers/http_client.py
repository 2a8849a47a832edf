"""HTTP with the web server of one miner: one request is one exchange of its wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from drivers.base import Permit
from drivers.protocol.http import BodySink, Response, ResponseDecoder, build_request
from drivers.wire import Drain, FileBody, Wire

REPLY_CAP_BYTES: Final = 64 * 1024  # of a body that is not streamed
OVERHEAD_BYTES: Final = 64 * 1024  # headers and chunk sizes on top of a body's cap


class StreamSink(BodySink, Drain, Protocol):
    """Takes a body piece by piece and brings it to disk while the miner waits."""


class HttpClient:
    """The web port of one miner, or another `port` that speaks HTTP."""

    def __init__(self, wire: Wire, port: int | None = None) -> None:
        self._wire = wire
        endpoint = wire.endpoint
        self._port = endpoint.http_port if port is None else port
        self._host = endpoint.host if self._port == 80 else f"{endpoint.host}:{self._port}"

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        deadline_s: float | None = None,
        cap_bytes: int = REPLY_CAP_BYTES,
        truncate: bool = False,
        sink: StreamSink | None = None,
        permit: Permit | None = None,
        file: FileBody | None = None,
    ) -> Response:
        """The reply to one request, whatever its status. A body over `cap_bytes` is malformed, or cut there with
        `truncate`, and with `sink`, where it goes then. With `effect` the request changes the miner; `file` then
        follows `body`. `deadline_s` is that of a read where not given. Raises as `Wire.exchange`.
        """
        more_bytes = file.total_bytes if file else 0
        return await self._wire.exchange(
            self._port,
            build_request(
                method,
                path,
                self._host,
                headers=headers,
                body=body,
                more_bytes=more_bytes,
                keep=permit is None and self._wire.keeps(self._port),
            ),
            ResponseDecoder(
                body_cap_bytes=cap_bytes, sink=sink, truncate=truncate or sink is not None
            ),
            deadline_s=deadline_s or self._wire.timing.read_s,
            cap_bytes=cap_bytes + OVERHEAD_BYTES,
            permit=permit,
            body=file,
            sink=sink,
        )
