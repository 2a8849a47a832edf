"""Names, places and tags of miners, changed many at once (ours)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from contract.nonce.answers import NonceItem
from contract.nonce.values import Text, Whole
from contract.task import Tag
from contract.texts import composed, plain

PLACES_MAX: Final = 100_000  # as many as a farm may have miners
PLACES_BYTES: Final = 32 * 1024 * 1024
TAGS_OF_MINER_MAX: Final = 50
SHOWN_MAX: Final = 1000  # changes, and faults, that an answer shows

_Word = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=50),
    AfterValidator(plain),
]
MinerName = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(plain),
    AfterValidator(composed),
]


class PlaceChange(BaseModel):
    """What is to be true of one miner. A key that is left out stays as it is; null clears."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    miner: Annotated[Text, Field(min_length=1)]  # id, address, MAC, serial number or name
    name: MinerName | None = None
    hall: _Word | None = None
    row: _Word | None = None
    rack: _Word | None = None
    position: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None
    tags: Annotated[list[Tag], Field(max_length=TAGS_OF_MINER_MAX)] | None = None


class ChangePlaces(BaseModel):
    """The body of a call that changes places; each of `updates` is a PlaceChange."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    updates: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=PLACES_MAX)]
    dry_run: Annotated[bool, Field(strict=True)] = False


class ChangeName(BaseModel):
    """The name of one miner; null clears."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: MinerName | None


class PlaceFault(NonceItem, frozen=True, kw_only=True):
    """Why one of the updates cannot be made; `index` counts from 0. `same_as` is the update before that is for the same
    miner, where that is the fault.
    """

    index: int
    message: str
    same_as: int | None = None


class PlaceItem(NonceItem, frozen=True, kw_only=True):
    """One change, by the keys that differ."""

    index: int
    miner_id: str
    ip: str | None
    name: str | None
    before: dict[str, Any]
    after: dict[str, Any]


class PlacesItem(NonceItem, frozen=True, kw_only=True):
    """What was changed, or would be. `changes` and `faults` are the first thousand of each."""

    dry_run: bool
    changed_count: int
    unchanged_count: int
    fault_count: int
    changes: list[PlaceItem]
    faults: list[PlaceFault]
