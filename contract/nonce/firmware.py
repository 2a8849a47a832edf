"""The firmware library of a workspace: images that were uploaded once, and are given to tasks by name. Ours."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from contract.miner import Make
from contract.nonce.answers import NonceItem
from contract.nonce.sites import WORKSPACE
from contract.nonce.values import Whole
from contract.task import FirmwareName
from contract.texts import hex_digits, not_blank, plain, prose

FIRMWARE: Final = WORKSPACE + "/firmware"
MODELS_MAX: Final = 50
MODEL_CHARS: Final = 64
FILE_NAME_CHARS: Final = 150
_MAKES: Final = tuple(each for each in Make if each not in (Make.RIG, Make.UNKNOWN))


def _make(value: object) -> object:
    found = [each for each in _MAKES if isinstance(value, str) and each.lower() == value.lower()]
    if not found:
        raise ValueError(f"must be one of {', '.join(_MAKES)}")
    return found[0]


def _says_something(text: str) -> str:
    if not text.strip("*? "):
        raise ValueError("must name a model: firmware for any would be flashed onto all")
    return text


_Model = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=MODEL_CHARS),
    AfterValidator(not_blank),
    AfterValidator(plain),
    AfterValidator(_says_something),
]
_FileName = Annotated[
    str,
    StringConstraints(strict=True, max_length=FILE_NAME_CHARS),
    AfterValidator(not_blank),
    AfterValidator(plain),
]
_Version = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=200),
    AfterValidator(plain),
]
_Notes = Annotated[str, StringConstraints(strict=True, max_length=2000), AfterValidator(prose)]
_Sha256 = Annotated[str, StringConstraints(strict=True, to_lower=True), hex_digits(64)]


class AddFirmware(BaseModel):
    """What an image is, before its file is sent. `models` are those of miners as the cloud shows them, with or without
    the family before them; a `*` stands for any run of characters, a `?` for one. `version` as such a miner tells it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FirmwareName
    make: Annotated[Make, BeforeValidator(_make)]
    models: Annotated[list[_Model], Field(min_length=1, max_length=MODELS_MAX)]
    file_name: _FileName
    size_bytes: Annotated[Whole, Field(ge=1)]
    sha256: _Sha256
    version: _Version | None = None
    notes: _Notes | None = None


class FirmwareItem(NonceItem, frozen=True, kw_only=True):
    """`received` of `size_bytes` are here; `complete` once the whole file has the sha256."""

    name: str
    make: str
    models: list[str]
    version: str | None
    notes: str | None
    file_name: str
    size_bytes: int
    sha256: str
    received: int
    complete: bool
    created_by: str
    created_at: str


class FirmwareRemoved(NonceItem, frozen=True, kw_only=True):
    name: str
    removed: bool = True
