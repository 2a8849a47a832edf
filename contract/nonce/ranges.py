"""Ranges of addresses that have a name, as operators make and see them. Ours."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from contract.nonce.answers import NonceItem
from contract.ranges import LOOPBACK_RANGE, PRIVATE_RANGES, parse_range, range_name
from contract.texts import composed, not_blank, plain

NAME_MAX: Final = 64  # characters
RANGE_LEN_MAX: Final = 64
_LINK_LOCAL: Final = "169.254.0.0/16"
_OF_FARMS: Final = tuple(map(IPv4Network, (*PRIVATE_RANGES, _LINK_LOCAL, LOOPBACK_RANGE)))


def _range(text: str) -> str:
    span = parse_range(text)
    ends = IPv4Address(span.first), IPv4Address(span.last)
    if not any(all(end in each for end in ends) for each in _OF_FARMS):
        private = ", ".join((*PRIVATE_RANGES, _LINK_LOCAL))
        raise ValueError(f"{span} has addresses that are not private ones ({private})")
    return text


class AddRange(BaseModel):
    """A range of addresses with a name; `auto_scan`: its agents look for miners there by themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str,
        StringConstraints(strict=True, strip_whitespace=True, max_length=NAME_MAX),
        AfterValidator(not_blank),
        AfterValidator(plain),
        AfterValidator(composed),
        AfterValidator(range_name),
    ]
    range: Annotated[
        str,
        StringConstraints(strict=True, strip_whitespace=True, max_length=RANGE_LEN_MAX),
        AfterValidator(plain),
        AfterValidator(_range),
    ]
    auto_scan: Annotated[bool, Field(strict=True)] = True


class RangeItem(NonceItem, frozen=True, kw_only=True):
    """`addresses` is how many there are in it."""

    id: str
    name: str
    range: str
    addresses: int
    auto_scan: bool
    created_by: str  # the actor's id
    created_at: str


class RemovedRange(NonceItem, frozen=True, kw_only=True):
    id: str
    removed: bool = True
