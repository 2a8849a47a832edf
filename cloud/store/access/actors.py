"""Who changes what is stored: operators by their keys, the command line by its user, agents, and the system itself."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, field
from typing import Any, Final

from contract.roles import Role

COMMAND_LINE: Final = "command line"


@dataclass(frozen=True)
class Actor:
    """Who did something, as Nonce shows it. `type` is user, apikey or system.

    Of whoever came with a key, its id and its role, and the address that it came from.
    """

    type: str
    id: str
    name: str | None = None
    avatar: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    role: Role = Role.MANAGER
    key_id: str | None = None
    address: str | None = None


def command_line() -> Actor:
    """Whoever runs a command on this host, by the name of their user; of root, for whom by `sudo`."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    asked = os.environ.get("SUDO_USER", "") if uid == 0 else ""
    if asked.isprintable() and asked not in ("", name):
        name = f"{name} for {asked[:64]}"
    return Actor(type="system", id=COMMAND_LINE, name=name)
