"""Which agents get an update, which one goes first, and why the others get none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from contract.nonce.batches import Skip, SkipReason
from contract.texts import printable
from service.install.release import version_order

_NAMED: Final = 20  # in the message of one reason
_MESSAGES: Final[Mapping[SkipReason, str]] = {
    "agent_offline": "not online now; order it again once they are",
    "unsupported_agent": "no release of its own: a container, a checkout, or a version that takes no updates yet; "
    "update it on its host",
    "no_change": "an update of it is open already, or it runs this version or a newer one",
}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is meant, as it said of itself last. `newest`: a version that its channel has and it does not run,
    or `None`; `is_newest_known`: whether that is known at all.
    """

    id: str
    name: str | None
    farm_id: str
    farm_name: str | None
    version: str | None
    release: str | None
    created_at: datetime
    is_online: bool
    is_updating: bool
    has_notices: bool
    open_tasks: int
    miners: int
    newest: str | None
    is_newest_known: bool

    @property
    def words(self) -> str:
        """What people call it, with its version."""
        return f"{printable(self.name or self.id)} ({printable(self.version or 'version unknown')})"


class Choice(msgspec.Struct, frozen=True):
    """Those that get one, in the order of their turns, and those that do not."""

    chosen: list[Candidate]
    skipped: list[Skip]


def chosen_of(meant: Sequence[Candidate], target_version: str | None, first: str | None) -> Choice:
    """`first` is the id of the one that is to go first. ValueError where that one gets none, which says why.

    Without it goes first, of those that are not known to run the newest already, which would prove nothing: one whose
    last heartbeat has no notice, with the fewest open tasks, then the fewest miners.
    """
    skipped: dict[SkipReason, list[Candidate]] = {}
    chosen: list[Candidate] = []
    for each in meant:
        reason = _reason(each, target_version)
        if reason is None:
            chosen.append(each)
        else:
            skipped.setdefault(reason, []).append(each)
            if each.id == first:
                raise ValueError(f"{each.words} cannot go first, {_MESSAGES[reason]}")
    chosen.sort(key=lambda each: (each.id != first, *_order(each)))
    return Choice(chosen, [_skip(reason, some) for reason, some in skipped.items()])


def _order(each: Candidate) -> tuple[bool, bool, int, int, datetime, str]:
    proves_nothing = each.is_newest_known and each.newest is None
    return (
        *(proves_nothing, each.has_notices, each.open_tasks, each.miners),
        *(each.created_at, each.id),
    )


def _reason(each: Candidate, target_version: str | None) -> SkipReason | None:
    if not each.is_online:
        return "agent_offline"
    if not each.release:
        return "unsupported_agent"
    if each.is_updating or (target_version is not None and _has(each.version, target_version)):
        return "no_change"
    return None


def _has(version: str | None, target: str) -> bool:
    """Whether that version is the wanted one, or a newer one, which no agent leaves."""
    try:
        return order_of(version or "") >= order_of(target)
    except ValueError:
        return False


def order_of(version: str) -> tuple[tuple[int, ...], int, int, int, int]:
    """By which versions are compared, as agents write them (`v0.3.0`) or releases do. Raises ValueError."""
    return version_order(version.removeprefix("v"))


def _skip(reason: SkipReason, agents: Sequence[Candidate]) -> Skip:
    names = ", ".join(each.words for each in agents[:_NAMED])
    more = f" and {len(agents) - _NAMED} more" if len(agents) > _NAMED else ""
    return Skip(
        reason=reason,
        message=f"Task skipped: {_MESSAGES[reason]}: {names}{more}",
        miner_ids=[],
        agent_ids=[each.id for each in agents],
    )
