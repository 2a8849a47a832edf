"""How operators' commands speak to a cloud that runs: by its API and a key, like every other client."""

from __future__ import annotations

import asyncio
import io
import os
import ssl
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import typer

from cloud.cli.terminal import fail

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
_KEY: Final = "MINER_CLOUD_KEY"
_KEY_FILE: Final = "MINER_CLOUD_KEY_FILE"
_ANSWER_S: Final = 120.0
_PAGE: Final = 1000  # items asked for at once

Url = Annotated[
    str,
    typer.Option("--url", envvar="MINER_CLOUD_URL", help="Where the cloud listens."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar=_KEY_FILE,
        readable=False,
        help=f"File with an API key; without it the key is taken from {_KEY}.",
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="MINER_CLOUD_CA_FILE",
        readable=False,
        help="Certificates to trust beside those of the system, PEM.",
    ),
]
Farm = Annotated[
    str | None,
    typer.Option(
        "--farm",
        envvar="MINER_CLOUD_FARM",
        help="Id or name of the farm; may be left out where there is one.",
    ),
]
URL_DEFAULT: Final = "http://127.0.0.1:8080"


class ApiRefusedError(Exception):
    """The cloud answered with an error. `status` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """The API of one cloud, for the workspace of one key."""

    def __init__(self, session: aiohttp.ClientSession, workspace: Mapping[str, Any]) -> None:
        self._session = session
        self.workspace = workspace
        self.root = f"/private-api/v1/{workspace['id']}"

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The answer to a GET of a path below the workspace. Raises ApiRefusedError."""
        return await call(self._session, "GET", self.root + path, query=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a POST. Raises ApiRefusedError."""
        return await call(self._session, "POST", self.root + path, body=body)

    async def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a PUT. Raises ApiRefusedError."""
        return await call(self._session, "PUT", self.root + path, body=body)

    async def put_piece(self, path: str, piece: bytes, content_range: str) -> dict[str, Any]:
        """The answer to a PUT of a piece of a file, which has the range. Raises ApiRefusedError."""
        return await call(
            self._session, "PUT", self.root + path, piece=piece, content_range=content_range
        )

    async def delete(self, path: str) -> dict[str, Any]:
        """The answer to a DELETE. Raises ApiRefusedError."""
        return await call(self._session, "DELETE", self.root + path)

    async def every(self, path: str, query: Mapping[str, str] | None = None) -> list[Any]:
        """All items of a list that is read by GET, page after page."""
        found: list[Any] = []
        while True:
            page = {"page": str(len(found) // _PAGE + 1), "pageSize": str(_PAGE)}
            answer = await self.get(path, {**(query or {}), **page})
            found += answer["data"]
            if not answer["pagination"]["hasNext"]:
                return found

    async def farm(self, wanted: str | None) -> dict[str, Any]:
        """The farm of that id or name; the only one for None. Exit 2 where that is not one farm."""
        farms = await self.every("/farms")
        named = [each for each in farms if wanted is None or wanted in (each["id"], each["name"])]
        known = ", ".join(f"{each['name']} ({each['id']})" for each in farms) or "none"
        if wanted is None and len(named) != 1:
            fail(f"say which farm by --farm: {known}", 2)
        if len(named) != 1:
            number = len(named) or "no"
            fail(f"--farm {wanted}: {number} farm has that id or name; there is {known}", 2)
        return dict(named[0])


def with_api(
    url: str,
    key_file: Path | None,
    ca_file: Path | None,
    work: Callable[[Api], Coroutine[Any, Any, T]],
) -> T:
    """Run one piece of work on a cloud. What goes wrong is said in one line: exit 1, or 2 where no key is given."""
    key = _key(key_file)
    if not _is_address(url):
        fail(f"--url {url} is no address such as {URL_DEFAULT}", 2)

    async def run() -> T:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        connector = aiohttp.TCPConnector(ssl=context)
        try:
            async with aiohttp.ClientSession(
                url, headers={"x-api-key": key}, timeout=timeout, connector=connector
            ) as session:
                found = await call(session, "GET", "/private-api/v1/workspaces")
                return await work(Api(session, found["data"][0]))
        except aiohttp.ClientConnectorCertificateError as error:
            fail(
                f"the certificate of {url} is not trusted ({error.certificate_error}); --ca-file or "
                "MINER_CLOUD_CA_FILE names its authority: tls/ca.pem in the cloud's data directory",
                1,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            refused = isinstance(getattr(error, "os_error", None), ConnectionRefusedError)
            reason = "connection refused" if refused else str(error) or type(error).__name__
            fail(f"no cloud answers at {url}: {reason}; --url says where it listens", 1)

    try:
        return asyncio.run(run())
    except ApiRefusedError as error:
        fail(str(error), 1)
    except (OSError, ssl.SSLError) as error:
        fail(f"--ca-file {ca_file}: {error.strerror or error}", 2)


async def call(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
    piece: bytes | None = None,
    content_range: str | None = None,
) -> dict[str, Any]:
    """One request and its answer: with a `body` as JSON, or with a piece of a file as it is. Raises ApiRefusedError,
    with the faults that were found on a line each.
    """
    raw_body = piece if body is None else msgspec.json.encode(body)
    data = None if raw_body is None else io.BytesIO(raw_body)
    headers = None if content_range is None else {"Content-Range": content_range}
    async with session.request(method, path, params=query, data=data, headers=headers) as response:
        raw = await response.read()
    try:
        answer = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        raise ApiRefusedError(
            response.status, f"{response.url} answers {response.status} and no JSON: is it a cloud?"
        ) from None
    if response.status < 400 and isinstance(answer, dict):
        return answer
    message = answer.get("message", "") if isinstance(answer, dict) else ""
    faults = message if isinstance(message, list) else [message]
    raise ApiRefusedError(response.status, "\n".join(map(str, faults)) or f"{response.status}")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, a bracket that is not closed
        return False


def _key(key_file: Path | None) -> str:
    if key_file is None:
        key = os.environ.get(_KEY, "")
        if not key.strip():
            fail(f"give a key: a file by --key-file or {_KEY_FILE}, or the key itself in {_KEY}", 2)
        return key.strip()
    try:
        key = key_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        fail(f"--key-file {key_file} cannot be read: {reason.lower()}", 2)
    if not key.isprintable() or not key or " " in key:
        fail(f"--key-file {key_file} holds no key", 2)
    return key
