"""What all answers are made of. A key that Nonce leaves out until it has a value is `UNSET`; a key it sends as null is
`None`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from contract.nonce.pages import Pagination


class NonceItem(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what answers hold."""


class ActorItem(NonceItem, frozen=True, kw_only=True):
    """Who did it: `type` is user, apikey or system."""

    type: str
    id: str
    name: str | None = None
    avatar: str | None = None
    metadata: dict[str, Any] = {}


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of lists and searches."""

    success: bool = True
    data: list[Any]
    pagination: Pagination
    error: None = None


class OneAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a single object."""

    success: bool = True
    data: Any
    error: None = None
