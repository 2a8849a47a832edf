"""The stage for IceRivers: a simulated one on real sockets and a driver for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from contract.miner import Identity
from drivers.base import Credentials, FirmwareUpdate
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.entry import ICERIVER
from simulator.iceriver import firmware as images
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
    entry: ClassVar[Any] = ICERIVER
    ports = ("http_port", "daemon_port")
    block = 200
    upload = b"firconfig"

    @staticmethod
    def login(identity: Identity) -> Credentials:
        del identity
        return Credentials("admin", "12345678")

    @property
    def slots(self) -> list[dict[str, str]]:
        return self.miner.pools

    def settings(self) -> dict[str, str]:
        miner = self.miner
        return {"mode": miner.mode, "fan": str(miner.fan_ratio), "control": str(miner.fan_control)}

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.miner.softver1, self.miner.softver2)

    def next_version(self) -> str:
        return self.miner.spec.softver1(images.open_image(self.miner.newer_image()).build)

    @property
    def image_name(self) -> str:
        return self.miner.image_name

    def single_image(self) -> bytes:
        return self.miner.newer_image()

    def strangers(self, folder: Path) -> Iterator[tuple[FirmwareUpdate, str]]:
        yield self.newer(folder, "KS1.bgz"), "is for KS1"
        yield self.newer(folder, "firmware.bgz"), "nothing says which model"
        yield self.newer(folder, f"{self.miner.key}.zip"), "not the kind of file"
        yield self.file(folder / self.image_name, b"<html>404</html>" * 500), "no firmware"

    def check_log(self, data: bytes) -> None:
        assert len(data) > 1000
        first, *rest = data.decode().split("\n")
        assert first.endswith(f"\tboot 1 {self.miner.softver1} <{self.miner.mac}>")
        assert len(rest) == 201
        assert all("\tboard " in row for row in rest[:-1])


stage, open_driver, next_base = Stage.begin, Stage.open_driver, Stage.next_base
factory_login = Stage.login
