"""The envelope around what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aiohttp import web

from cloud.http.errors import json_response
from cloud.store.schema.rows import BatchRow, GroupRow
from contract.nonce.answers import ActorItem, ListAnswer, OneAnswer
from contract.nonce.pages import Page
from contract.nonce.times import nonce_time


def many(items: Sequence[object], page: Page, total: int) -> web.Response:
    """One page of a list."""
    return json_response(ListAnswer(data=list(items), pagination=page.pagination(total)))


def one(item: object) -> web.Response:
    """A single object."""
    return json_response(OneAnswer(data=item))


def time_or_none(at: datetime | None) -> str | None:
    """A stamp as Nonce writes it."""
    return None if at is None else nonce_time(at)


def actor_of(row: BatchRow | GroupRow) -> ActorItem:
    """`created_by` from the columns of a batch, or of a group."""
    return ActorItem(
        type=row.actor_type,
        id=row.actor_id,
        name=row.actor_name,
        avatar=row.actor_avatar,
        metadata=row.actor_metadata or {},
    )
