"""What operators send, checked: bodies, query strings and the names in a path. Every fault is a 400."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec
from aiohttp import web
from pydantic import BaseModel, ValidationError

from cloud.context import SETTINGS, STORE
from cloud.http import bodies
from cloud.http.auth import WORKSPACE_ID
from cloud.http.bodies import is_clean
from cloud.http.errors import ApiError, Handler
from cloud.store.access import listing
from cloud.store.engine import Connection
from cloud.store.miners import references, search
from cloud.store.miners.references import AmbiguousError
from cloud.store.miners.search import ListedMiner
from cloud.store.schema.rows import FarmRow
from cloud.store.tasks import batches, groups
from cloud.store.tasks.batches import ListedBatch
from cloud.store.tasks.groups import ListedGroup
from contract.keys import shown_key, unknown_key
from contract.nonce.pages import PAGE_MAX, SIZE_DEFAULT, SIZE_MAX, Page
from contract.nonce.searches import QUERY_INSTEAD
from contract.nonce.values import FILTER_TEXT_MAX, FILTER_VALUES_MAX
from contract.words import FAULTS_MAX, faults_in

PAGE: Final = ("page", "pageSize")  # of every list
_PARAMETER: Final = "query parameter"  # not to be taken for an API key
_WHOLE: Final = re.compile(r"[0-9]{1,16}(\.0+)?")
ModelT = TypeVar("ModelT", bound=BaseModel)


async def read_body(
    request: web.Request,
    model: type[ModelT],
    *,
    may_be_empty: bool = False,
    instead: Mapping[str, str] | None = None,
    cap_bytes: int | None = None,
) -> ModelT:
    """The JSON body as a model. ApiError 400 for anything else, 413 for one that is too long. `instead` is what is said
    of keys that are known elsewhere, `cap_bytes` the bound where it is not that of all operators' bodies.
    """
    raw = await bodies.read_body(request, cap_bytes or request.app[SETTINGS].operator_body_bytes)
    if may_be_empty and not raw.strip():
        raw = b"{}"
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object")
    if not all(is_clean(text) for text in _texts(body)):
        raise ApiError(400, "The body holds text with a NUL character or half a surrogate pair")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise refused(faults_in(error, model, instead=instead)) from None


def refused(faults: Sequence[str]) -> ApiError:
    """A 400 with one message per fault: a text where there is one, else a list."""
    return ApiError(400, faults[0] if len(faults) == 1 else faults)


def takes(*names: str, lists: Sequence[str] = ()) -> Callable[[Handler], Handler]:
    """Of a handler: the keys that its query string may have, those of `lists` in any form that `words_of` reads. A key
    that is not among them, or one value told twice, is a 400 before anything is done.
    """
    instead = QUERY_INSTEAD if set(PAGE) <= set(names) else {}  # those names are of lists

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def checked(request: web.Request) -> web.StreamResponse:
            unknown = (
                key
                for key in dict.fromkeys(request.query)
                if key not in names and key.removesuffix("[]") not in lists
            )
            known = (*names, *lists)
            faults = [
                f"{shown_key(key)}: {instead.get(key) or unknown_key(key, known, called=_PARAMETER)}"
                for key in islice(unknown, FAULTS_MAX)
            ]
            faults += [
                f"{name} takes one value, and more are given"
                for name in names
                if len(request.query.getall(name, ())) > 1
            ]
            if faults:
                raise refused(faults[:FAULTS_MAX])
            return await handler(request)

        return checked

    return decorate


def page_of(request: web.Request) -> Page:
    """`page` and `pageSize` of a list."""
    return Page(
        _number(request, "page", 1, PAGE_MAX), _number(request, "pageSize", SIZE_DEFAULT, SIZE_MAX)
    )


def text_of(request: web.Request, name: str) -> str | None:
    """One value of the query string; an empty one counts as none."""
    value: str | None = request.query.get(name)
    if value is not None and not _is_fit(value):
        raise ApiError(400, f"{name} is too long or holds characters that cannot be stored")
    return value or None


def words_of(request: web.Request, name: str) -> tuple[str, ...] | None:
    """A list of the query string in any of its forms: `name[]=a&name[]=b`, `name=a&name=b`, `name=a,b`."""
    given = [*request.query.getall(name, []), *request.query.getall(f"{name}[]", [])]
    words = tuple(word.strip() for value in given for word in value.split(",") if word.strip())
    if len(words) > FILTER_VALUES_MAX or not all(_is_fit(word) for word in words):
        raise ApiError(400, f"{name} is too long or holds characters that cannot be stored")
    return words or None


def ratio_of(request: web.Request, name: str) -> float | None:
    """A ratio such as 0.85 in the query string."""
    text = text_of(request, name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1e6:
        raise ApiError(400, f"{name} must be a number from 0 up, 1.0 being 100 %")
    return value


def flag_of(request: web.Request, name: str) -> bool | None:
    """`true` or `false` in the query string."""
    text = text_of(request, name)
    if text is None:
        return None
    if text.lower() not in ("true", "false", "1", "0"):
        raise ApiError(400, f"{name} must be true or false")
    return text.lower() in ("true", "1")


def named(request: web.Request, name: str) -> str:
    """An id in the path."""
    value = request.match_info[name]
    if not is_clean(value):
        raise ApiError(400, f"{name} holds characters that no id has")
    return value


async def farm_of(request: web.Request) -> FarmRow:
    """The row of the farm in the path. 404 where this workspace has none of that id."""
    farm = await listing.farm_of(
        request.app[STORE], request[WORKSPACE_ID], named(request, "farm_id")
    )
    if farm is None:
        raise ApiError(404, "Farm not found in this workspace")
    return farm


async def batch_of(connection: Connection, farm: FarmRow, batch_id: str) -> ListedBatch:
    """The batch of that id. 404 where the farm has none."""
    batch = await batches.find(connection, farm.id, batch_id)
    if batch is None:
        raise ApiError(404, "Task batch not found in this farm")
    return batch


async def group_of(connection: Connection, farm: FarmRow, group_id: str) -> ListedGroup:
    """The group of that id. 404 where the farm has none."""
    group = await groups.find(connection, farm.id, group_id)
    if group is None:
        raise ApiError(404, "Task group not found in this farm")
    return group


async def miner_of(request: web.Request, farm: FarmRow, *, deleted: bool = False) -> ListedMiner:
    """The miner in the path, by its id or whatever else it is called; one that was `deleted` by its id, if it may be.
    404 where the farm has none, 409 for several.
    """
    reference = named(request, "miner_id")
    store = request.app[STORE]
    async with store.read() as connection:
        try:
            ids = await references.ids_meant_by(connection, farm.id, [reference])
        except AmbiguousError as error:
            raise ApiError(409, str(error)) from None
    miner = await search.one(store, farm.id, ids[reference])
    if miner is None or (miner.deleted_at is not None and not deleted):
        raise ApiError(404, "Miner not found in this farm")
    return miner


async def miner_ids_of(
    request: web.Request, farm: FarmRow, texts: Collection[str]
) -> dict[str, str]:
    """The id for each of what a body calls miners; one that means none stands for itself. 400 for several."""
    async with request.app[STORE].read() as connection:
        try:
            return await references.ids_meant_by(connection, farm.id, texts)
        except AmbiguousError as error:
            raise ApiError(400, str(error)) from None


def _is_fit(text: str) -> bool:
    return len(text) <= FILTER_TEXT_MAX and is_clean(text)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = text_of(request, name)
    if text is None:
        return default
    value = int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else 0
    if not 1 <= value <= most:
        raise ApiError(400, f"{name} must be a whole number from 1 to {most}")
    return value


def _texts(value: object) -> Iterator[str]:
    """Every text in a decoded body. A stack of its own: nesting is the sender's choice."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting += each.keys()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
