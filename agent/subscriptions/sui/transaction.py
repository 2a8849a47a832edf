"""The bytes of a programmable transaction of Sui, as far as we make one: Move calls without type arguments, whose
arguments are objects and integers of 64 bits, paid for with one coin, and no expiration.

The layout is in docs/protocols/sui.md. What is signed is made here from its parts, never taken from a server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contract.subscription import bcs
from contract.subscription.ids import OBJECT_BYTES, base58, blake2b_256

_DIGEST_TAG: Final = b"TransactionData::"
_V1: Final = 0
_PROGRAMMABLE: Final = 0
_PURE, _OBJECT = 0, 1  # kinds of input
_OWNED, _SHARED = 0, 1  # kinds of object
_MOVE_CALL: Final = 0
_INPUT: Final = 1  # kind of argument
_NO_EXPIRATION: Final = 0


@dataclass(frozen=True)
class ObjectRef:
    """An object as it was at one moment: a transaction that names it is taken only while it still is so."""

    id: bytes
    version: int
    digest: bytes

    def encode(self) -> bytes:
        return self.id + bcs.u64(self.version) + bcs.octets(self.digest)


@dataclass(frozen=True)
class SharedRef:
    """An object that belongs to nobody and is passed to be changed."""

    id: bytes
    initial_version: int


Argument = ObjectRef | SharedRef | int


@dataclass(frozen=True)
class MoveCall:
    """One call; the transaction's context, which every function ends with, is never passed."""

    package: bytes
    module: str
    function: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class SuiTransaction:
    """Calls that are executed all or none. `gas_price` and `gas_budget` in MIST; the sender pays."""

    sender: bytes
    calls: tuple[MoveCall, ...]
    gas_coin: ObjectRef
    gas_price: int
    gas_budget: int

    def encode(self) -> bytes:
        """The bytes that are hashed and signed. Raises OverflowError for numbers that are no u64."""
        inputs, commands = _parts(self.calls)
        return b"".join(
            (
                bcs.u8(_V1),
                bcs.u8(_PROGRAMMABLE),
                bcs.vector(inputs),
                bcs.vector(commands),
                self.sender,
                bcs.vector([self.gas_coin.encode()]),
                self.sender,
                bcs.u64(self.gas_price),
                bcs.u64(self.gas_budget),
                bcs.u8(_NO_EXPIRATION),
            )
        )


def transaction_digest(data: bytes) -> str:
    """By which everybody knows an encoded transaction."""
    return base58(blake2b_256(_DIGEST_TAG, data))


def owned_inputs(data: bytes) -> tuple[ObjectRef, ...]:
    """The owned objects that an encoded transaction names, its coin last. Raises ValueError for what is no transaction
    of ours.
    """
    reader = bcs.Reader(data)
    _expect(reader, bytes((_V1, _PROGRAMMABLE)))
    inputs = reader.vector(lambda: _owned_input(reader))
    reader.vector(lambda: _skip_call(reader))
    sender = reader.take(OBJECT_BYTES)
    payment = reader.vector(lambda: _ref(reader))
    _expect(reader, sender)
    reader.take(16)  # price and budget
    _expect(reader, bytes((_NO_EXPIRATION,)))
    reader.end()
    return (*(each for each in inputs if each is not None), *payment)


def _parts(calls: tuple[MoveCall, ...]) -> tuple[list[bytes], list[bytes]]:
    """Inputs and commands. An object is one input, however many calls it is passed to; a number is one each time."""
    inputs: list[bytes] = []
    places: dict[bytes, int] = {}
    commands = []
    for call in calls:
        arguments = []
        for argument in call.arguments:
            encoded = _input(argument)
            place = None if isinstance(argument, int) else places.get(encoded)
            if place is None:
                place = places[encoded] = len(inputs)
                inputs.append(encoded)
            arguments.append(bcs.u8(_INPUT) + bcs.u16(place))
        commands.append(
            bcs.u8(_MOVE_CALL)
            + call.package
            + bcs.string(call.module)
            + bcs.string(call.function)
            + bcs.vector([])
            + bcs.vector(arguments)
        )
    return inputs, commands


def _input(argument: Argument) -> bytes:
    if isinstance(argument, ObjectRef):
        return bytes((_OBJECT, _OWNED)) + argument.encode()
    if isinstance(argument, SharedRef):
        mutable = bcs.u8(1)
        return bytes((_OBJECT, _SHARED)) + argument.id + bcs.u64(argument.initial_version) + mutable
    return bcs.u8(_PURE) + bcs.octets(bcs.u64(argument))


def _expect(reader: bcs.Reader, wanted: bytes) -> None:
    if reader.take(len(wanted)) != wanted:
        raise ValueError("not a transaction of our own making")


def _ref(reader: bcs.Reader) -> ObjectRef:
    return ObjectRef(reader.take(OBJECT_BYTES), reader.u64(), reader.octets())


def _owned_input(reader: bcs.Reader) -> ObjectRef | None:
    """None: an input of another kind."""
    if reader.u8() == _PURE:
        reader.octets()
        return None
    if reader.u8() == _OWNED:
        return _ref(reader)
    reader.take(OBJECT_BYTES + 8 + 1)
    return None


def _skip_call(reader: bcs.Reader) -> None:
    _expect(reader, bytes((_MOVE_CALL,)))
    reader.take(OBJECT_BYTES)
    reader.string()
    reader.string()
    _expect(reader, b"\0")
    reader.vector(lambda: reader.take(3))
