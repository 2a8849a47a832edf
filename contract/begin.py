"""How what happens at most once begins: the rules by which a cloud grants the beginning of a ONE_SHOT.

The agent draws a begin id at its intent and tells it with `pending`. The cloud keeps the first id it hears, and grants
that one alone; the first byte to the miner waits for the grant, and only the process that drew the id sends. So a
journal that comes back from a copy, however fresh, repeats nothing: what it starts over has another id.

`tests/contract/test_begin.py` explores these very functions in every interleaving of crashes, copies put back, and late
and lost messages.
"""

from __future__ import annotations

from enum import StrEnum

from contract.outcome import Outcome

BEGIN_ID_CHARS = 128


class Held(StrEnum):
    """What a cloud holds of a task."""

    QUEUED = "queued"  # nobody has it
    HANDED = "handed"  # an agent has it; as far as the cloud knows it has not begun
    BEGUN = "begun"
    ENDED = "ended"


def is_granted(held: Held, held_id: str | None, begin_id: str | None) -> bool:
    """Whether `pending` with this begin id may go ahead, `held_id` being the one the cloud holds so far. The first
    wins, and may ask again; without an id speaks an agent from before there were any.
    """
    if held is Held.ENDED:
        return False
    return held is not Held.BEGUN or held_id == begin_id


def ends_as(
    held: Held, held_id: str | None, begin_id: str | None, outcome: Outcome
) -> Outcome | None:
    """As what a task ends of which this outcome is reported with this begin id; `None`: it has ended before.

    What has not begun in the books of the cloud may have in those of the agent: the database was put back from a copy,
    or the task ended before anything was sent. Of a begun task another life than the one that began it can only tell
    that nobody knows any more.
    """
    if held is Held.ENDED:
        return None
    return outcome if held is not Held.BEGUN or held_id == begin_id else Outcome.UNKNOWN


class Shown(StrEnum):
    """What a claim asks for, of a task that the cloud holds for this journal and the claim does not name as open."""

    AGAIN = "again"  # it was not kept and cannot have begun: hand it out once more
    OUTCOME = "outcome"  # it began: its end is asked for, and whoever does not know it says so


def shown(held: Held) -> Shown | None:
    """See `Shown`; `None` where nothing is to be done."""
    if held is Held.HANDED:
        return Shown.AGAIN
    return Shown.OUTCOME if held is Held.BEGUN else None
