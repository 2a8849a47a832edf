"""Which miners of this site people work on, as the cloud told last: they are not written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from contract.link import MAINTAINED_MOST, MinerRef
from contract.miner import normalize_mac


class Maintenance:
    """Miners by MAC, those that tell none as `ip:ADDRESS`. What was told holds until something else is told, also while
    no cloud answers.
    """

    def __init__(self, hidden_mac: Callable[[MinerRef], str | None] = lambda _: None) -> None:
        """`hidden_mac`: as in `agent.ports.Miners`."""
        self._hidden_mac = hidden_mac
        self._keys: set[str] = set()

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self._keys)

    def follow(self, keys: Iterable[str]) -> None:
        """The whole list, as it is now."""
        self._keys = set(keys)

    def learn(self, miner: MinerRef) -> None:
        """What the cloud says of one miner as it hands out a task for it, which is newer than the list."""
        if not miner.maintenance:
            self._keys.discard(_key(miner))
        elif len(self._keys) < MAINTAINED_MOST:
            self._keys.add(_key(miner))

    def holds(self, miner: MinerRef) -> bool:
        """Whether that miner is not to be written to, by whatever name it goes."""
        return _key(miner) in self._keys or self._hidden_mac(miner) in self._keys


def _key(miner: MinerRef) -> str:
    return normalize_mac(miner.mac) or f"ip:{miner.last_ip}"
