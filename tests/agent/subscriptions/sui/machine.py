"""The Move virtual machine of Sui, running the compiled doubles: transactions in the very bytes that are signed, against
a state that stands here as plain numbers.

It checks neither signatures nor owners, versions and balances, and gives no objects back: `fake/chain.py` does so.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import sui_sandbox

from contract.subscription import bcs
from contract.subscription.ids import object_id_text, parse_object_id

MOVE = Path(__file__).parent / "move"
PACKAGE = parse_object_id("0xa70")
DATABASE = parse_object_id("0xdb")
DATABASE_SINCE = 3  # its first version as a shared object
_ABORTED = re.compile(r"major_status: ABORTED, sub_status: Some\((\d+)\)")


@dataclass
class PlainTask:
    deprecated: bool = False
    public: bool = True
    minimum_reputation: int = 0


@dataclass
class PlainState:
    """What the shared object of the double holds."""

    abi: str = "per_unit"
    registration_open: bool = True
    collateral: int = 0
    nodes: list[int] = field(default_factory=list)  # the reputation of each, the first is node 1
    tasks: dict[int, PlainTask] = field(default_factory=dict)
    subscriptions: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As the double lays it out."""
        is_older = self.abi == "per_unit"
        parts = [DATABASE, bcs.u8(self.registration_open)]
        if is_older:
            parts.append(bcs.u64(self.collateral))
        parts.append(
            bcs.vector([bcs.u64(at) + bcs.u64(each) for at, each in enumerate(self.nodes, 1)])
        )
        parts.append(
            bcs.vector(
                [
                    bcs.u64(number)
                    + bcs.u64(task.minimum_reputation)
                    + (b"" if is_older else bcs.u8(task.public))
                    + bcs.u8(task.deprecated)
                    for number, task in self.tasks.items()
                ]
            )
        )
        parts.append(
            bcs.vector(
                [
                    b"".join(
                        bcs.u64(each) for each in (node, task, price, *([most] if is_older else []))
                    )
                    for (node, task), (price, most) in self.subscriptions.items()
                ]
            )
        )
        return b"".join(parts)


@dataclass(frozen=True)
class Verdict:
    """What became of a transaction. `error` in the machine's words."""

    succeeded: bool
    abort_code: int | None = None
    error: str = ""
    events: int = 0


def execute(
    data: bytes, state: PlainState, badges: dict[bytes, int], coins: dict[bytes, int]
) -> Verdict:
    """`badges`: object id and small id of its node; `coins`: object id and balance."""
    package = object_id_text(PACKAGE)
    objects = [_object(DATABASE, f"{package}::db::AtomaDb", state.encode(), shared=True)]
    objects += [
        _object(badge, f"{package}::db::NodeBadge", badge + bcs.u64(node))
        for badge, node in badges.items()
    ]
    objects += [
        _object(coin, "0x2::coin::Coin<0x2::sui::SUI>", coin + bcs.u64(balance))
        for coin, balance in coins.items()
    ]
    asked = {
        "transaction": {"digest": "of-no-matter", "raw_bcs": base64.b64encode(data).decode()},
        "protocol_version": 107,
        "epoch": 900,
        "reference_gas_price": 1000,
        "checkpoint": 1,
        "objects": objects,
        "packages": {package: {"address": package, "modules": {"db": _compiled(state.abi)}}},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(asked, file)
        file.flush()
        said = sui_sandbox.replay(
            state_file=file.name,
            vm_only=True,
            allow_fallback=False,
            no_prefetch=True,
            rpc_url="http://127.0.0.1:1",
        )
    error = str(said.get("local_error") or "")
    aborted = _ABORTED.search(error)
    return Verdict(
        succeeded=bool(said["local_success"]),
        abort_code=None if aborted is None else int(aborted[1]),
        error=error,
        events=int((said.get("effects") or {}).get("events_count", 0)),
    )


def _object(
    key: bytes, type_tag: str, content: bytes, *, shared: bool = False
) -> dict[str, object]:
    return {
        "object_id": object_id_text(key),
        "type_tag": type_tag,
        "bcs_bytes": base64.b64encode(content).decode(),
        "version": DATABASE_SINCE,
        "owner_type": "Shared" if shared else "AddressOwner",
    }


@functools.cache
def _compiled(abi: str) -> str:
    return (MOVE / abi / "db.mv.b64").read_text().replace("\n", "")
