"""A network of one package, in memory: it executes what is signed as a network would, or says why it does not.

Signatures, owners, versions, balances and the gas price are checked here, by code that shares nothing with the agent's
own; the Move call itself runs on the virtual machine.
"""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import sui_sandbox
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contract.subscription.ids import base58
from tests.agent.subscriptions.sui.machine import (
    DATABASE,
    DATABASE_SINCE,
    PACKAGE,
    PlainState,
    PlainTask,
    execute,
)

BADGE = f"0x{PACKAGE.hex()}::db::NodeBadge"
COIN = f"0x{2:064x}::coin::Coin<0x{2:064x}::sui::SUI>"
GAS_USED = 1_000_000
COLLATERAL = 1_000
REFERENCE_GAS_PRICE = 1_000
_GAS_TAIL = 1 + 32 + 8 + 33 + 32 + 8 + 8 + 1  # one coin, its owner, price, budget, no expiration


class RefusedError(Exception):
    """The network does not execute it."""


@dataclass
class Thing:
    """An object that belongs to an address. `number`: the small id of a badge's node, the balance of a coin."""

    type: str
    owner: str
    version: int
    number: int
    made_by: str

    @property
    def digest(self) -> str:
        seed = f"{self.type}{self.owner}{self.version}{self.number}{self.made_by}"
        return base58(blake2b(seed.encode(), digest_size=32).digest())


@dataclass
class Ledger:
    """What the network holds."""

    state: PlainState = field(default_factory=PlainState)
    things: dict[str, Thing] = field(default_factory=dict)
    version: int = 100
    effects: dict[str, dict[str, Any]] = field(default_factory=dict)  # by digest


def digest_of(data: bytes) -> str:
    return base58(blake2b(b"TransactionData::" + data, digest_size=32).digest())


class FakeChain:
    """`past`: what a read that lags may see."""

    def __init__(self) -> None:
        self.now = Ledger()
        self.past: list[Ledger] = [copy.deepcopy(self.now)]
        self.given: list[str] = []  # digests of what was to be executed, in order
        self.refused: list[str] = []

    def seen(self, lag: int) -> Ledger:
        """As it was `lag` transactions ago."""
        return self.now if not lag else self.past[max(0, len(self.past) - 1 - lag)]

    def touch(self, key: str) -> None:
        """Somebody else with the same key changes an object."""
        self.now.version += 1
        thing = self.now.things[key]
        made_by = base58(blake2b(f"{self.now.version}".encode(), digest_size=32).digest())
        thing.version, thing.made_by = self.now.version, made_by
        self.past.append(copy.deepcopy(self.now))

    def execute(self, data: bytes, signatures: list[bytes]) -> dict[str, Any]:
        """The effects. Raises RefusedError."""
        digest = digest_of(data)
        self.given.append(digest)
        if digest in self.now.effects:
            return self.now.effects[digest]
        try:
            sender = f"0x{sui_sandbox.deserialize_transaction(data)['sender']}"
            _check_signature(data, signatures, sender)
            effects = _executed(self.now, data, digest)
        except RefusedError:
            self.refused.append(digest)
            raise
        self.now.effects[digest] = effects
        self.past.append(copy.deepcopy(self.now))
        return effects

    def simulate(self, data: bytes, lag: int) -> dict[str, Any]:
        """The effects that it would have. Raises RefusedError."""
        return _executed(copy.deepcopy(self.seen(lag)), data, digest_of(data))

    def setup(self, given: dict[str, Any]) -> None:
        """`badges`: small ids by object id; `coins`: balances by object id; `tasks`: fields by small id."""
        state = self.now.state
        state.abi = given["abi"]
        for number, each in given["tasks"].items():
            state.tasks[int(number)] = PlainTask(**each)
        for kind, things in ((BADGE, given["badges"]), (COIN, given["coins"])):
            for key, number in things.items():
                self.now.things[key] = Thing(kind, given["owner"], 50, number, "1" * 32)
        state.nodes = [50] * len(given["badges"])
        self.past = [copy.deepcopy(self.now)]


def shown(key: str, thing: Thing) -> dict[str, Any]:
    """An object as GraphQL answers it."""
    if thing.type == BADGE:
        json: dict[str, Any] = {"id": key, "small_id": {"inner": str(thing.number)}}
    else:
        json = {"id": key, "balance": {"value": str(thing.number)}}
    contents = {"type": {"repr": thing.type}, "json": json}
    return {
        "address": key,
        "version": thing.version,
        "digest": thing.digest,
        "owner": {"__typename": "AddressOwner", "address": {"address": thing.owner}},
        "previousTransaction": {"digest": thing.made_by},
        "contents": contents,
        "asMoveObject": {"contents": contents},
    }


def database(ledger: Ledger) -> dict[str, Any]:
    """The shared object as GraphQL answers it."""
    contents = {"type": {"repr": f"0x{PACKAGE.hex()}::db::AtomaDb"}, "json": {}}
    return {
        "address": f"0x{DATABASE.hex()}",
        "version": ledger.version,
        "digest": "1" * 32,
        "owner": {"__typename": "Shared", "initialSharedVersion": DATABASE_SINCE},
        "previousTransaction": None,
        "asMoveObject": {"contents": contents},
    }


