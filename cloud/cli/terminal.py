"""What the commands of `miner-cloud` share: their options, the database, what they print and how they fail."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import msgspec
import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from contract.texts import not_blank, plain, printable
from contract.words import in_words

if TYPE_CHECKING:
    from cloud.store.engine import Store

T = TypeVar("T")
_NAME_MAX = 255  # characters


def _checked_name(name: str) -> str:
    """Of an option: what a record may be called. Raises BadParameter."""
    try:
        not_blank(plain(name))
    except ValueError as error:
        raise typer.BadParameter(f"it {error}") from None
    if len(name) > _NAME_MAX:
        raise typer.BadParameter(f"it has {len(name)} characters, and may have {_NAME_MAX}")
    return name


Name = Annotated[str, typer.Option(callback=_checked_name)]
# Whether it can be read we say ourselves, with its owner and what to do.
Data = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="MINER_CLOUD_DATA",
        readable=False,
        help="Directory of database and files.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Workspace = Annotated[str | None, typer.Option("--workspace", help="Only those of this workspace.")]


class Commands(TyperGroup):
    """Commands that say what is wrong with a value in words of ours: the parser takes them from the library that checks
    it.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message = "; ".join(map(in_words, error.__cause__.errors(include_url=False)))
            raise


def with_store(
    data: Path, work: Callable[[Store], Coroutine[Any, Any, T]], *, make: bool = False
) -> T:
    """Run one piece of work on the database of a data directory, beside a running server if there is one. `make` makes
    them where they are missing.
    """
    from cloud.store.engine import Store, prepare
    from cloud.store.schema.migrate import migrate as run_migrations
    from service.hostuser import acting_as_owner

    async def run(url: str) -> T:
        store = Store.at(url)
        try:
            return await work(store)
        finally:
            await store.close()

    def both() -> T:
        with acting_as_owner(data):
            url = prepare(data, make=make)
            run_migrations(url)
            return asyncio.run(run(url))

    return guarded(both)


def guarded(work: Callable[[], T]) -> T:
    """What an operator can mend is said in one line; exit 1."""
    from cloud.store.access.admin import NotThereError
    from cloud.store.engine import DatabaseError, NoCloudError
    from cloud.store.schema.migrate import NewerDatabaseError
    from cloud.tls.public import TlsError
    from service.files import FolderLockedError
    from service.ownfolder import ForeignFolderError

    try:
        return work()
    except (
        *(NoCloudError, NotThereError, NewerDatabaseError, TlsError),
        *(FolderLockedError, ForeignFolderError),
    ) as error:
        fail(str(error), 1)
    except OSError as error:
        what = error.strerror or f"{error}"
        fail(what if error.filename is None else f"{error.filename}: {what.lower()}", 1)
    except ValueError as error:
        fail(f"{error}", 1)
    except DatabaseError as error:
        # without the address of a page about the library
        fail(f"database: {getattr(error, 'orig', None) or error}", 1)


def now() -> datetime:
    """The wall clock."""
    from contract.clock import SystemClock

    return SystemClock().now()


def say(document: dict[str, Any], words: str, as_json: bool) -> None:
    """The one line a command answers with."""
    text = msgspec.json.encode(document).decode() if as_json else printable_lines(words)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_secret(row: dict[str, Any], name: str, secret: str, what: str, as_json: bool) -> None:
    """A record that was made with a secret nobody keeps: this is the one time it is seen."""
    say(row | {name: secret}, f"{secret}   ({what} {row['id']}; shown only now)", as_json)


def say_revoked(what: str, row_id: str, as_json: bool, *, how: str = "revoked") -> None:
    """A record that is good for nothing from now on."""
    say({"id": row_id, "revoked": True}, f"{what} {row_id} {how}", as_json)


def show(
    data: Path,
    read: Callable[[Store], Coroutine[Any, Any, list[dict[str, Any]]]],
    columns: tuple[str, ...],
    as_json: bool,
) -> None:
    """What `read` finds in the database of a data directory."""
    table(with_store(data, read), columns, as_json)


def table(found: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Rows under their columns, or all of them as JSON."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    cells = [columns, *([_cell(row[name]) for name in columns] for row in found)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def fail(message: str, status: int) -> NoReturn:
    """Say why on stderr and end: 1 it could not be done, 2 wrong usage."""
    sys.stderr.write(f"miner-cloud: {printable_lines(message)}\n")
    raise typer.Exit(status)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "strftime") else str(value)
    return printable(text)


def printable_lines(text: str) -> str:
    """`printable` of a text of several lines."""
    return "\n".join(map(printable, text.split("\n")))
