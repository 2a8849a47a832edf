"""Which miner is meant by what people call it: its id, address, MAC, serial number or name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import chunks
from cloud.store.schema.rows import read_rows
from cloud.store.schema.tables import miners
from contract.miner import normalize_mac
from contract.texts import composed

_ID: Final = re.compile(r"[0-9a-f]{32}")
_FEW: Final = 200  # references that are looked for; for more of them the whole farm is read


class NamedMiner(msgspec.Struct, kw_only=True):
    """A miner on the lists, by all that it is called, and where it stands."""

    id: str
    ip: str | None
    mac: str | None
    serial: str | None
    name: str | None
    hall: str | None
    row: str | None
    rack: str | None
    position: int | None
    tags: list[str]

    def __str__(self) -> str:
        called = (self.ip, self.name, self.mac, self.id)
        return " ".join(each for each in called if each)


_COLUMNS: Final = tuple(miners.c[name] for name in NamedMiner.__struct_fields__)


class AmbiguousError(ValueError):
    """Several miners are meant by one reference; in words."""

    def __init__(self, reference: str, meant: Sequence[NamedMiner]) -> None:
        shown = "; ".join(map(str, meant[:5])) + ("; ..." if len(meant) > 5 else "")
        super().__init__(f"{reference} is {len(meant)} miners: {shown}. Give one of their ids")


async def meant_by(
    connection: AsyncConnection, farm_id: str, references: Sequence[str]
) -> dict[str, list[NamedMiner]]:
    """The miners on a farm's lists that each reference may mean. An id means that miner alone."""
    wanted = list(dict.fromkeys(references))
    # SQLite knows no capital letters but those of ASCII.
    if len(wanted) > _FEW or not all(map(str.isascii, wanted)):
        known = await named_miners(connection, farm_id)
    else:
        known = []
        for some in chunks(wanted, 50):
            query = sa.select(*_COLUMNS).where(*_on_the_lists(farm_id), _is_called(some))
            known += read_rows(NamedMiner, await connection.execute(query))
    by_name = _by_name(known)
    return {each: by_name.get(key_of(each), []) for each in wanted}


async def ids_meant_by(
    connection: AsyncConnection, farm_id: str, references: Iterable[str]
) -> dict[str, str]:
    """The id for each reference; one that means no miner stands for itself. Raises AmbiguousError."""
    texts = list(references)
    found = {text: text for text in texts if _ID.fullmatch(text)}
    others = [text for text in texts if text not in found]
    if not others:
        return found
    for text, meant in (await meant_by(connection, farm_id, others)).items():
        if len(meant) > 1:
            raise AmbiguousError(text, meant)
        found[text] = meant[0].id if meant else text
    return found


async def named_miners(connection: AsyncConnection, farm_id: str) -> list[NamedMiner]:
    """All on the lists of a farm."""
    query = sa.select(*_COLUMNS).where(*_on_the_lists(farm_id))
    return read_rows(NamedMiner, await connection.execute(query))


def is_reserved(name: str) -> bool:
    """Whether a miner cannot be called so, because it reads as an id, an address or a MAC."""
    return (
        _ID.fullmatch(name.lower()) is not None
        or _ip_number(name) is not None
        or normalize_mac(name) is not None
    )


def _on_the_lists(farm_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return miners.c.farm_id == farm_id, miners.c.deleted_at.is_(None)


def _is_called(references: Sequence[str]) -> sa.ColumnElement[bool]:
    numbers = [number for each in references if (number := _ip_number(each)) is not None]
    macs = [mac for each in references if (mac := normalize_mac(each)) is not None]
    words = [sa.func.lower(each.strip()) for each in references]
    return sa.or_(
        miners.c.id.in_(references),
        miners.c.ip_number.in_(numbers),
        miners.c.mac.in_(macs),
        *(sa.func.lower(each).in_(words) for each in (miners.c.serial, miners.c.name)),
    )


def _by_name(known: Iterable[NamedMiner]) -> Mapping[str, list[NamedMiner]]:
    """By each of the things that a miner is called, as `key_of` spells it."""
    found: dict[str, dict[str, NamedMiner]] = {}
    for row in known:
        keys = (
            row.id,
            row.ip,
            row.mac,
            *(each and key_of(each) for each in (row.serial, row.name)),
        )
        for key in keys:
            if key:
                found.setdefault(key, {})[row.id] = row
    return {key: list(rows.values()) for key, rows in found.items()}


def key_of(reference: str) -> str:
    """The same for every spelling."""
    text = reference.strip()
    number = _ip_number(text)
    if number is not None:
        return str(IPv4Address(number))
    return normalize_mac(text) or composed(text).casefold()


def _ip_number(text: str) -> int | None:
    if text.count(".") != 3:
        return None
    try:
        return int(IPv4Address(text.strip()))
    except (AddressValueError, ValueError):
        return None
