"""What a key may do, by its role: which role each endpoint of operators needs, and each task. One table for both.

What is not named here needs a manager, so that nothing new is open to everybody because somebody forgot to say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from contract.nonce.sites import FARM, WORKSPACE, WORKSPACES
from contract.task import AssetStatus, AssetUpdateParams, Params, TaskName


class Role(StrEnum):
    """Of a key, from the least to the most: each may do what those before it may."""

    VIEWER = "viewer"  # reads
    OPERATOR = "operator"  # tasks and settings
    MANAGER = "manager"  # also what is hard to take back: firmware, deleting, archiving, keys

    def may(self, needed: Role) -> bool:
        """Whether it reaches as far as the role that is needed."""
        return _RANKS.index(self) >= _RANKS.index(needed)

    @property
    def words(self) -> str:
        return f"an {self}" if self is Role.OPERATOR else f"a {self}"


_RANKS: Final = tuple(Role)
# What each may do, in the words that Nonce has published for it.
PERMISSIONS: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.VIEWER: ("workspace.read", "farm.read", "miner.read"),
    Role.OPERATOR: ("workspace.read", "farm.read", "farm.manage", "miner.read", "miner.manage"),
    Role.MANAGER: (
        "workspace.read", "workspace.manage", "farm.read", "farm.manage", "miner.read", "miner.manage",
        "miner.high_risk_manage",
    ),
}  # fmt: skip

# Its task says which role it needs: see `needed_for`.
BY_TASK: Final = Role.VIEWER
ENDPOINTS: Final[Mapping[tuple[str, str], Role]] = {
    ("GET", WORKSPACES): Role.VIEWER,
    ("GET", WORKSPACE + "/farms"): Role.VIEWER,
    ("GET", WORKSPACE + "/agents"): Role.VIEWER,
    ("POST", WORKSPACE + "/agents/search"): Role.VIEWER,
    ("GET", FARM + "/miner/latest"): Role.VIEWER,
    ("POST", FARM + "/miner/search"): Role.VIEWER,
    ("GET", FARM + "/miners/{miner_id}/tasks"): Role.VIEWER,
    ("GET", FARM + "/miners/stats"): Role.VIEWER,
    ("GET", FARM + "/status"): Role.VIEWER,
    ("POST", FARM + "/status"): Role.VIEWER,  # with filters
    ("POST", FARM + "/tasks/batches"): BY_TASK,
    ("GET", FARM + "/tasks/batches"): Role.VIEWER,
    ("POST", FARM + "/tasks/search"): Role.VIEWER,
    ("GET", FARM + "/tasks/batches/{batch_id}"): Role.VIEWER,
    ("GET", FARM + "/tasks/batches/{batch_id}/tasks"): Role.VIEWER,
    ("POST", FARM + "/tasks/batches/{batch_id}/cancel"): Role.OPERATOR,
    ("POST", FARM + "/tasks/batches/{batch_id}/retry"): Role.OPERATOR,  # and what its task needs
    ("GET", WORKSPACE + "/audit"): Role.VIEWER,
    ("GET", FARM + "/audit"): Role.VIEWER,
    ("GET", FARM + "/rigs"): Role.VIEWER,
    ("GET", FARM + "/rigs/{rig_id}"): Role.VIEWER,
    ("PUT", FARM + "/rigs/{rig_id}/expected-status"): Role.OPERATOR,
}

TASKS: Final[Mapping[TaskName, Role]] = {
    TaskName.SCAN: Role.OPERATOR,
    TaskName.IP_DIAGNOSIS: Role.OPERATOR,
    TaskName.SELF_UPDATE: Role.MANAGER,
    TaskName.REBOOT: Role.OPERATOR,
    TaskName.LOG: Role.OPERATOR,
    TaskName.LIGHT: Role.OPERATOR,
    TaskName.POWER_MODE: Role.OPERATOR,
    TaskName.POOLS: Role.OPERATOR,
    TaskName.POOL_LOCK: Role.MANAGER,
    TaskName.FIRMWARE: Role.MANAGER,
    TaskName.ASSET_UPDATE: Role.OPERATOR,  # those of `ARCHIVING` need a manager
    TaskName.ASSET_DELETE: Role.MANAGER,
    TaskName.TAGS: Role.OPERATOR,
    TaskName.RECORD_DELETE: Role.MANAGER,
    TaskName.RACK_LOCATION: Role.OPERATOR,
}
ARCHIVING: Final = frozenset({AssetStatus.RETIRED, AssetStatus.ARCHIVED})


def role_of(text: str) -> Role:
    """The role of a key as it is stored; one that a newer version gave is taken for the least."""
    try:
        return Role(text)
    except ValueError:
        return Role.VIEWER


def endpoint_refusal(has: Role, method: str, path: str) -> str | None:
    """Why a key of this role may not call an endpoint, by its path with the names of its parts; None where it may."""
    needed = ENDPOINTS.get((method, path), Role.MANAGER)
    return _refusal(has, needed, f"{method} {path}")


def task_refusal(has: Role, name: TaskName, params: Params) -> str | None:
    """Why a key of this role may not ask for such a task; None where it may."""
    needed, what = TASKS.get(name, Role.MANAGER), str(name)
    if isinstance(params, AssetUpdateParams) and params.status in ARCHIVING:
        needed, what = Role.MANAGER, f"{name} with params.status {params.status}"
    return _refusal(has, needed, what)


def _refusal(has: Role, needed: Role, what: str) -> str | None:
    return None if has.may(needed) else f"this key is {has.words}; {what} needs {needed.words}"
