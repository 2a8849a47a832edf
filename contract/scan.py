"""Against the scan before, as the result of a scan has it: which miners are new, lost, moved, replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from contract.texts import printable

CHANGES: Final = ("new", "lost", "moved", "replaced")


class ChangedMiner(msgspec.Struct, frozen=True, kw_only=True):
    """A miner that is elsewhere than the scan before met it. `was_at`: its address then; `was`: the MAC that was at
    this address then; `now`: what is said of the address of a lost one.
    """

    ip: str
    mac: str | None = None
    make: str | None = None
    model: str | None = None
    was_at: str | None = None
    was: str | None = None
    now: str | None = None


class ScanChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Against the last whole scan of the same addresses, which ended at `since`. What is left out is counted."""

    since: str
    new: tuple[ChangedMiner, ...] = ()
    lost: tuple[ChangedMiner, ...] = ()
    moved: tuple[ChangedMiner, ...] = ()
    replaced: tuple[ChangedMiner, ...] = ()
    new_left_out: int = 0
    lost_left_out: int = 0
    moved_left_out: int = 0
    replaced_left_out: int = 0

    def __len__(self) -> int:
        return sum(map(len, (self.new, self.lost, self.moved, self.replaced)))


def change_lines(changes: ScanChanges, most: int) -> Iterator[str]:
    """In words, printable: the numbers, then a line for each miner, of each kind at most so many."""
    rows: dict[str, tuple[ChangedMiner, ...]] = {name: getattr(changes, name) for name in CHANGES}
    counts = {name: len(some) + getattr(changes, f"{name}_left_out") for name, some in rows.items()}
    numbers = ", ".join(f"{count} {name}" for name, count in counts.items())
    yield printable(f"since the scan that ended at {changes.since[:19]}Z: {numbers}")
    for name, some in rows.items():
        for each in some[:most]:
            yield printable(f"  {name:<8}  {_change(each)}")
        if counts[name] > most:
            yield f"  and {counts[name] - most} more {name}"


def _change(each: ChangedMiner) -> str:
    who = " ".join(filter(None, (each.mac, each.make, each.model)))
    words = [f"{each.ip:<15}", who]
    if each.was_at is not None:
        words.append(f"was at {each.was_at}")
    if each.was is not None:
        words.append(f"in place of {each.was}")
    if each.now is not None:
        words.append(f"now {each.now}")
    return "  ".join(words)
