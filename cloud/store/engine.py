"""The door to the database: many readers, one writer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

# The driver is loaded here, not at the first connection: root may act by then as one who cannot read where Python is.
import aiosqlite  # noqa: F401
import msgspec
import sqlalchemy as sa
import sqlalchemy.dialects.sqlite.aiosqlite
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError as DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from service.files import make_private
from service.ownfolder import check_files, check_folder

DATABASE_NAME: Final = "cloud.db"
# How long to wait for another process (the command line beside the server).
_BUSY_MS: Final = 30_000
_BEGIN: Final = "begin_with"
LOCK_NAME: Final = "serve.lock"  # of the data directory, held by whoever serves it
_KEPT: Final = frozenset(
    {DATABASE_NAME.removesuffix(".db"), LOCK_NAME, "link-secret", "files", "firmware", "tls"}
)
T = TypeVar("T")
Connection = AsyncConnection  # of one transaction, in words of ours for rooms that touch no SQL

__all__ = [
    "DATABASE_NAME",
    "LOCK_NAME",
    "Connection",
    "DatabaseError",
    "NoCloudError",
    "Store",
    "chunks",
    "prepare",
    "rows",
    "sqlite_url",
]


class NoCloudError(Exception):
    """There is no database in the data directory."""


class Store:
    """One database. `read()` and `write()` give a connection inside a transaction.

    A write holds the only writer's place until its block ends: do no network call inside. It is
    committed when the block ends and undone if it raises.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._writer = asyncio.Lock()

    @classmethod
    def at(cls, url: str) -> Store:
        """For an SQLAlchemy URL, as `sqlite_url` makes it."""
        engine = create_async_engine(
            url, json_serializer=_to_json, json_deserializer=msgspec.json.decode, pool_size=4
        )
        if engine.dialect.name == "sqlite":
            _tune_sqlite(engine)
        return cls(engine)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view; writes here are refused by nobody but belong into `write`."""
        async with self._connection() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction of the one writer. Durable when the block was left without an error."""
        async with self._writer, self._connection() as connection:
            # Taking the write lock first means that a transaction never fails half way because
            # another process wrote in between.
            await connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """Whoever is cancelled while one is opened does not leave it half open: nobody would ever close it."""
        opening = asyncio.ensure_future(self.engine.connect().start())
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(DatabaseError):
                await (await opening).close()
            raise
        async with AsyncExitStack() as opened:
            opened.push_async_exit(connection)
            yield connection

    async def close(self) -> None:
        await self.engine.dispose()


def sqlite_url(data: Path) -> str:
    """The embedded database of a data directory."""
    return f"sqlite+aiosqlite:///{data / DATABASE_NAME}"


def prepare(data: Path, *, make: bool = False) -> str:
    """See that a data directory is ours, and that nobody else can read the database in it; gives its URL. `make` makes
    both where they are missing. Raises NoCloudError, ForeignFolderError, OSError.
    """
    if make:
        check_folder(data)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if data.is_dir():
        check_files(data, _KEPT)
    if not make and not (data / DATABASE_NAME).is_file():
        raise NoCloudError(
            f"there is no cloud in {data}: is --data right? `miner-cloud workspace create` makes one"
        )
    make_private(data / DATABASE_NAME)
    return sqlite_url(data)


def rows(result: sa.CursorResult[Any]) -> list[dict[str, Any]]:
    """All rows as dicts."""
    return [dict(row) for row in result.mappings()]


def chunks(items: Sequence[T], size: int = 500) -> list[Sequence[T]]:
    """Pieces small enough for one `IN (...)`: SQLite caps the number of bound values."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _tune_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # an acknowledged report must survive a power cut: the agent forgets it
            f"busy_timeout={_BUSY_MS}",
            "foreign_keys=ON",
            "cache_size=-16000",
            "secure_delete=ON",  # a password that is no longer in a row is not in the file either
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