def _check_signature(data: bytes, signatures: list[bytes], sender: str) -> None:
    (signature,) = signatures
    scheme, signed, public = signature[0], signature[1:65], signature[65:]
    hashed = blake2b(b"\0\0\0" + data, digest_size=32).digest()
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed, hashed)
    except (InvalidSignature, ValueError):
        raise RefusedError("Invalid user signature") from None
    address = blake2b(b"\0" + public, digest_size=32).hexdigest()
    if scheme != 0 or f"0x{address}" != sender:
        raise RefusedError("Invalid user signature: not of the sender")


def _executed(ledger: Ledger, data: bytes, digest: str) -> dict[str, Any]:
    """Execute it there. Raises RefusedError."""
    read = sui_sandbox.deserialize_transaction(data)
    sender = f"0x{read['sender']}"
    coin, price, budget = _gas(data, sender)
    owned = [each for each in read["inputs"] if each["type"] == "Object"]
    for each in owned:
        _check_object(ledger, _full(each["object_id"]), each["version"], each["digest"], sender)
    _check_object(ledger, *coin, sender)
    for each in read["inputs"]:
        if each["type"] == "SharedObject" and (
            each["initial_shared_version"] != DATABASE_SINCE or not each["mutable"]
        ):
            raise RefusedError("Shared object input is wrong")
    paying = ledger.things[coin[0]]
    if paying.type != COIN or coin[0] in {_full(each["object_id"]) for each in owned}:
        raise RefusedError("The gas object is no coin that may pay")
    if paying.number < budget or budget < GAS_USED:
        raise RefusedError("Balance of gas object is lower than the needed amount")
    if price < REFERENCE_GAS_PRICE:
        raise RefusedError("Gas price is under the reference gas price")
    badges = {bytes.fromhex(k[2:]): t.number for k, t in ledger.things.items() if t.type == BADGE}
    coins = {bytes.fromhex(k[2:]): t.number for k, t in ledger.things.items() if t.type == COIN}
    verdict = execute(data, ledger.state, badges, coins)
    touched = [coin[0], *(_full(each["object_id"]) for each in owned)]
    if verdict.succeeded:
        touched += [key for each in read["commands"] if (key := _apply(ledger, read, each, digest))]
    ledger.version += 1
    paying.number -= GAS_USED
    for key in touched:
        ledger.things[key].version, ledger.things[key].made_by = ledger.version, digest
    error = {"abortCode": verdict.abort_code and str(verdict.abort_code), "message": verdict.error}
    return {
        "digest": digest,
        "status": "SUCCESS" if verdict.succeeded else "FAILURE",
        "executionError": None if verdict.succeeded else error,
        "objectChanges": {
            "nodes": [
                {"address": key, "outputState": shown(key, ledger.things[key])} for key in touched
            ]
            + [{"address": f"0x{DATABASE.hex()}", "outputState": database(ledger)}]
        },
    }


def _apply(
    ledger: Ledger, read: dict[str, Any], command: dict[str, Any], digest: str
) -> str | None:
    """Do what a call did that the machine took. The id of what it made."""
    _, *inputs = [read["inputs"][each["index"]] for each in command["arguments"]]
    state = ledger.state
    if command["function"] == "register_node_entry":
        if inputs:
            ledger.things[_full(inputs[0]["object_id"])].number -= COLLATERAL
        state.nodes.append(50)
        key = f"0x{blake2b(f'{digest}{len(state.nodes)}'.encode(), digest_size=32).hexdigest()}"
        sender = f"0x{read['sender']}"
        ledger.things[key] = Thing(BADGE, sender, 0, len(state.nodes), digest)
        return key
    badge, *numbers = inputs
    task, *terms = [int.from_bytes(base64.b64decode(each["bytes"]), "little") for each in numbers]
    place = ledger.things[_full(badge["object_id"])].number, task
    if command["function"] == "unsubscribe_node_from_task":
        del state.subscriptions[place]
    else:
        price, most = terms if len(terms) == 2 else (*terms, 0)
        state.subscriptions[place] = price, most
    return None


def _gas(data: bytes, sender: str) -> tuple[tuple[str, int, str], int, int]:
    """The coin (id, version, digest), price and budget: the end of the bytes."""
    tail = data[-_GAS_TAIL:]
    if tail[0] != 1 or tail[41] != 32 or f"0x{tail[74:106].hex()}" != sender or tail[-1] != 0:
        raise RefusedError("The gas data is not that of one coin of the sender")
    version = int.from_bytes(tail[33:41], "little")
    coin = f"0x{tail[1:33].hex()}", version, base58(tail[42:74])
    return (
        coin,
        int.from_bytes(tail[106:114], "little"),
        int.from_bytes(tail[114:122], "little"),
    )


def _check_object(ledger: Ledger, key: str, version: int, digest: str, sender: str) -> None:
    thing = ledger.things.get(key)
    if thing is None:
        raise RefusedError(f"Could not find the referenced object {key}")
    if thing.owner != sender:
        raise RefusedError(f"Object {key} is owned by another account")
    if (thing.version, thing.digest) != (version, digest):
        raise RefusedError(
            f"Object {key} version {version} is not available for consumption, current version: {thing.version}"
        )


def _full(key: str) -> str:
    return f"0x{key.removeprefix('0x'):0>64}"
