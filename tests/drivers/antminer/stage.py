"""The stage for AntMiners: a simulated one on real sockets and a driver for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from contract.miner import Identity
from drivers.antminer.driver import Antminer
from drivers.antminer.entry import ANTMINER
from drivers.base import Credentials, FirmwareUpdate
from simulator.antminer import firmware as images
from tests.drivers.stage import MakeStage, timing

__all__ = ["Stage", "next_base", "open_driver", "stage", "timing"]


class Stage(MakeStage[Antminer]):
    make = "antminer"
    entry: ClassVar[Any] = ANTMINER
    ports = ("http_port", "rpc_port")
    block = 120
    upload = b"upgrade"

    @staticmethod
    def login(identity: Identity) -> Credentials:
        del identity
        return Credentials("root", "root")

    @property
    def slots(self) -> list[dict[str, str]]:
        return self.miner.conf["pools"]

    def settings(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.miner.conf.items() if name != "pools"}

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.miner.firmware_version,)

    def next_version(self) -> str:
        return images.next_version(self.miner.version)

    def single_image(self) -> bytes:
        spec = self.miner.spec
        return images.build_image(spec.name, spec.subtype, self.next_version())

    def strangers(self, folder: Path) -> Iterator[tuple[FirmwareUpdate, str]]:
        container = images.build_bmu("Antminer L7", "AMLCtrl_BHB68606", "FR-2.0(261009-L7)")
        archive, page = images.build_tar("Antminer S9", "202601010000"), b"<html>404</html>"
        if self.miner.generation == "old":
            yield self.file(folder / "container", container), "kind"
            yield self.file(folder / "page", page), "kind"
        else:
            yield self.file(folder / "container", container), "Antminer L7"
            yield self.file(folder / "archive", archive), "kind"
            yield self.file(folder / "page", page), "no AntMiner firmware"

    def check_log(self, data: bytes) -> None:
        assert b"Linux" in data or b"kernel" in data.lower()


stage, open_driver, next_base = Stage.begin, Stage.open_driver, Stage.next_base
