"""The stage for WhatsMiners: a simulated one on real sockets and a driver for it."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from contract.miner import Identity
from drivers.base import Credentials
from drivers.whatsminer import entry
from drivers.whatsminer.driver import Whatsminer
from tests.drivers.stage import MakeStage, timing

__all__ = [
    "ON_4028",
    "WRITABLE",
    "Stage",
    "factory_login",
    "next_base",
    "open_driver",
    "stage",
    "timing",
]

# One of each dialect that takes changes: v1, v2, v2-compat, v3.
WRITABLE: Final = ("m20s", "m50s", "m60s-compat", "m60s")
ON_4028: Final = ("m20s", "m50s", "m60s-compat")


class Stage(MakeStage[Whatsminer]):
    make = "whatsminer"
    entry: ClassVar[Any] = entry
    ports = ("http_port", "rpc_port", "v3_port")
    block = 180

    @staticmethod
    def login(identity: Identity) -> Credentials:
        is_v3 = identity.generation == "v3"
        return Credentials("super", "super") if is_v3 else Credentials("admin", "admin")


stage, open_driver, next_base = Stage.begin, Stage.open_driver, Stage.next_base
factory_login = Stage.login
