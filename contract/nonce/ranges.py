"""Ranges of addresses that have a name, as operators make and see them. Ours."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from contract.nonce.answers import NonceItem
from contract.ranges import Range, parse_range, range_name
from contract.texts import composed, not_blank, plain

NAME_MAX: Final = 64  # characters
RANGE_LEN_MAX: Final = 64
# Those that nobody routes through the internet: a slip of the pen must not have an agent ask strangers.
_OF_FARMS: Final = tuple(
    map(
        parse_range,
        (
            *(
                "10.0.0.0-10.255.255.255",
                "172.16.0.0-172.31.255.255",
                "192.168.0.0-192.168.255.255",
            ),
            *(
                "100.64.0.0-100.127.255.255",
                "169.254.0.0-169.254.255.255",
                "127.0.0.0-127.255.255.255",
            ),
        ),
    )
)


def _range(text: str) -> str:
    span: Range = parse_range(text)
    if not any(each.first <= span.first and span.last <= each.last for each in _OF_FARMS):
        raise ValueError(
            f"{span} has addresses that are not private ones (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, "
            "100.64.0.0/10, 169.254.0.0/16)"
        )
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
