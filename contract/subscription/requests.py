"""The bodies of the published calls, as strict as they can be: what is not understood is not subscribed to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from contract.keys import shown_key
from contract.subscription.ids import SMALL_MAX, SMALL_MIN, U64_MAX, parse_object_id
from contract.subscription.rules import OperationKind, Terms
from contract.words import faults_in

_ID_CHARS: Final = 100  # more than any spelling has


def _checked_id(text: str) -> str:
    parse_object_id(text)
    return text


SmallId = Annotated[int, Field(strict=True, ge=SMALL_MIN, le=SMALL_MAX)]
Amount = Annotated[int, Field(strict=True, ge=1, le=SMALL_MAX)]
Mist = Annotated[int, Field(strict=True, ge=1, le=U64_MAX)]
ObjectIdText = Annotated[str, Field(strict=True, max_length=_ID_CHARS), AfterValidator(_checked_id)]


class LedgerCall(BaseModel):
    """What every call may say: who pays for the transaction. `kind` and `failed` are those of the call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[OperationKind] = OperationKind.REGISTER
    failed: ClassVar[str] = "Failed to submit node registration tx"

    gas: ObjectIdText | None = None
    gas_budget: Mist | None = None
    gas_price: Mist | None = None


class RegisterCall(LedgerCall):
    """`POST /register`."""


class UnsubscribeCall(LedgerCall):
    """`POST /task_unsubscribe`. Without a node: of every registered node."""

    kind = OperationKind.UNSUBSCRIBE
    failed = "Failed to submit node task unsubscription tx"

    task_small_id: SmallId
    node_badge_id: ObjectIdText | None = None
    node_small_id: SmallId | None = None


class SubscribeCall(UnsubscribeCall):
    """`POST /task_subscribe`."""

    kind = OperationKind.SUBSCRIBE
    failed = "Failed to submit node task subscription tx"

    price_per_compute_unit: Amount
    max_num_compute_units: Amount

    @property
    def terms(self) -> Terms:
        return Terms(price=self.price_per_compute_unit, max_units=self.max_num_compute_units)


class UpdateCall(SubscribeCall):
    """`POST /task_update_subscription`: both numbers are the new ones."""

    kind = OperationKind.UPDATE
    failed = "Failed to submit node task update subscription"


class BrokenJsonError(ValueError):
    """It is no JSON at all."""


_C = TypeVar("_C", bound=LedgerCall)


def parse_call(call: type[_C], body: bytes) -> _C:
    """Raises BrokenJsonError, and ValueError that names each key that is wrong."""
    try:
        document = json.loads(
            body.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_constant
        )
    except _RepeatedKeyError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BrokenJsonError(f"the body is not JSON: {said[:200]}") from None
    return checked_call(call, document)


def checked_call(call: type[_C], document: object) -> _C:
    """Of a body that is JSON. Raises ValueError that names each key that is wrong."""
    try:
        return call.model_validate(document)
    except ValidationError as error:
        raise ValueError("; ".join(faults_in(error, call))) from None


class _RepeatedKeyError(Exception):
    """A key is there twice: which of them is meant?"""


def _without_repeats(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKeyError(f"{shown_key(key)}: is given twice")
        found[key] = value
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
