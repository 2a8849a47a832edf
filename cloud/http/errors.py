"""How every refusal looks: `{"statusCode": 404, "message": "...", "error": "Not Found"}`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from cloud.http.statuses import words_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger(__name__)


class ApiError(Exception):
    """A request that is answered with an error body. Several messages become an array."""

    def __init__(
        self,
        status: int,
        message: str | Sequence[str],
        *,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message if isinstance(message, str) else "; ".join(message))
        self.status = status
        self.message: str | list[str] = message if isinstance(message, str) else list(message)
        self.headers = headers or {}
        self.extra = extra or {}


def error_response(
    status: int,
    message: str | Sequence[str],
    *,
    headers: dict[str, str] | None = None,
    extra: dict[str, Any] | None = None,
) -> web.Response:
    """The error body. `extra` adds keys beside the three."""
    body = {"statusCode": status, "message": message, "error": words_of(status)}
    return json_response(body | (extra or {}), status=status, headers=headers)


def json_response(
    body: object, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Any msgspec-encodable body as JSON."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives every failure the one form. An unexpected exception is our bug: logged with its trace, answered as 500."""
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error.status, error.message, headers=error.headers, extra=error.extra)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {
            name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers
        }
        return error_response(error.status, _words(request, error), headers=kept)
    except HttpProcessingError as error:  # a body that is not in the encoding it claims
        return error_response(400, f"The body cannot be read: {error.message}")
    except (web.RequestPayloadError, ConnectionError) as error:
        return error_response(400, f"The body ended early or cannot be read: {error}")
    except Exception:
        log.exception("request.failed", method=request.method, path=request.path[:200])
        return error_response(500, "Internal error; the server's log says more")


def _words(request: web.Request, error: web.HTTPException) -> str:
    match error.status:
        case 404:
            return f"Cannot {request.method} {request.path[:200]}"
        case 405:
            return f"Method {request.method} is not allowed for {request.path[:200]}"
        case 413:
            return "The body is too large"
        case _:
            return words_of(error.status)
