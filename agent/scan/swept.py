"""What a sweep is asked to do, and what it says of each address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from contract.ranges import Range
from drivers.doors import Doors


class Manner(StrEnum):
    """How an address range is swept."""

    DEFAULT = "default"
    """In bursts, then at `[scan] addresses_per_s`; the other ports of silent routed addresses in a second pass."""
    FAST = "fast"
    """Without a pause on routed networks; what is silent at its first port is not asked at others."""
    THOROUGH = "thorough"
    """Every port of every address at once."""
    LOW = "low"
    """As DEFAULT, never in bursts: for scans that nobody waits for."""


class SweepPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which addresses (merged, disjoint, never listed), at which ports. `likely`: ports to ask first at known ones;
    all others are asked at the first of `ports`. `skip` tells of an address, as a number, that it is not to be asked.
    """

    spans: tuple[Range, ...]
    ports: tuple[int, ...]
    likely: Mapping[str, int] = {}
    manner: Manner = Manner.DEFAULT
    skip: Callable[[int], bool] | None = None


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """One address. Its open ports are in `doors`; `asked` are those that certainly got a SYN, so that those of them
    that are neither open nor refused are silent. `not_asked`: why this host could not ask (then nothing is said of the
    address). `is_final`: nothing more will be said of it by this sweep; else a second pass follows. `no_neighbour`: it
    is on a network of this host, and nobody there has that address.
    """

    ip: str
    doors: Doors
    asked: tuple[int, ...]
    not_asked: str | None = None
    is_final: bool = True
    no_neighbour: bool = False

    @property
    def is_silent(self) -> bool:
        """No port that was asked answered in any way."""
        return self.not_asked is None and not self.doors.open and not self.doors.refused


class SweepCounts(msgspec.Struct):
    """Of one sweep, so far. `addresses`: that were begun. `second_pass_left`: that are still to be asked at their other
    ports. `asked_again`: for which the neighbour table had no place. `no_neighbour`: on own networks, without a host.
    `unguarded`: why the neighbour table could not be minded, if so.
    """

    connects: int = 0
    addresses: int = 0
    second_pass_left: int = 0
    asked_again: int = 0
    not_asked: int = 0
    no_neighbour: int = 0
    unguarded: str | None = None
