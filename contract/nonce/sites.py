"""Farms and agents of a workspace."""

from __future__ import annotations

from typing import Any, Final

from contract.nonce.answers import NonceItem
from contract.nonce.filters import EnumFilter
from contract.nonce.searches import Search

WORKSPACES: Final = "/private-api/v1/workspaces"
WORKSPACE: Final = "/private-api/v1/{workspace_id}"
FARM: Final = WORKSPACE + "/farms/{farm_id}"


class WorkspaceItem(NonceItem, frozen=True, kw_only=True):
    """`permissions` are those of the key that asks."""

    id: str
    name: str
    slug: str
    relations: tuple[str, ...] = ("member",)
    permissions: list[str]


class FarmItem(NonceItem, frozen=True, kw_only=True):
    id: str
    name: str | None
    description: str | None
    location: str | None
    workspace_id: str
    status: str
    archived: bool
    hosting_fee: float | None  # USD per kWh


class FarmRef(NonceItem, frozen=True, kw_only=True):
    id: str
    name: str | None


class SearchAgents(Search):
    farm_id: EnumFilter | None = None
    status: EnumFilter | None = None


class AgentItem(NonceItem, frozen=True, kw_only=True):
    """`release` and `newer_version` are ours: the hash of the release it runs from, and what its channel has for it."""

    id: str
    farm_id: str
    farm: FarmRef
    workspace_id: str
    status: str | None
    version: str | None
    release: str | None
    newer_version: str | None
    uptime: float | None  # seconds
    last_online_at: str | None
    last_updated_at: str | None
    host: dict[str, Any] | None
