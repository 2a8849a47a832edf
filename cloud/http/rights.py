"""Who may call what: the role that each endpoint of operators needs, declared beside its handler. What a task needs
stands with the task (`contract.task.SPECS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cloud.http.errors import Handler
from contract.roles import Role
from contract.task import SPECS, AssetStatus, AssetUpdateParams, Params, TaskName

BY_TASK: Final = (
    Role.VIEWER
)  # of an endpoint whose task says which role it needs: see `task_refusal`
ARCHIVING: Final = frozenset({AssetStatus.RETIRED, AssetStatus.ARCHIVED})


_needed: Final[dict[Handler, Role]] = {}


def needs(role: Role) -> Callable[[Handler], Handler]:
    """Of a handler: the role that a key needs to call it."""

    def declare(handler: Handler) -> Handler:
        _needed[handler] = role
        return handler

    return declare


def declared(handler: Handler) -> Role | None:
    """The role that a handler says it needs."""
    return _needed.get(handler)


def endpoint_refusal(has: Role, handler: Handler, what: str) -> str | None:
    """Why a key of this role may not call an endpoint, which is called `what`; None where it may. One that declares
    nothing is for managers, so that nothing new is open to everybody because somebody forgot to say so.
    """
    return _refusal(has, declared(handler) or Role.MANAGER, what)


def task_refusal(has: Role, name: TaskName, params: Params) -> str | None:
    """Why a key of this role may not ask for such a task; None where it may."""
    needed, what = SPECS[name].role, str(name)
    if isinstance(params, AssetUpdateParams) and params.status in ARCHIVING:
        needed, what = Role.MANAGER, f"{name} with params.status {params.status}"
    return _refusal(has, needed, what)


def _refusal(has: Role, needed: Role, what: str) -> str | None:
    return None if has.may(needed) else f"this key is {has.words}; {what} needs {needed.words}"
