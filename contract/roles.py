"""What a key may do, by its role."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


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


def role_of(text: str) -> Role:
    """The role of a key as it is stored; one that a newer version gave is taken for the least."""
    try:
        return Role(text)
    except ValueError:
        return Role.VIEWER
