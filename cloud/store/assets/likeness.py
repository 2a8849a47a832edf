"""Whether two records are of one miner, by facts that do not hang on one another. Pure.

A control board brings its MAC and its own serial number; hashboards and the power supply have theirs and stay where
they are when it is swapped. A name and an address say little, so that neither proves anything by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

import msgspec

SERIAL_MAX: Final = 64  # characters: what is longer is no serial number
LIKELY: Final = 4  # the score from which two records may be of one miner
_SHORTEST: Final = 4
_PLACEHOLDERS: Final = frozenset(
    {
        *("unknown", "none", "null", "default", "undefined", "invalid", "error", "serial", "not available"),
        *("123456", "1234567", "12345678", "123456789", "1234567890", "0123456789"),
        *("to be filled by o.e.m.", "system serial number", "no serial", "not set"),
    }
)  # fmt: skip
_MADE_SO: Final = frozenset(
    {"antminer", "whatsminer", "iceriver", "miner", "localhost", "openwrt", "btminer", "bitmain"}
)


class Fact(StrEnum):
    """What two records are compared by."""

    MAC = "mac"
    CONTROL_BOARD = "control_board"
    HASHBOARDS = "hashboards"
    PSU = "psu"
    MODEL = "model"
    HOSTNAME = "hostname"
    ADDRESS = "address"
    POSITION = "position"


# What each counts where both tell the same, and where both tell it and differ. Of hashboards: for each that is shared,
# if those are more than half of either side's.
AGREES: Final[Mapping[Fact, int]] = {
    Fact.MAC: 4,
    Fact.CONTROL_BOARD: 3,
    Fact.HASHBOARDS: 2,
    Fact.PSU: 2,
    Fact.HOSTNAME: 1,
    Fact.ADDRESS: 1,
    Fact.POSITION: 1,
}
DIFFERS: Final[Mapping[Fact, int]] = {Fact.MODEL: -6}
_HASHBOARDS_MOST: Final = 6


class RecordFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one record. Serial numbers that tell no part from another are in none of these."""

    mac: str | None = None
    control_board: str | None = None
    hashboards: frozenset[str] = frozenset()
    psu: str | None = None
    model: str | None = None
    hostname: str | None = None
    address: str | None = None
    position: str | None = None


class ComparedFact(msgspec.Struct, frozen=True, kw_only=True):
    """One fact: whether both agree (`None`: one of them does not tell), what that counts, and in words."""

    fact: Fact
    agrees: bool | None
    counts: int
    words: str


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """How alike two records are."""

    score: int
    evidence: tuple[ComparedFact, ...]

    @property
    def is_likely(self) -> bool:
        """Whether they may be of one miner: by its parts, for names and addresses are given away."""
        by_parts = sum(
            each.counts
            for each in self.evidence
            if each.fact in (Fact.HASHBOARDS, Fact.PSU, Fact.CONTROL_BOARD, Fact.MAC)
        )
        return self.score >= LIKELY and by_parts >= AGREES[Fact.CONTROL_BOARD]


def is_placeholder(serial: str) -> bool:
    """Whether a serial number tells no part from another: a word in its place, zeros, one character over and over, or
    what no label could bear.
    """
    text = serial.strip().casefold()
    marks = {each for each in text if each.isalnum()}
    return (
        not _SHORTEST <= len(text) <= SERIAL_MAX
        or not text.isprintable()
        or len(marks) < 2
        or text in _PLACEHOLDERS
    )


def compare(asset: RecordFacts, found: RecordFacts, *, common: Collection[str] = ()) -> Likeness:
    """How alike they are. `common` are serial numbers that many miners show: they count nothing."""
    evidence = (
        _same(Fact.MAC, asset.mac, found.mac),
        _same(Fact.CONTROL_BOARD, asset.control_board, found.control_board, common),
        _hashboards(asset.hashboards, found.hashboards, common),
        _same(Fact.PSU, asset.psu, found.psu, common),
        _same(Fact.MODEL, asset.model, found.model),
        _same(Fact.HOSTNAME, _own(asset.hostname), _own(found.hostname)),
        _same(Fact.ADDRESS, asset.address, found.address),
        _same(Fact.POSITION, asset.position, found.position),
    )
    return Likeness(score=sum(each.counts for each in evidence), evidence=evidence)


def _own(hostname: str | None) -> str | None:
    """A name that somebody gave; not that which all of a make come with."""
    return None if hostname is None or hostname.casefold() in _MADE_SO else hostname


def _same(
    fact: Fact, of_asset: str | None, of_found: str | None, common: Collection[str] = ()
) -> ComparedFact:
    called = fact.replace("_", " ")
    if of_asset is None or of_found is None:
        who = "neither tells" if of_asset is of_found else "only one of them tells"
        return ComparedFact(fact=fact, agrees=None, counts=0, words=f"{who} its {called}")
    if of_asset in common or of_found in common:
        words = f"{called} {of_found} is shown by many miners and tells nothing"
        return ComparedFact(fact=fact, agrees=None, counts=0, words=words)
    if of_asset == of_found:
        words = f"the same {called}: {of_found}"
        return ComparedFact(fact=fact, agrees=True, counts=AGREES.get(fact, 0), words=words)
    words = f"another {called}: {of_asset}, and now {of_found}"
    return ComparedFact(fact=fact, agrees=False, counts=DIFFERS.get(fact, 0), words=words)


def _hashboards(
    of_asset: frozenset[str], of_found: frozenset[str], common: Collection[str]
) -> ComparedFact:
    fact = Fact.HASHBOARDS
    of_asset, of_found = of_asset.difference(common), of_found.difference(common)
    if not of_asset or not of_found:
        words = "they tell no hashboards that could be compared"
        return ComparedFact(fact=fact, agrees=None, counts=0, words=words)
    shared, most = of_asset & of_found, max(len(of_asset), len(of_found))
    words = f"{len(shared)} of {most} hashboards are the same"
    if shared:
        words += f": {', '.join(sorted(shared))}"
    if 2 * len(shared) <= most:  # parts that were moved for themselves
        return ComparedFact(fact=fact, agrees=False, counts=0, words=words)
    counts = min(AGREES[fact] * len(shared), _HASHBOARDS_MOST)
    return ComparedFact(fact=fact, agrees=True, counts=counts, words=words)
