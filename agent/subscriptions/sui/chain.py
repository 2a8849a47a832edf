"""What is read from a Sui network and given to it, as typed values."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from agent.subscriptions.sui import documents
from agent.subscriptions.sui.graphql import ChainError, GraphQlClient
from agent.subscriptions.sui.transaction import ObjectRef, transaction_digest
from contract.subscription.ids import U64_MAX, object_id_text, parse_digest, parse_object_id

MODULE: Final = "db"  # of the package that keeps the subscriptions
SUI_COIN: Final = "0x2::coin::Coin<0x2::sui::SUI>"
_PAGES_MAX: Final = 20  # of fifty objects each: more coins or badges are not looked at
_LEADING_ZEROS: Final = re.compile(r"0x0*(?=[0-9a-f])")
_CONTEXT: Final = "TxContext"  # passed by the network itself


class _Address(msgspec.Struct, frozen=True, rename="camel"):
    address: str


class _Owner(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = msgspec.field(name="__typename")
    address: _Address | None = None
    initial_shared_version: int | None = None


class _Type(msgspec.Struct, frozen=True, rename="camel"):
    repr: str


class _Contents(msgspec.Struct, frozen=True, rename="camel"):
    type: _Type
    json: Any = None


class _MoveObject(msgspec.Struct, frozen=True, rename="camel"):
    contents: _Contents | None = None


class _Digest(msgspec.Struct, frozen=True, rename="camel"):
    digest: str


class _Object(msgspec.Struct, frozen=True, rename="camel"):
    """Contents stand in the object itself where only Move objects were asked for."""

    address: str
    version: int
    digest: str
    owner: _Owner | None = None
    previous_transaction: _Digest | None = None
    as_move_object: _MoveObject | None = None
    contents: _Contents | None = None


class _Change(msgspec.Struct, frozen=True, rename="camel"):
    address: str
    output_state: _Object | None = None


class _Changes(msgspec.Struct, frozen=True, rename="camel"):
    nodes: list[_Change] = []


class _ExecutionError(msgspec.Struct, frozen=True, rename="camel"):
    message: str = ""
    abort_code: str | int | None = None  # a BigInt is text in GraphQL


class _Effects(msgspec.Struct, frozen=True, rename="camel"):
    digest: str | None = None
    status: str | None = None
    execution_error: _ExecutionError | None = None
    object_changes: _Changes = _Changes()


class _Effected(msgspec.Struct, frozen=True, rename="camel"):
    effects: _Effects | None = None


class _EpochData(msgspec.Struct, frozen=True, rename="camel"):
    reference_gas_price: str | int


class _EpochReply(msgspec.Struct, frozen=True, rename="camel"):
    chain_identifier: str
    epoch: _EpochData


class _Parameter(msgspec.Struct, frozen=True, rename="camel"):
    signature: Any = None


class _Function(msgspec.Struct, frozen=True, rename="camel"):
    parameters: list[_Parameter] = []


class _Module(msgspec.Struct, frozen=True, rename="camel"):
    function: _Function | None = None


class _Package(msgspec.Struct, frozen=True, rename="camel"):
    module: _Module | None = None


class _FunctionReply(msgspec.Struct, frozen=True, rename="camel"):
    package: _Package | None = None


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class _Objects(msgspec.Struct, frozen=True, rename="camel"):
    page_info: _Page
    nodes: list[_Object]


class _Owned(msgspec.Struct, frozen=True, rename="camel"):
    objects: _Objects | None = None


class _OwnedReply(msgspec.Struct, frozen=True, rename="camel"):
    address: _Owned | None = None


class _ObjectsReply(msgspec.Struct, frozen=True, rename="camel"):
    multi_get_objects: list[_Object | None]


class _SimulateReply(msgspec.Struct, frozen=True, rename="camel"):
    simulate_transaction: _Effected


class _ExecuteReply(msgspec.Struct, frozen=True, rename="camel"):
    execute_transaction: _Effected


class _TransactionReply(msgspec.Struct, frozen=True, rename="camel"):
    transaction: _Effected | None = None


@dataclass(frozen=True)
class SeenObject:
    """An object as it was seen. `owner`: the address it belongs to; `shared_since`: its first version as one that
    belongs to nobody; `made_by`: digest of the transaction that left it so.
    """

    ref: ObjectRef
    type: str
    fields: Mapping[str, Any]
    owner: bytes | None = None
    shared_since: int | None = None
    made_by: str | None = None


@dataclass(frozen=True)
class ExecutionOutcome:
    """What became of a transaction on the network, or would: `abort_code` where a Move function ended it. `changes`:
    the objects it left; None for one that is gone.
    """

    succeeded: bool
    abort_code: int | None
    message: str
    changes: Mapping[bytes, SeenObject | None]


class SuiChain:
    """Every method raises ChainError."""

    def __init__(self, client: GraphQlClient) -> None:
        self._client = client

    async def close(self) -> None:
        await self._client.close()

    async def epoch(self) -> tuple[str, int]:
        """Which network this is, and its reference gas price in MIST."""
        reply = await self._client.ask(documents.EPOCH, _EpochReply)
        return reply.chain_identifier, _number(reply.epoch.reference_gas_price)

    async def parameters(self, package: bytes, function: str) -> int | None:
        """How many arguments a function of the package takes; None: there is no such function."""
        reply = await self._client.ask(
            documents.FUNCTION,
            _FunctionReply,
            package=object_id_text(package),
            module=MODULE,
            function=function,
        )
        module = None if reply.package is None else reply.package.module
        if module is None or module.function is None:
            return None
        return sum(not _is_context(each.signature) for each in module.function.parameters)

    async def owned(self, owner: bytes, type_name: str) -> list[SeenObject]:
        """The objects of one type that belong to an address."""
        found: list[SeenObject] = []
        after: str | None = None
        for _ in range(_PAGES_MAX):
            reply = await self._client.ask(
                documents.OWNED,
                _OwnedReply,
                owner=object_id_text(owner),
                type=type_name,
                after=after,
            )
            if reply.address is None or reply.address.objects is None:
                break
            page = reply.address.objects
            found += [_seen(each) for each in page.nodes]
            after = page.page_info.end_cursor
            if not page.page_info.has_next_page:
                break
        return found

    async def objects(self, ids: Sequence[bytes]) -> dict[bytes, SeenObject]:
        """Those of them that there are."""
        keys = [{"address": object_id_text(each)} for each in ids]
        reply = await self._client.ask(documents.OBJECTS, _ObjectsReply, keys=keys)
        seen = [_seen(each) for each in reply.multi_get_objects if each is not None]
        return {each.ref.id: each for each in seen}

    async def simulate(self, data: bytes) -> ExecutionOutcome:
        """What would become of an encoded transaction, which is not signed for it."""
        reply = await self._client.ask(
            documents.SIMULATE,
            _SimulateReply,
            transaction={"bcs": {"value": base64.b64encode(data).decode()}},
        )
        return _outcome(reply.simulate_transaction.effects)

    async def execute(self, data: bytes, signature: bytes) -> ExecutionOutcome:
        """Give it to the network. The same bytes are executed once, however often they are given."""
        reply = await self._client.ask(
            documents.EXECUTE,
            _ExecuteReply,
            transaction=base64.b64encode(data).decode(),
            signatures=[base64.b64encode(signature).decode()],
        )
        return _outcome_of(transaction_digest(data), reply.execute_transaction.effects)

    async def outcome(self, tx_digest: str) -> ExecutionOutcome | None:
        """What became of it; None: the network knows of no such transaction, or not yet."""
        reply = await self._client.ask(documents.TRANSACTION, _TransactionReply, digest=tx_digest)
        if reply.transaction is None or reply.transaction.effects is None:
            return None
        return _outcome_of(tx_digest, reply.transaction.effects)


def plain_type(name: str) -> str:
    """The name of a type with its addresses as short as they go."""
    return _LEADING_ZEROS.sub("0x", name.replace(" ", "").lower())


def balance_of(coin: SeenObject) -> int:
    """Of a coin, in its smallest unit. Raises ChainError."""
    value = coin.fields.get("balance")
    return _number(value.get("value") if isinstance(value, Mapping) else value)


def small_id_of(badge: SeenObject) -> int:
    """Of the node that a badge stands for. Raises ChainError."""
    value = badge.fields.get("small_id")
    return _number(value.get("inner") if isinstance(value, Mapping) else value)


def _outcome_of(tx_digest: str, effects: _Effects | None) -> ExecutionOutcome:
    """Raises ChainError for what became of another transaction, too: ours may still be executed."""
    if effects is not None and effects.digest != tx_digest:
        raise ChainError(
            "the network told what became of another transaction than it was asked for"
        )
    return _outcome(effects)


def _outcome(effects: _Effects | None) -> ExecutionOutcome:
    """Raises ChainError for an answer that leaves open what became of it."""
    if effects is None or effects.status not in ("SUCCESS", "FAILURE"):
        raise ChainError("the network did not say what became of the transaction")
    error = effects.execution_error or _ExecutionError()
    return ExecutionOutcome(
        succeeded=effects.status == "SUCCESS",
        abort_code=None if error.abort_code is None else _number(error.abort_code),
        message=error.message[:300],
        changes={
            _id(each.address): None if each.output_state is None else _seen(each.output_state)
            for each in effects.object_changes.nodes
        },
    )


def _seen(found: _Object) -> SeenObject:
    contents = found.contents
    if contents is None and found.as_move_object is not None:
        contents = found.as_move_object.contents
    json = None if contents is None else contents.json
    owner = found.owner
    is_shared = owner is not None and owner.kind == "Shared"
    belongs = owner is not None and owner.kind == "AddressOwner" and owner.address is not None
    try:
        digest = parse_digest(found.digest)
    except ValueError:
        raise ChainError("the network named an object by what is no digest") from None
    return SeenObject(
        ref=ObjectRef(_id(found.address), _number(found.version), digest),
        type="" if contents is None else contents.type.repr,
        fields=json if isinstance(json, dict) else {},
        owner=_id(owner.address.address) if belongs and owner and owner.address else None,
        shared_since=owner.initial_shared_version if is_shared and owner else None,
        made_by=None if found.previous_transaction is None else found.previous_transaction.digest,
    )


def _is_context(signature: Any) -> bool:
    body = signature.get("body") if isinstance(signature, dict) else None
    datatype = body.get("datatype") if isinstance(body, dict) else None
    return isinstance(datatype, dict) and datatype.get("type") == _CONTEXT


def _id(text: str) -> bytes:
    try:
        return parse_object_id(text)
    except ValueError:
        raise ChainError("the network named an object by what is no id") from None


def _number(value: Any) -> int:
    """An integer, which GraphQL may write as text. Raises ChainError."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= U64_MAX:
        raise ChainError("the network wrote something else where a number belongs")
    return value
