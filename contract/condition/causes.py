"""Likely common causes: a trouble that many miners of one rack, agent, network, pool, firmware or model have, and few
of the others. Pure, and the same for the same miners in any order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from contract.condition.judgement import MinerTrouble


class MinerPlace(NamedTuple):
    """What a miner has in common with others, as it is told to people; None where that is not known. The order is that
    in which one is preferred to another that explains as much.
    """

    agent: str | None = None
    rack: str | None = None
    subnet: str | None = None
    pool: str | None = None
    firmware: str | None = None
    model: str | None = None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """`miners` of the `of` miners with this trouble are of one group, which has `group` miners in all."""

    trouble: MinerTrouble
    kind: str  # the field of MinerPlace
    name: str
    miners: int
    of: int
    group: int

    @property
    def words(self) -> str:
        """`all 12 unreachable miners stand in rack A3`, `9 of 10 miners with low rate hash to pool.example.com/a`."""
        which = _MINERS[self.trouble]
        count = f"all {self.of}" if self.miners == self.of else f"{self.miners} of {self.of}"
        return f"{count} {which} {_STAND[self.kind]} {self.name}"


class Causes:
    """Miners are added one by one; memory grows by the number of different places."""

    def __init__(self) -> None:
        self._all: Counter[MinerPlace] = Counter()
        self._hit: dict[MinerTrouble, Counter[MinerPlace]] = {}

    def add(self, troubles: Iterable[MinerTrouble], place: MinerPlace) -> None:
        """One miner that is in service."""
        self._all[place] += 1
        for trouble in troubles:
            self._hit.setdefault(trouble, Counter())[place] += 1

    def find(self) -> list[Cause]:
        """At most CAUSES_MAX of them, those that explain most first."""
        totals, count = _by_group(self._all), self._all.total()
        found = [
            cause
            for trouble, hit in self._hit.items()
            for cause in _causes_of(trouble, hit, totals, count)
        ]
        order = list(MinerTrouble)
        found.sort(key=lambda cause: (-cause.miners, order.index(cause.trouble), cause.name))
        return found[:CAUSES_MAX]


CAUSES_MAX: Final = 10
LEAST_MINERS: Final = 3  # with a trouble, before a common cause is looked for
CLEARLY: Final = 3.0  # how much more often a trouble is in the group than outside
SHARE_OF_TROUBLE: Final = 0.5  # of those with the trouble, that a group explains,
SHARE_OF_GROUP: Final = 0.5  # or of its own miners, that have it
CHANCE_MOST: Final = 0.01  # of as many or more of them in a group without any cause
_PER_TROUBLE: Final = 3

_MINERS: Final = {
    MinerTrouble.UNREACHABLE: "unreachable miners",
    MinerTrouble.LOGIN: "miners that refuse the login",
    MinerTrouble.STALE: "stale miners",
    MinerTrouble.HOT: "hot miners",
    MinerTrouble.BOARD: "miners with a lost board",
    MinerTrouble.LOW_RATE: "miners with low rate",
    MinerTrouble.FAN: "miners with a fan that fails",
    MinerTrouble.POOL: "miners without a pool",
    MinerTrouble.WRONG_POOL: "miners at a wrong pool",
    MinerTrouble.DUPLICATE: "miners with a MAC of others",
    MinerTrouble.POWER: "miners with wrong power",
    MinerTrouble.FAULT: "miners that tell a fault",
}
_STAND: Final = {
    "agent": "belong to agent",
    "rack": "stand in rack",
    "subnet": "are in",
    "pool": "hash to",
    "firmware": "run firmware",
    "model": "are of model",
}
# Where a miner hashes to does not explain that it is the wrong pool.
_NO_EXPLANATION: Final = {MinerTrouble.WRONG_POOL: "pool"}

_Group = tuple[int, str]  # (place in MinerPlace, name)


def subnet_of(ip: str | None) -> str | None:
    """`10.0.3.0/24` of an address of version 4, else None."""
    head, _, last = (ip or "").rpartition(".")
    return f"{head}.0/24" if head.count(".") == 2 and last.isdigit() else None


def _groups(place: MinerPlace) -> Iterator[_Group]:
    return ((index, name) for index, name in enumerate(place) if name is not None)


def _by_group(places: Counter[MinerPlace]) -> Counter[_Group]:
    found: Counter[_Group] = Counter()
    for place, count in places.items():
        for group in _groups(place):
            found[group] += count
    return found


def _causes_of(
    trouble: MinerTrouble, hit: Counter[MinerPlace], totals: Counter[_Group], count: int
) -> Iterator[Cause]:
    """The group that explains most, then that which explains most of the rest."""
    of, rest = hit.total(), hit
    for _ in range(_PER_TROUBLE):
        left = rest.total()
        if left < LEAST_MINERS:
            return
        scored = (
            (-_evidence(trouble, group, hits, left, totals, count), *group, hits)
            for group, hits in _by_group(rest).items()
        )
        score, kind, name, hits = min(scored, default=(0.0, 0, "", 0))
        if not score:
            return
        yield Cause(
            trouble=trouble,
            kind=MinerPlace._fields[kind],
            name=name,
            miners=hits,
            of=of,
            group=totals[kind, name],
        )
        rest = Counter({place: n for place, n in rest.items() if place[kind] != name})


def _evidence(
    trouble: MinerTrouble,
    group: _Group,
    hits: int,
    left: int,
    totals: Counter[_Group],
    count: int,
) -> float:
    """How well a group explains a trouble: of how many miners more than by chance; 0 where it does not."""
    kind, total = MinerPlace._fields[group[0]], totals[group]
    if hits < LEAST_MINERS or _NO_EXPLANATION.get(trouble) == kind:
        return 0.0
    if trouble is MinerTrouble.STALE and kind == "agent":
        return float(hits)  # nobody else looks at them, were there one agent only
    outside = count - total
    if outside == 0:
        return 0.0
    if _chance(hits, left, total / count) > CHANCE_MOST:
        return 0.0
    inside_share, outside_share = hits / total, (left - hits) / outside
    is_clear = inside_share >= CLEARLY * outside_share
    is_much = hits >= SHARE_OF_TROUBLE * left or inside_share >= SHARE_OF_GROUP
    return hits - outside_share * total if is_clear and is_much else 0.0


def _chance(hits: int, left: int, share: float) -> float:
    """How likely it is at most that of so many miners at least `hits` are in a group that has this share of all miners,
    were they anywhere (Chernoff's bound of the binomial distribution). 1 where no more are than the share lets expect.
    """
    found = hits / left
    if found <= share:
        return 1.0
    bits = found * math.log(found / share)
    if found < 1:
        bits += (1 - found) * math.log((1 - found) / (1 - share))
    return math.exp(-left * bits)
