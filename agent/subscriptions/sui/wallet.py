"""The objects of one address: the badges of its nodes, and the coin that pays.

Reads may lag behind what was executed, so what our own transactions left is remembered, and of two sights of one object
the newer counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.subscriptions.ledger import SubmissionFailedError
from agent.subscriptions.sui.chain import (
    SUI_COIN,
    SeenObject,
    SuiChain,
    balance_of,
    plain_type,
    small_id_of,
)
from agent.subscriptions.sui.keys import SuiKey
from contract.subscription.ids import object_id_text


class SuiWallet:
    """Its methods that ask raise ChainError."""

    def __init__(self, chain: SuiChain, key: SuiKey, badge_type: str) -> None:
        self.key = key
        self._chain = chain
        self._address = key.address
        self._badge_type = badge_type
        self._left: dict[bytes, SeenObject | None] = {}  # by our own transactions; None: gone

    def learn(self, changes: Mapping[bytes, SeenObject | None]) -> None:
        """What a transaction left."""
        for key, change in changes.items():
            before = self._left.get(key)
            if change is None or before is None or change.ref.version > before.ref.version:
                self._left[key] = change

    async def badges(self) -> dict[int, SeenObject]:
        """By the small ids of their nodes."""
        found = await self._owned(self._badge_type)
        return {small_id_of(each): each for each in found}

    async def coin(self, asked: bytes | None, budget: int, inputs: Collection[bytes]) -> SeenObject:
        """The coin that pays: the one that is asked for, else the richest that is no input. Raises
        SubmissionFailedError where there is none that can.
        """
        if asked is not None:
            return self._checked(await self.object(asked), budget, asked in inputs)
        found = [each for each in await self._owned(SUI_COIN) if each.ref.id not in inputs]
        able = [each for each in found if balance_of(each) >= budget]
        if not able:
            raise SubmissionFailedError(
                f"no SUI coin of {object_id_text(self._address)} holds the gas budget of {budget} MIST"
            )
        return max(able, key=lambda each: (balance_of(each), each.ref.id))

    async def object(self, key: bytes) -> SeenObject:
        """One that belongs to this address. Raises SubmissionFailedError where it does not."""
        seen = (await self._chain.objects([key])).get(key)
        found = self._newest(key, seen)
        if found is None or found.owner != self._address:
            raise SubmissionFailedError(
                f"{object_id_text(key)} is no object of {object_id_text(self._address)}"
            )
        return found

    async def _owned(self, type_name: str) -> list[SeenObject]:
        seen: dict[bytes, SeenObject | None] = {
            each.ref.id: each for each in await self._chain.owned(self._address, type_name)
        }
        for key, left in self._left.items():
            if left is not None and plain_type(left.type) == plain_type(type_name):
                seen.setdefault(key, left)
        newest = (self._newest(key, each) for key, each in seen.items())
        return [each for each in newest if each is not None and each.owner == self._address]

    def _newest(self, key: bytes, seen: SeenObject | None) -> SeenObject | None:
        if key not in self._left:
            return seen
        left = self._left[key]
        return seen if left and seen and seen.ref.version > left.ref.version else left

    def _checked(self, coin: SeenObject, budget: int, is_input: bool) -> SeenObject:
        name = object_id_text(coin.ref.id)
        if plain_type(coin.type) != plain_type(SUI_COIN):
            raise SubmissionFailedError(f"gas: {name} is no SUI coin")
        if is_input:
            raise SubmissionFailedError(f"gas: {name} is passed to the call itself")
        if balance_of(coin) < budget:
            raise SubmissionFailedError(f"gas: {name} holds less than the budget of {budget} MIST")
        return coin
