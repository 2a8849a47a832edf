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


class _Address(msgspec.Struct, frozen=True):
    address: str


class _Owner(msgspec.Struct, frozen=True, rename={"kind": "__typename"}):
    kind: str
    address: _Address | None = None
    initialSharedVersion: int | None = None  # noqa: N815 - GraphQL's spelling


class _Type(msgspec.Struct, frozen=True):
    repr: str


class _Contents(msgspec.Struct, frozen=True):
    type: _Type
    json: Any = None


class _MoveObject(msgspec.Struct, frozen=True):
    contents: _Contents | None = None


class _Digest(msgspec.Struct, frozen=True):
    digest: str


class _Object(msgspec.Struct, frozen=True):
    """Contents stand in the object itself where only Move objects were asked for."""

    address: str
    version: int
    digest: str
    owner: _Owner | None = None
    previousTransaction: _Digest | None = None  # noqa: N815
    asMoveObject: _MoveObject | None = None  # noqa: N815
    contents: _Contents | None = None


class _Change(msgspec.Struct, frozen=True):
    address: str
    outputState: _Object | None = None  # noqa: N815


class _Changes(msgspec.Struct, frozen=True):
    nodes: list[_Change] = []


class _ExecutionError(msgspec.Struct, frozen=True):
    message: str = ""
    abortCode: str | int | None = None  # noqa: N815 - a BigInt is text in GraphQL


class _Effects(msgspec.Struct, frozen=True):
    digest: str | None = None
    status: str | None = None
    executionError: _ExecutionError | None = None  # noqa: N815
    objectChanges: _Changes = _Changes()  # noqa: N815


class _Effected(msgspec.Struct, frozen=True):
    effects: _Effects | None = None


class _EpochData(msgspec.Struct, frozen=True):
    referenceGasPrice: str | int  # noqa: N815


class _EpochReply(msgspec.Struct, frozen=True):
    chainIdentifier: str  # noqa: N815
    epoch: _EpochData


class _Parameter(msgspec.Struct, frozen=True):
    signature: Any = None


class _Function(msgspec.Struct, frozen=True):
    parameters: list[_Parameter] = []


class _Module(msgspec.Struct, frozen=True):
    function: _Function | None = None


class _Package(msgspec.Struct, frozen=True):
    module: _Module | None = None


class _FunctionReply(msgspec.Struct, frozen=True):
    package: _Package | None = None


class _Page(msgspec.Struct, frozen=True):
    hasNextPage: bool  # noqa: N815
    endCursor: str | None = None  # noqa: N815


class _Objects(msgspec.Struct, frozen=True):
    pageInfo: _Page  # noqa: N815
    nodes: list[_Object]


class _Owned(msgspec.Struct, frozen=True):
    objects: _Objects | None = None


class _OwnedReply(msgspec.Struct, frozen=True):
    address: _Owned | None = None


class _ObjectsReply(msgspec.Struct, frozen=True):
    multiGetObjects: list[_Object | None]  # noqa: N815


class _SimulateReply(msgspec.Struct, frozen=True):
    simulateTransaction: _Effected  # noqa: N815


class _ExecuteReply(msgspec.Struct, frozen=True):
    executeTransaction: _Effected  # noqa: N815


class _TransactionReply(msgspec.Struct, frozen=True):
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
        return reply.chainIdentifier, _number(reply.epoch.referenceGasPrice)

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
            after = page.pageInfo.endCursor
            if not page.pageInfo.hasNextPage:
                break
        return found

    async def objects(self, ids: Sequence[bytes]) -> dict[bytes, SeenObject]:
        """Those of them that there are."""
        keys = [{"address": object_id_text(each)} for each in ids]
        reply = await self._client.ask(documents.OBJECTS, _ObjectsReply, keys=keys)
        seen = [_seen(each) for each in reply.multiGetObjects if each is not None]
        return {each.ref.id: each for each in seen}

    async def simulate(self, data: bytes) -> ExecutionOutcome:
        """What would become of an encoded transaction, which is not signed for it."""
        reply = await self._client.ask(
            documents.SIMULATE,
            _SimulateReply,
            transaction={"bcs": {"value": base64.b64encode(data).decode()}},
        )
        return _outcome(reply.simulateTransaction.effects)

    async def execute(self, data: bytes, signature: bytes) -> ExecutionOutcome:
        """Give it to the network. The same bytes are executed once, however often they are given."""
        reply = await self._client.ask(
            documents.EXECUTE,
            _ExecuteReply,
            transaction=base64.b64encode(data).decode(),
            signatures=[base64.b64encode(signature).decode()],
        )
        return _outcome_of(transaction_digest(data), reply.executeTransaction.effects)

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
    error = effects.executionError or _ExecutionError()
    return ExecutionOutcome(
        succeeded=effects.status == "SUCCESS",
        abort_code=None if error.abortCode is None else _number(error.abortCode),
        message=error.message[:300],
        changes={
            _id(each.address): None if each.outputState is None else _seen(each.outputState)
            for each in effects.objectChanges.nodes
        },
    )


def _seen(found: _Object) -> SeenObject:
    contents = found.contents
    if contents is None and found.asMoveObject is not None:
        contents = found.asMoveObject.contents
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
        shared_since=owner.initialSharedVersion if is_shared and owner else None,
        made_by=None if found.previousTransaction is None else found.previousTransaction.digest,
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
