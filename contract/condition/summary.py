"""Many miners at a glance: how many are in which state and have which trouble, what they hash and take against what is
expected, the worst of them, and what those have in common. Pure; memory does not grow by the miner.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Generic, TypeVar

import msgspec

from contract.condition.causes import Cause, Causes, MinerPlace
from contract.condition.judgement import MinerCondition, MinerState, MinerTrouble
from contract.miner import Algorithm

WORST: Final = 10
_NOT_JUDGED: Final = (MinerState.MAINTENANCE, MinerState.UNSEEN)
_TERA: Final = 1e12
_KEPT: Final = 20 * WORST  # before those that are not among the worst are dropped
KeyT = TypeVar("KeyT", int, str, tuple[int, str])


class RateTotals(msgspec.Struct, kw_only=True):
    """Of the miners that hash one thing, in H/s (sol/s for Equihash): rates of different things are never added."""

    kind: str  # see `kind_of_rate`
    miners: int = 0
    hashrate_hs: float = 0.0
    expected_hs: float = 0.0  # of those of which it is known
    compared_hs: float = 0.0  # what those hash
    unknown: int = 0  # of so many it is not known
    metered_hs: float = 0.0  # of those that hash and whose watts are known
    metered_w: float = 0.0

    @property
    def realization(self) -> float | None:
        """Of what is expected; None where nothing is."""
        return self.compared_hs / self.expected_hs if self.expected_hs else None

    @property
    def efficiency(self) -> float | None:
        """J/TH (J per 1e12 sol for Equihash) of those whose watts are known."""
        return _TERA * self.metered_w / self.metered_hs if self.metered_hs else None


class PowerTotals(msgspec.Struct, kw_only=True):
    """W of the `metered` miners that tell it; of those of which it is also known what they should take, both."""

    power_w: float = 0.0
    metered: int = 0
    expected_w: float = 0.0
    compared_w: float = 0.0


class Summary(Generic[KeyT]):
    """Miners are added one by one, each under a key of the caller's; among equals the smaller key comes first."""

    def __init__(self) -> None:
        self.total = 0
        self.wrong = 0  # with any trouble
        self.states: Counter[MinerState] = Counter()
        self.troubles: Counter[MinerTrouble] = Counter()
        self.power = PowerTotals()
        self._rates: dict[str, RateTotals] = {}
        self._causes = Causes()
        self._worst: list[tuple[float, KeyT]] = []  # the less its weight, the worse

    def add(
        self, key: KeyT, condition: MinerCondition, place: MinerPlace, kind_of_rate: str
    ) -> None:
        """One miner."""
        self.total += 1
        self.states[condition.state] += 1
        if condition.state in _NOT_JUDGED:
            return
        troubles = [symptom.trouble for symptom in condition.symptoms]
        self._causes.add(troubles, place)
        self._add_rate(condition, kind_of_rate)
        self._add_power(condition)
        if troubles:
            self.wrong += 1
            self.troubles.update(troubles)
            self._worst.append((-condition.weight, key))
            if len(self._worst) > _KEPT:
                self._worst = sorted(self._worst)[:WORST]

    @property
    def worst(self) -> list[KeyT]:
        """At most WORST of those with a trouble, the worst first."""
        return [key for _, key in sorted(self._worst)[:WORST]]

    @property
    def rates(self) -> list[RateTotals]:
        """By what is hashed; that of most miners first."""
        return sorted(self._rates.values(), key=lambda rates: (-rates.miners, rates.kind))

    def causes(self) -> list[Cause]:
        """What many of those with a trouble have in common."""
        return self._causes.find()

    def _add_rate(self, condition: MinerCondition, kind: str) -> None:
        rates = self._rates.get(kind)
        if rates is None:
            rates = self._rates[kind] = RateTotals(kind=kind)
        rates.miners += 1
        rate, expected = condition.hashrate_hs or 0.0, condition.expected_hs
        rates.hashrate_hs += rate
        if expected is None:
            rates.unknown += 1
        else:
            rates.expected_hs += expected
            if expected:
                rates.compared_hs += rate
        if rate and condition.power_w is not None:
            rates.metered_hs += rate
            rates.metered_w += condition.power_w

    def _add_power(self, condition: MinerCondition) -> None:
        power, expected = condition.power_w, condition.expected_w
        if power is None:
            return
        self.power.power_w += power
        self.power.metered += 1
        if expected:
            self.power.expected_w += expected
            self.power.compared_w += power


def kind_of_rate(algorithm: str | None, model: str | None) -> str:
    """What its rate may be added to: those of the same algorithm, and where that has no name, of the same model."""
    if algorithm is None or algorithm == Algorithm.OTHER:
        return f"unknown ({model})" if model else "unknown"
    return algorithm
