"""The stage for IceRivers: a simulated one on real sockets and a driver for it."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from contract.miner import Identity
from drivers.base import Credentials
from drivers.iceriver import entry
from drivers.iceriver.driver import Iceriver
from tests.drivers.stage import MakeStage, timing

__all__ = [
    "NEW",
    "OLD",
    "WRITABLE",
    "Stage",
    "factory_login",
    "next_base",
    "open_driver",
    "stage",
    "timing",
]

# One that writes all in one form (before September 2023), and one of each spelling of the newer ones.
WRITABLE: Final = ("ks3m", "ks5l", "ks5m")
OLD: Final = "ks3m"
NEW: Final = ("ks5l", "ks5m")


class Stage(MakeStage[Iceriver]):
    make = "iceriver"
    entry: ClassVar[Any] = entry
    ports = ("http_port", "daemon_port")
    block = 200

    @staticmethod
    def login(identity: Identity) -> Credentials:
        del identity
        return Credentials("admin", "12345678")


stage, open_driver, next_base = Stage.begin, Stage.open_driver, Stage.next_base
factory_login = Stage.login
