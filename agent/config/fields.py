"""What a section is, and the kinds of values that several sections hold, each with its bounds."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from contract.miner import normalize_mac
from contract.ranges import parse_range
from contract.texts import not_blank


class Section(BaseModel):
    """Base of all sections: frozen, strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _checked_range(text: str) -> str:
    parse_range(text)
    return text


def _checked_mac(text: str) -> str:
    mac = normalize_mac(text)
    if mac is None:
        raise ValueError(f"{text[:40]!r} is not the MAC address of a device")
    return mac


def _checked_address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not an IPv4 address") from None


Flag = Annotated[bool, Field(strict=True)]
RangeText = Annotated[str, AfterValidator(_checked_range)]
MacText = Annotated[str, AfterValidator(_checked_mac)]
AddressText = Annotated[str, AfterValidator(_checked_address)]
ShortText = Annotated[str, Field(max_length=255), AfterValidator(not_blank)]
Watts = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=7 * 86_400)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
