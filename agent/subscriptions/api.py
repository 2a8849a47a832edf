"""The published API of task subscriptions, whichever way it is asked: over HTTP, or by a command on this host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from agent.ports import CloudError, SubscriptionLink
from agent.subscriptions.answers import (
    Document,
    failure_document,
    stack_row,
    subscription_row,
    task_row,
    transaction_document,
)
from agent.subscriptions.catalogue import Catalogue
from agent.subscriptions.file import TransactionStoreError
from agent.subscriptions.ledger import (
    NOT_REGISTERED,
    Gas,
    Submission,
    SubmissionFailedError,
    TaskLedger,
)
from agent.subscriptions.store import TransactionStore
from contract.subscription.ids import SMALL_MAX, SMALL_MIN, parse_digest, parse_object_id
from contract.subscription.requests import (
    BrokenJsonError,
    LedgerCall,
    RegisterCall,
    SubscribeCall,
    UnsubscribeCall,
    UpdateCall,
    parse_call,
)
from contract.subscription.rules import NO_TERMS

log: Any = structlog.get_logger(__name__)
_JSON: Final = "application/json"
_CALLS: Final[Mapping[str, type[LedgerCall]]] = {
    "/task_subscribe": SubscribeCall,
    "/task_update_subscription": UpdateCall,
    "/task_unsubscribe": UnsubscribeCall,
    "/register": RegisterCall,
}
_Get = Callable[[str], Awaitable["ApiAnswer"]]
_DIGITS_MOST: Final = 19


class ApiAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`document` None: an empty body. `allow`: the method that the path knows, where another one was used."""

    status: int
    document: Document | list[Document] | None = None
    allow: str | None = None


class RefusedCallError(Exception):
    """The call is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class SubscriptionApi:
    """One ledger, and what the control plane tells besides."""

    def __init__(
        self,
        ledger: TaskLedger,
        store: TransactionStore,
        catalogue: Catalogue,
        link: SubscriptionLink,
        *,
        timeout_s: float,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._catalogue = catalogue
        self._link = link
        self._timeout_s = timeout_s
        self._gets: Mapping[str, _Get] = {"/health": self._health, "/tasks": self._tasks}
        self._lists: Mapping[str, _Get] = {
            "subscriptions": self._subscriptions,
            "stacks": self._stacks,
            "transactions": self._transaction,
        }

    async def answer(
        self, method: str, path: str, body: bytes = b"", content_type: str | None = None
    ) -> ApiAnswer:
        """To one request; `content_type` as its header says."""
        try:
            call = _CALLS.get(path)
            if call is None:
                return await self._get(method, path)
            if method != "POST":
                return _not_allowed(method, path, "POST")
            return await self._submit(call, body, content_type)
        except RefusedCallError as error:
            return ApiAnswer(status=error.status, document={"error": str(error)})
        except CloudError as error:
            return ApiAnswer(status=503, document={"error": str(error)})
        except TransactionStoreError as error:
            return ApiAnswer(status=500, document={"error": str(error)})

    async def _submit(
        self, call: type[LedgerCall], body: bytes, content_type: str | None
    ) -> ApiAnswer:
        media_type = (content_type or "").partition(";")[0].strip().lower()
        if media_type != _JSON:
            raise RefusedCallError(415, f"the Content-Type must be {_JSON}")
        try:
            submission = _submission(parse_call(call, body))
            digest = await self._ledger.submit(submission)
        except BrokenJsonError as error:
            raise RefusedCallError(400, str(error)) from None
        except ValueError as error:  # of another node than ours, too
            raise RefusedCallError(422, str(error)) from None
        except SubmissionFailedError as error:
            log.warning(
                "subscriptions.not_submitted", kind=call.kind.name.lower(), why=error.detail
            )
            return ApiAnswer(status=500, document=failure_document(call, error))
        log.info("subscriptions.submitted", kind=call.kind.name.lower(), tx_digest=digest)
        return ApiAnswer(status=200, document={"tx_digest": digest})

    async def _get(self, method: str, path: str) -> ApiAnswer:
        name, _, rest = path.removeprefix("/").partition("/")
        answer = self._gets.get(path)
        if answer is None and name in self._lists and "/" not in rest and path != f"/{name}/":
            answer = self._lists[name]
        if answer is None or path == "/transactions":
            raise RefusedCallError(404, "there is nothing at this path")
        if method != "GET":
            return _not_allowed(method, path, "GET")
        return await answer(rest)

    async def _health(self, _rest: str) -> ApiAnswer:
        return ApiAnswer(status=200)

    async def _tasks(self, _rest: str) -> ApiAnswer:
        return ApiAnswer(
            status=200, document=[task_row(each) for each in await self._catalogue.tasks()]
        )

    async def _subscriptions(self, node: str) -> ApiAnswer:
        chosen = await self._node(node)
        rows = [
            subscription_row(each, self._ledger.max_enforced_by)
            for each in await self._store.subscriptions(self._ledger.name)
            if chosen in (None, each.node_small_id)
        ]
        return ApiAnswer(status=200, document=rows)

    async def _stacks(self, node: str) -> ApiAnswer:
        chosen = await self._node(node)
        told = await self._link.stacks(timeout_s=self._timeout_s)
        rows = [stack_row(each) for each in told.stacks if chosen in (None, each.node_small_id)]
        return ApiAnswer(status=200, document=rows)

    async def _transaction(self, digest: str) -> ApiAnswer:
        try:
            parse_digest(digest)
        except ValueError as error:
            raise RefusedCallError(422, f"tx_digest: {error}") from None
        found = await self._ledger.transaction(digest)
        if found is None:
            raise RefusedCallError(404, "this agent knows no such transaction")
        return ApiAnswer(status=200, document=transaction_document(found))

    async def _node(self, text: str) -> int | None:
        """Which node is meant; None: all. Raises RefusedCallError."""
        number = (
            int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MOST else 0
        )
        if text and not SMALL_MIN <= number <= SMALL_MAX:
            raise RefusedCallError(422, "node_small_id: must be a whole number from 1 to 2^63 - 1")
        nodes = await self._ledger.nodes()
        if not nodes:
            raise RefusedCallError(404, NOT_REGISTERED)
        if text and number not in nodes:
            raise RefusedCallError(404, f"node {number} is not of this agent")
        return number or None


def _not_allowed(method: str, path: str, allow: str) -> ApiAnswer:
    said = f"{method[:20]} is not allowed at {path}: it takes {allow}"
    return ApiAnswer(status=405, document={"error": said}, allow=allow)


def _submission(call: LedgerCall) -> Submission:
    gas = Gas(
        coin=None if call.gas is None else parse_object_id(call.gas),
        budget=call.gas_budget,
        price=call.gas_price,
    )
    if not isinstance(call, UnsubscribeCall):
        return Submission(call.kind, gas=gas)
    badge = call.node_badge_id
    return Submission(
        call.kind,
        call.task_small_id,
        call.terms if isinstance(call, SubscribeCall) else NO_TERMS,
        badge=None if badge is None else parse_object_id(badge),
        node_small_id=call.node_small_id,
        gas=gas,
    )
