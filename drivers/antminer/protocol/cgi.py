"""The web side of a stock AntMiner: CGI scripts behind Digest, reading and changing kept apart.

Nobody's password goes to a host that has not shown twice what it is: by its API text (`stock`, told by the
driver) and by the realm of its own 401. Firmwares that took over the realm are why both are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from contract.errors import (
    LOGIN_FIX,
    AuthFailedError,
    MalformedError,
    PolicyRefusedError,
    UnsupportedError,
    WrongDeviceError,
)
from drivers.antminer.protocol.repair import decode_json
from drivers.base import Credentials, Permit
from drivers.http_client import REPLY_CAP_BYTES, HttpClient, StreamSink
from drivers.protocol.digest import Digest, parse_challenge
from drivers.protocol.http import FORM_TYPE, Response
from drivers.wire import FileBody, Wire

REALM_PREFIX: Final = "antminer"
AUTH_RETRY_S: Final = 300.0  # how long a refused password is not offered again by reads

# A GET of `reset_conf.cgi` wipes the device, so reading is an allow-list and never a crawl.
READS: Final = frozenset(
    {
        "get_system_info.cgi",
        "get_network_info.cgi",
        "miner_type.cgi",
        "get_miner_conf.cgi",
        "summary.cgi",
        "stats.cgi",
        "pools.cgi",
        "warning.cgi",
        "get_blink_status.cgi",
        "pool_protect.cgi",
        "log.cgi",
        "get_kernel_log.cgi",
        "get_miner_status.cgi",
    }
)
# The one look that the old firmware wants as a POST.
LOOKS: Final = frozenset({("blink.cgi", b"action=onPageLoaded")})
ACTS: Final = frozenset(
    {
        ("POST", "blink.cgi"),
        ("GET", "reboot.cgi"),
        ("POST", "reboot.cgi"),
        ("POST", "set_miner_conf.cgi"),
        ("POST", "upgrade.cgi"),
    }
)
# Not `/`: some builds answer that with a 404 and no challenge.
_ESTABLISH: Final = "/cgi-bin/get_system_info.cgi"


class Cgi:
    """The scripts of one miner.

    Every method raises UnreachableError, MalformedError, AuthFailedError (no or a wrong password), WrongDeviceError
    (this host is not a stock AntMiner: nothing secret was sent).
    """

    def __init__(self, wire: Wire, credentials: Credentials | None, *, stock: bool) -> None:
        self.stock = stock  # whether the API text is that of stock firmware
        self._wire = wire
        self._credentials = credentials
        self._digest = Digest()
        self._refused_until_mono: float | None = None
        self._http = HttpClient(wire)

    @property
    def realm(self) -> str | None:
        """The realm the miner asked a password for, once it did."""
        return self._digest.challenge.realm if self._digest.challenge else None

    @contextmanager
    def in_one(self) -> Iterator[None]:
        """The scripts that are read meanwhile share one connection, as long as the web server keeps it."""
        with self._wire.keeping(self._wire.endpoint.http_port):
            yield

    async def establish(self) -> None:
        """Have the miner ask for a password, without giving one: the realm is known from then on."""
        response = await self._http.send("GET", _ESTABLISH)
        if response.status != 401:
            raise WrongDeviceError(
                "its web server asks for no password, which no stock AntMiner does"
            )
        self._challenged(response)

    async def get(self, name: str, *, deadline_s: float | None = None) -> Response:
        """One script of READS; any status but 401 is given back (404: this generation lacks it)."""
        if name not in READS:
            raise PolicyRefusedError(f"{name} is not known to be free of effects")
        return await self._look("GET", name, deadline_s=deadline_s or self._wire.timing.read_s)

    async def look(self, name: str, body: bytes) -> Response:
        """One POST of LOOKS, which changes nothing."""
        if (name, body) not in LOOKS:
            raise PolicyRefusedError(f"POST {name} is not known to be free of effects")
        return await self._look("POST", name, body=body, deadline_s=self._wire.timing.read_s)

    async def get_json(self, name: str) -> Any:
        """The reply of a script of READS, repaired where firmwares are known to break it.

        Raises UnsupportedError for a 404 and MalformedError for any other status or text.
        """
        response = await self.get(name)
        if response.status == 404:
            raise UnsupportedError(f"this firmware has no {name}")
        if response.status != 200:
            raise MalformedError(f"{name} answered HTTP {response.status}")
        return decode_json(response.body)

    async def get_object(self, name: str) -> dict[str, Any]:
        """`get_json` of a script that gives an object; {} where this firmware has no such script."""
        try:
            value = await self.get_json(name)
        except UnsupportedError:
            return {}
        if not isinstance(value, dict):
            raise MalformedError(f"{name} answered with {type(value).__name__}, not an object")
        return value

    async def fetch(self, name: str, sink: StreamSink, *, cap_bytes: int) -> Response:
        """Stream a script's text into `sink`, at most `cap_bytes` of it (then `truncated`)."""
        if name not in READS:
            raise PolicyRefusedError(f"{name} is not known to be free of effects")
        return await self._look(
            "GET", name, deadline_s=self._wire.timing.log_s, sink=sink, cap_bytes=cap_bytes
        )

    async def act(
        self,
        method: str,
        name: str,
        body: bytes,
        permit: Permit,
        *,
        content_type: str = "application/json",
        deadline_s: float | None = None,
    ) -> Response:
        """Send a request of ACTS, which changes the miner. Gives any status but 401; the caller judges it.

        Sent once; once more only after a 401, which proves that the script did not run. Also raises what
        `effect.sending()` raises, and OutcomeUnknownError when the answer was lost.
        """
        return await self._act(
            method,
            name,
            body,
            permit,
            content_type=content_type,
            deadline_s=deadline_s or self._wire.timing.write_s,
        )

    async def upload(
        self, name: str, head: bytes, file: FileBody, permit: Permit, *, content_type: str
    ) -> Response:
        """`act` with a file: `head`, the part of the file, its tail. For multipart bodies of any size."""
        return await self._act(
            "POST",
            name,
            head,
            permit,
            content_type=content_type,
            deadline_s=self._wire.timing.upload_s,
            file=file,
        )

    def replace_credentials(self, credentials: Credentials | None) -> None:
        """Use another password from now on."""
        self._credentials = credentials
        self._refused_until_mono = None

    # --- private ---------------------------------------------------------------------------------

    async def _look(
        self,
        method: str,
        name: str,
        *,
        deadline_s: float,
        body: bytes = b"",
        sink: StreamSink | None = None,
        cap_bytes: int = REPLY_CAP_BYTES,
    ) -> Response:
        credentials = self._trusted()
        until = self._refused_until_mono
        if until is not None and self._wire.clock.mono() < until:
            raise AuthFailedError(f"the miner refuses our password; {LOGIN_FIX}")
        return await self._authorized(
            credentials,
            method,
            name,
            content_type=FORM_TYPE if body else None,
            body=body,
            deadline_s=deadline_s,
            cap_bytes=cap_bytes,
            sink=sink,
        )

    async def _act(
        self,
        method: str,
        name: str,
        body: bytes,
        permit: Permit,
        *,
        content_type: str,
        deadline_s: float,
        file: FileBody | None = None,
    ) -> Response:
        if (method, name) not in ACTS:
            raise PolicyRefusedError(f"{method} {name} is not one of the changes we make")
        credentials = self._trusted()
        if self._digest.challenge is None:
            await self.establish()  # so that a body is not sent only to be refused
        return await self._authorized(
            credentials,
            method,
            name,
            content_type=content_type if body else None,
            body=body,
            deadline_s=deadline_s,
            permit=permit,
            file=file,
        )

    async def _authorized(
        self,
        credentials: Credentials,
        method: str,
        name: str,
        *,
        content_type: str | None,
        **more: Any,
    ) -> Response:
        """Send it with our login; `more` as `HttpClient.send`."""
        path = f"/cgi-bin/{name}"
        for attempt in (1, 2):
            headers = self._authorization(credentials, method, path, content_type)
            response = await self._http.send(method, path, headers=headers, **more)
            if response.status != 401:
                return self._accepted(response)
            self._challenged(response)
            # The first 401 may only mean: no nonce yet, or one grown old. The second is about the password.
            if attempt == 2:
                break
        raise self._refused()

    def _trusted(self) -> Credentials:
        if not self.stock:
            raise WrongDeviceError("not known to be a stock AntMiner: no password is sent to it")
        if self._credentials is None:
            raise AuthFailedError(f"no password is configured for this miner; {LOGIN_FIX}")
        return self._credentials

    def _authorization(
        self, credentials: Credentials, method: str, path: str, content_type: str | None
    ) -> dict[str, str]:
        headers = {"Content-Type": content_type} if content_type else {}
        if self._digest.challenge is not None:
            headers["Authorization"] = self._digest.authorization(credentials, method, path)
        return headers

    def _challenged(self, response: Response) -> None:
        challenge = parse_challenge(response.headers.get("www-authenticate"))
        if challenge is None:
            raise WrongDeviceError("asks for a password in another way than a stock AntMiner does")
        if not is_stock_realm(challenge.realm):
            raise WrongDeviceError(
                f"its web server calls itself {challenge.realm[:40]!r}, which no stock AntMiner does"
            )
        self._digest.learn(challenge)

    def _accepted(self, response: Response) -> Response:
        if self._digest.challenge is None:
            raise WrongDeviceError(
                "its web server asks for no password, which no stock AntMiner does"
            )
        self._refused_until_mono = None
        return response

    def _refused(self) -> AuthFailedError:
        self._refused_until_mono = self._wire.clock.mono() + AUTH_RETRY_S
        return AuthFailedError(f"the miner refuses our password; {LOGIN_FIX}")


def is_stock_realm(realm: str) -> bool:
    """Whether a realm is the one of the stock web server (its spelling of case varies)."""
    return realm.lower().startswith(REALM_PREFIX)
