"""The stage for rigs: a simulated one behind SSH, and a driver that it is enrolled with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from contract.miner import Identity
from drivers.base import Credentials, FirmwareUpdate, Timing
from drivers.rig.driver import RigDriver
from drivers.rig.entry import RIG
from drivers.rig.spec import EnrolledRig, MiningProgram, ProgramSpec, SshSpec, program_named
from tests.drivers.stage import MakeStage
from tests.virtual_time import VirtualClock, loop_clock

REBOOT: Final = ("sudo", "-n", "systemctl", "reboot")
_NO_FIRMWARE: Final = "a rig takes no firmware"


class Stage(MakeStage[RigDriver]):
    make = "rig"
    entry: ClassVar[Any] = RIG
    ports = ()
    block = 70
    upload = b""

    @staticmethod
    def login(identity: Identity) -> Credentials:
        raise AssertionError(f"no login is asked for of {identity.make}")

    @property
    def slots(self) -> list[dict[str, str]]:
        raise NotImplementedError("the pools of a rig come with its playbooks")

    def settings(self) -> dict[str, str]:
        return {}

    @property
    def versions(self) -> tuple[str, ...]:
        raise NotImplementedError(_NO_FIRMWARE)

    def next_version(self) -> str:
        raise NotImplementedError(_NO_FIRMWARE)

    def single_image(self) -> bytes:
        raise NotImplementedError(_NO_FIRMWARE)

    def strangers(self, folder: Path) -> Iterator[tuple[FirmwareUpdate, str]]:
        raise NotImplementedError(_NO_FIRMWARE)

    def check_log(self, data: bytes) -> None:
        assert data

    def change_hands(self) -> None:
        """See `MakeStage.change_hands`. The disk of one is a copy of the other's, as farms install them: its SSH server
        has the same key, and lets the same people in.
        """
        files = [
            each.folder / "home/miner/.ssh/authorized_keys" for each in (self.miner, self.stranger)
        ]
        keys = "".join(file.read_text() for file in files)
        for file in files:
            file.write_text(keys)
        self.stranger.key_seed = self.miner.key_seed
        super().change_hands()

    @classmethod
    async def open_driver(cls, miner: Any, timing_: Timing) -> RigDriver:
        """See `MakeStage.open_driver`. Who it is, it says at once."""
        miner.may_limit = True
        driver = RIG.enrolled(spec_of(miner), clock=VirtualClock(), timing=timing_)
        await driver.identify()
        return driver

    def another_driver(self) -> RigDriver:
        """See `MakeStage.another_driver`."""
        old = self.driver
        return RIG.enrolled(
            old.rig_wire.spec, clock=self.clock, timing=old.timing, identity=old.identity
        )


def spec_of(rig: Any, **more: Any) -> EnrolledRig:
    """A simulated rig, enrolled by SSH with its own key and programs; `more` are other fields of the spec."""
    told = rig.describe()
    reach = SshSpec(
        host=rig.ip,
        port=told["ssh_port"],
        user=told["ssh_user"],
        key_file=told["ssh_key"],
        host_key=told["host_key"],
    )
    programs = tuple(
        ProgramSpec(kind=kind_of(each), port=each["port"], token=each["token"], unit=each["unit"])
        for each in told["programs"]
    )
    enrolled = {"name": rig.key, "reach": reach, "programs": programs, "reboot_argv": REBOOT}
    return EnrolledRig(**enrolled | more)


def kind_of(program: Any) -> MiningProgram:
    """The program of a simulated rig, as we call it."""
    kind = program_named(program["software"])
    assert kind is not None, program["software"]
    return kind


def driver_of(rig: Any) -> RigDriver:
    """A driver that has asked nothing yet."""
    return RIG.enrolled(spec_of(rig), clock=loop_clock(), timing=Timing())
