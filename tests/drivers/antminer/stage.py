"""The stage for AntMiners: a simulated one on real sockets and a driver for it."""

from __future__ import annotations

from typing import Any, ClassVar

from contract.miner import Identity
from drivers.antminer import entry
from drivers.antminer.driver import Antminer
from drivers.base import Credentials
from tests.drivers.stage import MakeStage, timing

__all__ = ["Stage", "next_base", "open_driver", "stage", "timing"]


class Stage(MakeStage[Antminer]):
    make = "antminer"
    entry: ClassVar[Any] = entry
    ports = ("http_port", "rpc_port")
    block = 120

    @staticmethod
    def login(identity: Identity) -> Credentials:
        del identity
        return Credentials("root", "root")


stage, open_driver, next_base = Stage.begin, Stage.open_driver, Stage.next_base
