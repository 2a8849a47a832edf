"""Task subscriptions as the daemon has them: store, catalogue, ledger and API, opened and closed in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from agent.config.file import Config
from agent.local.socket import Known, LocalRefusedError, LocalRequest
from agent.ports import SubscriptionLink
from agent.subscriptions.answers import failure_document
from agent.subscriptions.api import ApiAnswer, SubscriptionApi
from agent.subscriptions.catalogue import Catalogue
from agent.subscriptions.http import SubscriptionServer
from agent.subscriptions.ledger import SubmissionFailedError
from agent.subscriptions.local import LocalLedger
from agent.subscriptions.store import TransactionStore
from agent.subscriptions.sui.ledger import SuiLedger
from contract.clock import Clock
from contract.subscription.requests import RegisterCall

SUBSCRIPTIONS: Final = "agent.subscriptions"  # as a request on this host names it
KEY_NAME: Final = "subscriptions.key"
DATABASE_NAME: Final = "subscriptions.db"


class Subscriptions:
    """Built once per process."""

    def __init__(self, config: Config, link: SubscriptionLink, clock: Clock) -> None:
        """Raises ConfigError for files of the section that cannot be used."""
        section, folder = config.subscriptions, config.state.dir
        self._store = TransactionStore(folder / DATABASE_NAME, clock)
        catalogue = Catalogue(self._store, link, clock, timeout_s=section.timeout_s)
        self._ledger: LocalLedger | SuiLedger
        if section.ledger == "sui" and section.sui is not None:
            self._ledger = SuiLedger(section.sui, self._store, clock, link=link)
        else:
            self._ledger = LocalLedger(
                self._store, catalogue, link, clock, folder / KEY_NAME, timeout_s=section.timeout_s
            )
        self._api = SubscriptionApi(
            self._ledger, self._store, catalogue, link, timeout_s=section.timeout_s
        )
        self._server = SubscriptionServer(self._api, section)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """While the daemon runs. Raises ConfigError where it cannot listen."""
        try:
            await self._ledger.start()
            await self._server.start()
            yield
        finally:
            await self._server.stop()
            await self._ledger.close()
            await self._store.close()

    @property
    def notices(self) -> list[str]:
        """What an operator should know."""
        found = [self._store.mishap] if self._store.mishap else []
        if self._ledger.trouble:
            found.append(f"No subscription can be changed: {self._ledger.trouble}")
        return found

    def asked(self, request: LocalRequest) -> LocalApiCall:
        """By a command on this host; its parameters are `method`, `path`, `body` (text, empty: none) or `new_key`."""
        return LocalApiCall(self, request.params)

    async def answered(self, params: dict[str, Any]) -> ApiAnswer:
        """Raises LocalRefusedError for what is no call."""
        match params:
            case {"new_key": True, **rest} if not rest:
                return await self._renewed()
            case {"method": str(method), "path": str(path), "body": str(body), **rest} if not rest:
                kind = "application/json" if body else None
                return await self._api.answer(method, path, body.encode(), kind)
            case _:
                raise LocalRefusedError("not a call of the subscriptions")

    async def _renewed(self) -> ApiAnswer:
        """Raises LocalRefusedError."""
        if not isinstance(self._ledger, LocalLedger):
            raise LocalRefusedError(
                "a new key is for the local ledger: that of a Sui network lies in the keystore"
            )
        try:
            return ApiAnswer(status=200, document={"tx_digest": await self._ledger.renew()})
        except SubmissionFailedError as error:
            return ApiAnswer(status=500, document=failure_document(RegisterCall, error))


class LocalApiCall:
    """One call under way; `agent.local.socket.LocalTask`."""

    def __init__(self, room: Subscriptions, params: dict[str, Any]) -> None:
        self._room = room
        self._params = params

    async def result(self) -> dict[str, Any]:
        answer = await self._room.answered(self._params)
        return {"status": answer.status, "body": answer.document}

    def known(self) -> Known:
        return Known()

    def phase(self) -> str:
        return "asking the ledger"

    def recall(self) -> None:
        """What is on its way is settled by the ledger."""
