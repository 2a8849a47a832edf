"""The web side of an IceRiver: `POST /user/<action>` and a number for the operation, reading and changing kept apart.

Number 2 of `userpanel` wipes the device and 3 restarts it, so both lists below are closed and 2 is in neither. Stock
firmware asks for no login; one that does says so by a code, is then given one once, and asked again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from contract.errors import (
    LOGIN_FIX,
    AuthFailedError,
    BusyError,
    MalformedError,
    OutcomeUnknownError,
    PolicyRefusedError,
    ServiceAwayError,
    UnsupportedError,
    WrongDeviceError,
)
from drivers.base import Credentials, Effect
from drivers.http_client import HttpClient, StreamSink
from drivers.iceriver.protocol.forms import form_of
from drivers.iceriver.protocol.replies import (
    Answer,
    DaemonSilentError,
    LoginExpiredError,
    checked,
    decode_web,
    error_of,
)
from drivers.protocol.http import FORM_TYPE, Response
from drivers.wire import FileBody, Wire


class Operation(NamedTuple):
    """What one of the forms does: the action in the path, and the number in its field `post`."""

    action: str
    post: int

    def __str__(self) -> str:
        return f"{self.action} {self.post}"


PANEL: Final = Operation("userpanel", 4)
CONFIG: Final = Operation("machineconfig", 1)
LOG: Final = Operation("logconfig", 1)
LIGHT: Final = Operation("userpanel", 5)
REBOOT: Final = Operation("userpanel", 3)
SET_POOLS: Final = Operation("machineconfig", 2)  # before September 2023 fan and mode as well
SET_FAN_AND_MODE: Final = Operation("machineconfig", 3)  # since September 2023
UPLOAD: Final = Operation("firconfig", 2)

READS: Final = frozenset({PANEL, CONFIG, LOG})
ORDERS: Final = frozenset({LIGHT, REBOOT, SET_POOLS, SET_FAN_AND_MODE, UPLOAD})
PAGE_EVERY_S: Final = 600.0  # the least time between two pages of megabytes
AUTH_RETRY_S: Final = 300.0  # how long a refused password is not offered again by reads


class IceriverWeb:
    """The operations of one miner's web side.

    Every method raises UnreachableError (ServiceAwayError: only the daemon behind the web side is away) and
    MalformedError; AuthFailedError where the firmware wants a login and ours is missing or wrong; WrongDeviceError when
    something else than the web side of stock firmware answers.
    """

    def __init__(self, wire: Wire, credentials: Credentials | None) -> None:
        self._wire = wire
        self._credentials = credentials
        self._cookies: dict[str, str] = {}
        self._refused_until_mono: float | None = None
        self._no_page_until_mono = 0.0
        self._http = HttpClient(wire)

    def replace_credentials(self, credentials: Credentials | None) -> None:
        """Use another password from now on."""
        self._credentials = credentials
        self._refused_until_mono = None

    async def front_page(self, *, deadline_s: float | None = None) -> Response:
        """`GET /`, whatever the status; the body is cut at a cap. Free of effects on any device."""
        return await self._http.send("GET", "/", deadline_s=deadline_s, truncate=True)

    async def ask(
        self, action: str, post: int, *, deadline_s: float | None = None
    ) -> dict[str, Any]:
        """The data of one operation of READS.

        Also raises UnsupportedError where this firmware lacks it and RefusedError (and its kin) for another code.
        """
        operation = Operation(action, post)
        if operation not in READS:
            raise PolicyRefusedError(f"{operation} is not known to be free of effects")
        deadline_s = deadline_s or self._wire.timing.read_s
        try:
            return checked(await self._post(operation, {}, deadline_s), str(operation))
        except LoginExpiredError:
            await self._log_in_again()
        return checked(await self._post(operation, {}, deadline_s), str(operation))

    async def fetch(
        self, action: str, post: int, sink: StreamSink, *, cap_bytes: int, deadline_s: float
    ) -> Response:
        """Stream the body of one operation of READS into `sink`, at most `cap_bytes` of it (then `truncated`).

        The web server takes twice the memory of such a page and gives none back, so soon after another one BusyError
        is raised instead, with nothing sent.
        """
        operation = Operation(action, post)
        if operation not in READS:
            raise PolicyRefusedError(f"{operation} is not known to be free of effects")
        if self._wire.clock.mono() < self._no_page_until_mono:
            raise BusyError(
                f"its web server gave such a page less than {PAGE_EVERY_S / 60:g} minutes ago, and another one so "
                "soon may bring it down: try later"
            )
        self._no_page_until_mono = self._wire.clock.mono() + self._wire.timing.device_s(
            PAGE_EVERY_S
        )
        response = await self._http.send(
            "POST",
            f"/user/{operation.action}",
            headers=self._headers(),
            body=form_of(operation.post, {}),
            deadline_s=deadline_s,
            cap_bytes=cap_bytes,
            sink=sink,
        )
        _check_status(response, str(operation))
        return response

    async def order(
        self,
        action: str,
        post: int,
        fields: Mapping[str, str],
        effect: Effect,
        *,
        deadline_s: float | None = None,
    ) -> Answer:
        """Send an operation of ORDERS, which changes the miner: once, and once more only after the code that proves
        that a login was wanted first. The answer has code 0; what the miner then does is not known from it.

        Also raises what `effect.sending()` raises; BadParamsError for a form that would break the firmware (nothing is
        sent); UnsupportedError, RefusedError and its kin, BadFirmwareError, which prove that nothing was executed; and
        OutcomeUnknownError when the answer was lost, or the web side lost the daemon's.
        """
        operation = Operation(action, post)
        if operation not in ORDERS:
            raise PolicyRefusedError(f"{operation} is not one of the changes we make")
        body = form_of(operation.post, fields)
        path = f"/user/{operation.action}"
        return await self._act(
            operation, path, FORM_TYPE, body, effect, deadline_s or self._wire.timing.write_s
        )

    async def upload(
        self,
        head: bytes,
        file: FileBody,
        effect: Effect,
        *,
        content_type: str,
        keep_config: bool = True,
        deadline_s: float | None = None,
    ) -> Answer:
        """`order` of a firmware file: `head`, the part of the file, its tail, as one multipart body of any size."""
        keeps = "true" if keep_config else "false"
        path = f"/user/{UPLOAD.action}?post={UPLOAD.post}&keepconfig={keeps}"
        return await self._act(
            UPLOAD, path, content_type, head, effect, deadline_s or self._wire.timing.upload_s, file
        )

    async def log_in(self) -> None:
        """Have our password checked. Stock firmware makes no session of it. Raises AuthFailedError for a wrong one."""
        if self._credentials is None:
            raise AuthFailedError(
                f"the miner wants a login and no password is configured for it; {LOGIN_FIX}"
            )
        until = self._refused_until_mono
        if until is not None and self._wire.clock.mono() < until:
            raise AuthFailedError(f"the miner refuses our password; {LOGIN_FIX}")
        fields = {"user": self._credentials.user, "pwd": self._credentials.password}
        answer = await self._post(_LOGIN, fields, self._wire.timing.read_s)
        try:
            checked(answer, "login")
        except AuthFailedError:
            self._refused_until_mono = self._wire.clock.mono() + AUTH_RETRY_S
            raise
        self._refused_until_mono = None
        self._cookies = _COOKIES | self._cookies

    # --- private ---------------------------------------------------------------------------------

    async def _log_in_again(self) -> None:
        self._cookies.clear()
        await self.log_in()

    async def _post(
        self, operation: Operation, fields: Mapping[str, str], deadline_s: float
    ) -> Answer:
        response = await self._http.send(
            "POST",
            f"/user/{operation.action}",
            headers=self._headers(),
            body=form_of(operation.post, fields),
            deadline_s=deadline_s,
        )
        self._keep_cookies(response)
        _check_status(response, str(operation))
        return decode_web(response.body)

    async def _act(
        self,
        operation: Operation,
        path: str,
        content_type: str,
        body: bytes,
        effect: Effect,
        deadline_s: float,
        file: FileBody | None = None,
    ) -> Answer:
        for attempt in (1, 2):
            response = await self._http.send(
                "POST",
                path,
                headers=self._headers(content_type),
                body=body,
                deadline_s=deadline_s,
                effect=effect,
                file=file,
            )
            self._keep_cookies(response)
            try:
                return _judged(response, operation)
            except LoginExpiredError:
                if attempt == 2:
                    raise
                await self._log_in_again()
        raise AssertionError("unreachable")

    def _headers(self, content_type: str = FORM_TYPE) -> dict[str, str]:
        headers = {"Content-Type": content_type}
        if (
            self._cookies
        ):  # stock firmware sets none: only the scripts of its pages do, for themselves
            headers["Cookie"] = "; ".join(
                f"{name}={value}" for name, value in self._cookies.items()
            )
        return headers

    def _keep_cookies(self, response: Response) -> None:
        text = response.headers.get("set-cookie", "")[:4096]
        for name, value in _SET_COOKIE.findall(text)[:_COOKIES_CAP]:
            if name in self._cookies or len(self._cookies) < _COOKIES_CAP:
                self._cookies[name] = value


def _judged(response: Response, operation: Operation) -> Answer:
    """The answer to an order, where it proves what became of it."""
    what = str(operation)
    if response.status not in (200, 404):
        # A handler that crashed may have done its work before.
        raise OutcomeUnknownError(f"{what} answered HTTP {response.status}")
    _check_status(response, what)
    try:
        answer = decode_web(response.body)
    except MalformedError as broken:
        raise OutcomeUnknownError(f"{what} was answered with {broken}") from None
    if answer.code == 0:
        return answer
    error = error_of(answer.code, answer.message, what)
    # Several orders to the daemon lie behind a form of the configuration: the first may have been carried out.
    if isinstance(error, DaemonSilentError) or (
        isinstance(error, ServiceAwayError) and operation.action == SET_POOLS.action
    ):
        raise OutcomeUnknownError(str(error))
    raise error


def _check_status(response: Response, what: str) -> None:
    if response.status == 404:
        raise UnsupportedError(f"this firmware has no {what} (HTTP 404)")
    if response.status in _ELSEWHERE:
        raise WrongDeviceError(
            f"its web side wants something else first (HTTP {response.status}), as no stock firmware does"
        )
    if response.status != 200:
        raise MalformedError(f"{what} answered HTTP {response.status}")


_LOGIN: Final = Operation("loginpost", 6)
_COOKIES: Final = {"ctime": "1", "language": "en"}  # what the pages set themselves once logged in
_COOKIES_CAP: Final = 8
_SET_COOKIE: Final = re.compile(r"(?:^|, )([A-Za-z0-9_.\-]{1,64})=([A-Za-z0-9_.+/=:\-]{0,256})")
_ELSEWHERE: Final = (301, 302, 303, 307, 308, 401, 403)
