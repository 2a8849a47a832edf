"""The stage for WhatsMiners: a simulated one on real sockets and a driver for it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from contract.miner import Identity
from drivers.base import Credentials, FirmwareUpdate
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.entry import WHATSMINER
from simulator.whatsminer import firmware as images
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
    entry: ClassVar[Any] = WHATSMINER
    ports = ("http_port", "rpc_port", "v3_port")
    block = 180
    upload = b"update_firmware"

    @staticmethod
    def login(identity: Identity) -> Credentials:
        is_v3 = identity.generation == "v3"
        return Credentials("super", "super") if is_v3 else Credentials("admin", "admin")

    @property
    def slots(self) -> list[dict[str, str]]:
        return self.miner.pools

    def settings(self) -> dict[str, str]:
        return {"mode": self.miner.mode} | {k: str(v) for k, v in self.miner.settings.items()}

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.miner.version,)

    def next_version(self) -> str:
        return images.next_version(self.miner.version)

    def single_image(self) -> bytes:
        platform = self.miner.spec.platform or "h3"
        return images.build_image(platform, self.next_version(), size=3_000_000)

    def strangers(self, folder: Path) -> Iterator[tuple[FirmwareUpdate, str]]:
        package = bytearray(images.build_package("h616", "20270101.11.REL"))
        others = package.replace(b"h616\0", b"h699\0").replace(b"h3\0", b"h9\0")
        yield self.file(folder / "package", others), "no part for this control board"
        yield self.file(folder / "page", b"<html>404</html>" * 500), "is no firmware"

    def check_log(self, data: bytes) -> None:
        assert b"btminer.log" in gzip.decompress(data)


stage, open_driver, next_base = Stage.begin, Stage.open_driver, Stage.next_base
factory_login = Stage.login
