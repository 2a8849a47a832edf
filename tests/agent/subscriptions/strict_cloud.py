"""The cloud's side of the local ledger, as strict as its messages say, on a real socket; it can lose answers and its
memory.
"""

from __future__ import annotations

import asyncio
import copy
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from aiohttp import web

from agent.link.client import CloudLink
from contract.subscription.entry import (
    NO_ENTRY,
    badge_of,
    chain_hash,
    decode_entry,
    digest_of,
    is_signed,
)
from contract.subscription.link import (
    ENTRIES_MOST,
    EntryResult,
    EntryState,
    LedgerReply,
    LedgerRequest,
    LedgerState,
    SignedEntry,
    Stack,
    Stacks,
    Subscription,
    TaskClass,
)
from contract.subscription.rules import Book, OperationKind, Terms, applied, judge

TASKS = tuple(
    TaskClass(task_small_id=number, task_id=bytes([number]) * 32, operation=name)
    for number, name in enumerate(("miner.system.reboot", "miner.light.update"), 1)
)


@dataclass
class Memory:
    """What is put back when the cloud is restored from a copy."""

    public_key: bytes | None = None
    node: int | None = None
    chain: list[SignedEntry] = field(default_factory=list)
    subscribed: dict[int, Terms] = field(default_factory=dict)
    left: dict[int, Terms] = field(default_factory=dict)  # unsubscribed, with the last terms
    taken: dict[str, bytes] = field(default_factory=dict)  # digests of all chains, with their keys

    @property
    def head(self) -> bytes:
        return chain_hash(self.chain[-1].data) if self.chain else NO_ENTRY


class StrictCloud:
    """`moods` of the next requests, one each, of POST alone: `lost` (taken, the answer never comes), `dropped` (it never
    arrived, and no answer comes), `gone` (lost, and then the cloud is away), `late` (the answer comes after `late_s`).
    After these it is well.
    """

    def __init__(self) -> None:
        self.memory = Memory()
        self.ledger_id = "org_1"
        self.tasks = TASKS
        self.moods: list[str] = []
        self.is_away = False  # 503 to all
        self.late_s = 5.0
        self.stacks: list[Stack] = []
        self.requests: list[str] = []
        self.delayed: list[LedgerRequest] = []  # dropped ones, that the network may still bring

    def copy(self) -> Memory:
        return copy.deepcopy(self.memory)

    def restore(self, memory: Memory) -> None:
        self.memory = copy.deepcopy(memory)

    def deprecate(self, task: int) -> None:
        self.tasks = tuple(
            msgspec.structs.replace(
                each, is_deprecated=each.is_deprecated or each.task_small_id == task
            )
            for each in self.tasks
        )

    @property
    def book(self) -> Book:
        return Book(
            tasks=frozenset(each.task_small_id for each in self.tasks),
            deprecated=frozenset(each.task_small_id for each in self.tasks if each.is_deprecated),
            subscribed=dict(self.memory.subscribed),
        )

    def subscriptions(self) -> tuple[Subscription, ...]:
        return tuple(
            Subscription(
                node_small_id=self.memory.node or 0,
                task_small_id=task,
                price_per_compute_unit=terms.price,
                max_num_compute_units=terms.max_units,
                valid=valid,
            )
            for held, valid in ((self.memory.subscribed, True), (self.memory.left, False))
            for task, terms in sorted(held.items())
        )

    def state(self, after: int) -> LedgerState:
        here = self.memory
        return LedgerState(
            ledger_id=self.ledger_id,
            node_small_id=here.node,
            public_key=here.public_key,
            head_sequence=len(here.chain),
            head=here.head if here.chain else None,
            entries=tuple(here.chain[after : after + ENTRIES_MOST]),
            tasks=self.tasks,
            subscriptions=self.subscriptions(),
        )

    def take(self, request: LedgerRequest) -> LedgerReply:
        results: list[EntryResult] = []
        for each in request.entries:
            if results and results[-1].state is not EntryState.SUCCESS:
                state, code = EntryState.GAP, None
            else:
                state, code = self._one(request.public_key, each)
            results.append(
                EntryResult(tx_digest=digest_of(each.data), state=state, abort_code=code)
            )
        here = self.memory
        return LedgerReply(
            results=tuple(results),
            node_small_id=here.node,
            head_sequence=len(here.chain),
            head=here.head if here.chain else None,
        )

    def _one(self, public_key: bytes, each: SignedEntry) -> tuple[EntryState, int | None]:
        here, digest = self.memory, digest_of(each.data)
        entry = decode_entry(each.data)
        signed = is_signed(public_key, each.data, each.signature)
        if not signed or (entry.badge, entry.ledger_id) != (badge_of(public_key), self.ledger_id):
            return EntryState.INVALID, None
        if here.taken.get(digest) == public_key:
            return EntryState.SUCCESS, None
        registers = entry.operations[0].kind is OperationKind.REGISTER
        if public_key != here.public_key:
            is_closed = public_key in here.taken.values()
            if is_closed or entry.sequence != 1 or not registers or entry.node_small_id:
                return EntryState.INVALID, None
            self.memory = here = replace(here, public_key=public_key, node=here.node or 1, chain=[])
        elif entry.node_small_id != (0 if registers else here.node):
            return EntryState.INVALID, None
        if entry.sequence > len(here.chain) + 1:
            return EntryState.GAP, None
        if entry.sequence <= len(here.chain) or entry.previous != here.head:
            return EntryState.CONFLICT, None
        book = self.book
        for operation in entry.operations:
            if (abort := judge(operation, book)) is not None:
                return EntryState.ABORTED, abort.code
            book = applied(operation, book)
        for task in here.subscribed.keys() - book.subscribed.keys():
            here.left[task] = here.subscribed[task]
        here.subscribed = book.subscribed
        here.left = {task: each for task, each in here.left.items() if task not in book.subscribed}
        here.chain.append(each)
        here.taken[digest] = public_key
        return EntryState.SUCCESS, None

    # --- the socket ---

    async def _get(self, request: web.Request) -> web.Response:
        self._note(request)
        return _json(self.state(int(request.query["after"])))

    async def _post(self, request: web.Request) -> web.Response:
        self._note(request)
        body = await request.read()
        if "Content-Encoding" in request.headers:
            body = zlib.decompress(body) if not body.startswith(b"{") else body
        message = msgspec.json.decode(body, type=LedgerRequest)
        mood = self.moods.pop(0) if self.moods else "well"
        if mood == "dropped":
            self.delayed.append(message)
        else:
            reply = self.take(message)
        if mood == "late":
            await asyncio.sleep(self.late_s)
        self.is_away = self.is_away or mood == "gone"
        if mood in ("dropped", "lost", "gone"):
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(3600)
        return _json(reply)

    async def _stacks(self, request: web.Request) -> web.Response:
        self._note(request)
        return _json(Stacks(stacks=tuple(self.stacks)))

    def _note(self, request: web.Request) -> None:
        self.requests.append(f"{request.method} {request.path}")
        if self.is_away:
            raise web.HTTPServiceUnavailable(text='{"message": "away"}')

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/link/v1/ledger", self._get)
        app.router.add_post("/link/v1/ledger", self._post)
        app.router.add_get("/link/v1/stacks", self._stacks)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _json(message: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), content_type="application/json")


@asynccontextmanager
async def linked(cloud: StrictCloud) -> AsyncIterator[CloudLink]:
    async with cloud.listening() as url:
        link = CloudLink(url, "token", timeout_s=2.0)
        try:
            yield link
        finally:
            await link.close()
