"""How the Mining Rig Monitor API says no: its own bodies in place of the operator API's."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from cloud.http.errors import ApiError, Handler, json_response
from cloud.http.statuses import words_of
from contract.rigmonitor.shared import PREFIX

NO_CODE: Final = {"message": "API_CODE does not exist in request header."}
BAD_CODE: Final = {"message": "Invalid API_CODE"}  # as published; server 5.0.0 words it otherwise
log = structlog.get_logger(__name__)


class MachineError(Exception):
    """A machine's call that is refused. Without a body of its own it says what the status means."""

    def __init__(
        self, status: int, body: object = None, *, headers: dict[str, str] | None = None
    ) -> None:
        words = words_of(status)
        super().__init__(words)
        self.status = status
        self.body = {"errors": {"detail": words}} if body is None else body
        self.headers = headers or {}

    @property
    def response(self) -> web.Response:
        return json_response(self.body, status=self.status, headers=self.headers)


@web.middleware
async def machine_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives every failure under the API's prefix its form. A wrong method is an unknown path there."""
    if not f"{request.path}/".startswith(f"{PREFIX}/"):
        return await handler(request)
    try:
        return await handler(request)
    except MachineError as error:
        return error.response
    except ApiError as error:
        return MachineError(error.status).response
    except web.HTTPException as error:
        if error.status < 400:
            raise
        status = 404 if error.status == 405 else error.status
        return MachineError(status).response
    except (HttpProcessingError, web.RequestPayloadError, ConnectionError):
        return MachineError(HTTPStatus.BAD_REQUEST).response
    except Exception:
        # The outermost edge of this API: beyond it aiohttp would answer in plain text. It is a bug of ours or the
        # database's failure, told whole to the log and as a bare 500 to the machine. A cancellation passes.
        log.exception("machine_call.failed", method=request.method, path=request.path[:200])
        return MachineError(HTTPStatus.INTERNAL_SERVER_ERROR).response
