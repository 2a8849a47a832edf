"""What the changes need of an IceRiver: its web side, the daemon behind it, and how its figures were read last."""

from __future__ import annotations

from typing import Protocol

from drivers import subject
from drivers.iceriver.protocol.daemon import Daemon
from drivers.iceriver.protocol.web import Web


class Subject(subject.Subject, Protocol):
    """One stock IceRiver, as its driver holds it."""

    @property
    def web(self) -> Web: ...
    @property
    def daemon(self) -> Daemon: ...
    @property
    def package(self) -> str | None:
        """The name of the miner's package (`5977449_ks3m_miner`), as last read."""

    has_mode_order: (
        bool | None
    )  # whether `web.SET_FAN_AND_MODE` exists here; `None` before it was tried
