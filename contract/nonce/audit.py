"""Who did what, as operators read it (ours)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from contract.nonce.answers import ActorItem, NonceItem


class AuditTaskItem(NonceItem, frozen=True, kw_only=True):
    """What one miner got of a change of many. `before` and `after` are of its evidence."""

    id: str
    status: str
    begun_at: str | None
    ended_at: str | None
    params: dict[str, Any] | None
    outcome: str | None
    error: str | None
    before: Any
    after: Any


class AuditItem(NonceItem, frozen=True, kw_only=True):
    """One write. `key_id` is null of what was not asked for with a key. `task` is there where a miner was searched for
    and the row stands for its batch or group.
    """

    id: int
    at: str
    actor: ActorItem
    key_id: str | None
    address: str | None
    action: str
    target_kind: str
    target_id: str | None
    farm_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    task: AuditTaskItem | UnsetType = UNSET
