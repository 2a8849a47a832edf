"""What differs between the makes, for the promises that every driver keeps: which of its models can keep which, and in
what words. The promises themselves are in `test_makes*.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, Final, NamedTuple

import pytest

from contract.miner import PowerMode
from drivers.antminer import models as antminer_models
from drivers.base import AnyChange, Light, Mode, Pools, PoolSetting, PowerLimit, Reboot, Suspend
from drivers.iceriver import models as iceriver_models
from drivers.rig.generations import LINUX
from drivers.whatsminer import models as whatsminer_models
from tests.drivers.antminer.stage import Stage as Antminer
from tests.drivers.iceriver.stage import Stage as Iceriver
from tests.drivers.rig.stage import Stage as Rig
from tests.drivers.stage import MakeStage
from tests.drivers.whatsminer.stage import Stage as Whatsminer

A, B, C = (f"stratum+tcp://pool-{name}.example:3333" for name in "abc")
FORCE: Final = Reboot(force=True)


def pools(*urls: str, user: str = "acc.w1", password: str | None = "secret") -> Pools:
    return Pools(pools=tuple(PoolSetting(url=url, user=user, password=password) for url in urls))


class Need(StrEnum):
    """What a model must have for a promise to mean anything; the first seven are changes, too."""

    LIGHT = auto()
    POOLS = auto()
    MODE = auto()
    SWITCH = auto()  # its mining off and on
    POWER_LIMIT = auto()
    REBOOT = auto()
    FIRMWARE = auto()
    LOG = auto()
    ANSWER = auto()  # to an order to reboot
    LOW = auto()  # of its power modes
    PROCESS = auto()  # that restarts without the device
    LYING_CLOCK = auto()  # one that a reboot is proven by
    SERIAL = auto()
    PASSWORDS = auto()  # of its pools, read back
    SILENT_LOCK = auto()  # of its pools
    OWN_RESTART = auto()  # into a firmware it was sent
    BOARDS = auto()  # of several kinds in one model
    SEAL = auto()  # of a firmware file, checked by the miner


# What each change of a driver needs.
NEEDED_BY: Final[Mapping[str, Need]] = {
    "light": Need.LIGHT,
    "mode": Need.MODE,
    "suspend": Need.SWITCH,
    "resume": Need.SWITCH,
    "power_limit": Need.POWER_LIMIT,
    "pools": Need.POOLS,
    "reboot": Need.REBOOT,
    "firmware": Need.FIRMWARE,
}


class Cannot(NamedTuple):
    need: Need
    why: str
    models: tuple[str, ...] = ()  # none named: all of the make


@dataclass(frozen=True)
class MakeCase:
    """One make: its stage, its models, and where its driver's words and values differ."""

    stage: type[MakeStage[Any]]
    models: tuple[str, ...]  # one of each generation or dialect that takes changes
    variants: tuple[str, ...]  # those that differ from these in less
    cannot: tuple[Cannot, ...]
    modes: Mapping[str, tuple[PowerMode, ...]]  # by generation
    mode: Mode  # one that it can be sent to from normal
    mode_field: str  # of evidence
    ignored_mode: str  # said of one that ignored it
    uptime_field: str  # field of evidence: what a reboot sets to nothing
    reboot_signal: str  # in the signal of a reboot that was seen
    no_reboot_signal: str  # the signal of none
    ignored_pools: tuple[str, bool, str]  # what is said of one that ignored its new pools
    pools_signal: str  # in that of new pools
    no_pool: str  # said where none can be reached
    no_version: str  # of none of its firmwares
    seal_error: str  # said of a file that the miner rejects
    log_fault: str  # the other way its log comes
    power_limit_w: int = 2800
    beside_pools: Mapping[str, Any] = field(default_factory=dict)  # in evidence, left alone
    light_late_s: float = 30.0
    mode_late_s: float = 30.0
    restart: tuple[str, bool] = ("unknown", False)  # what is said of a mere restart of its process
    whole_image: str = ""  # what evidence calls a file that is for one control board
    unproven: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by generation
    lacks: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by generation

    @property
    def name(self) -> str:
        return self.stage.make

    def begin(self, key: str, *faults: Any, late: bool = False, **changes: Any) -> Any:
        return self.stage.begin(key, *faults, late=late, **changes)

    def can(self, need: Need, key: str) -> bool:
        return not any(
            each.need is need and (not each.models or key in each.models) for each in self.cannot
        )

    @property
    def changes(self) -> set[str]:
        """What a generation of it that takes changes declares, but for what it `lacks`: all that a model of the make
        can.
        """
        never = {each.need for each in self.cannot if not each.models}
        return {change for change, need in NEEDED_BY.items() if need not in never}

    def change(self, need: Need) -> AnyChange:
        return {
            Need.LIGHT: Light(on=True),
            Need.POOLS: pools(A),
            Need.MODE: self.mode,
            Need.SWITCH: Suspend(),
            Need.POWER_LIMIT: PowerLimit(watts=self.power_limit_w),
            Need.REBOOT: FORCE,
        }[need]


_NO_MODES: Final = "its firmware has no modes"
_NO_LOW: Final = "its firmware has no low power mode"
_NO_LIMIT: Final = "its firmware takes no power limit"
_PLAYBOOK: Final = "they come with its playbooks"
_NO_FIRMWARE: Final = "it has none of its own"
_OLD: Final = ("s9", "t17+", "l3+")

MAKES: Final = (
    MakeCase(
        stage=Antminer,
        models=("s21", "s19pro", "ks5", "s9", "t17+"),
        variants=("l7", "s21hyd", "l3+"),
        cannot=(
            Cannot(Need.MODE, _NO_MODES, ("s9", "l3+")),
            Cannot(Need.LOW, _NO_LOW, ("ks5", *_OLD)),
            Cannot(Need.SWITCH, _NO_MODES, ("s9", "l3+")),
            Cannot(Need.POWER_LIMIT, _NO_LIMIT),
            Cannot(Need.ANSWER, "old ones are down before they could give it", _OLD),
            Cannot(Need.LYING_CLOCK, "old ones tell the uptime of the system, too", _OLD),
            Cannot(Need.SERIAL, "only the newest tell it", ("s19pro", "ks5", "l7", *_OLD)),
            Cannot(Need.SILENT_LOCK, "it tells that its pools are locked"),
            Cannot(Need.OWN_RESTART, "old ones wait for a reboot", _OLD),
            Cannot(Need.BOARDS, "old ones have one archive for all", _OLD),
            Cannot(Need.SEAL, "old ones show it on a page: antminer/test_firmware.py", _OLD),
        ),
        modes={
            antminer_models.OLD: (PowerMode.SLEEP, PowerMode.NORMAL),
            antminer_models.NEW_BM: (PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL),
            antminer_models.NEW_GOD: (PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL),
        },
        mode=Mode(mode=PowerMode.SLEEP),
        mode_field="mode_running",
        ignored_mode="stays at mode 0",
        uptime_field="elapsed_s",
        reboot_signal="outage",
        no_reboot_signal="Elapsed runs on",
        ignored_pools=("not_done", True, "still holds the old pools"),
        pools_signal="pools of the running miner",
        no_pool="no pool is alive",
        no_version="FR-9.9",
        whole_image="firmware",
        mode_late_s=100.0,
        seal_error="U001",
        log_fault="logs_swapped",
    ),
    MakeCase(
        stage=Whatsminer,
        models=("m20s", "m50s", "m60s-compat", "m60s"),
        variants=("m30s", "m63s", "m70"),
        cannot=(
            Cannot(Need.LIGHT, "the first token firmware does not tell its light", ("m20s",)),
            Cannot(Need.POWER_LIMIT, _NO_LIMIT, ("m20s",)),
            Cannot(Need.SERIAL, "older dialects do not tell it", ("m20s", "m50s", "m30s")),
            Cannot(Need.PASSWORDS, "it does not show them"),
        ),
        modes=dict.fromkeys(
            whatsminer_models.WRITABLE, (PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH)
        ),
        mode=Mode(mode=PowerMode.LOW),
        mode_field="mode",
        ignored_mode="stays in mode normal",
        uptime_field="uptime_s",
        reboot_signal="smaller time since boot",
        no_reboot_signal="smaller time since boot",
        restart=("not_done", True),
        ignored_pools=("unknown", False, "still works for the old ones"),
        pools_signal="pools of the running miner",
        no_pool="no pool is alive",
        no_version="20290101.11.REL",
        whole_image="whole file",
        seal_error="rejected",
        log_fault="log_glued",
        unproven={whatsminer_models.V1: frozenset({"light"})},
        lacks={whatsminer_models.V1: frozenset({"power_limit"})},
    ),
    MakeCase(
        stage=Iceriver,
        models=("ks3m", "ks5l", "ks5m"),
        variants=("ks0", "ks0pro", "ks3l", "ks7", "al3", "rx0"),
        cannot=(
            Cannot(Need.LOW, _NO_LOW),
            Cannot(Need.POWER_LIMIT, _NO_LIMIT),
            Cannot(Need.PROCESS, "its runtime is that of its one program"),
            Cannot(Need.SERIAL, "it does not tell it"),
            Cannot(Need.OWN_RESTART, "it waits for a reboot"),
            Cannot(Need.BOARDS, "a file is for one model"),
        ),
        modes={iceriver_models.STOCK: (PowerMode.SLEEP, PowerMode.NORMAL)},
        mode=Mode(mode=PowerMode.SLEEP),
        mode_field="mode",
        ignored_mode="stays in mode normal",
        uptime_field="elapsed_s",
        reboot_signal="outage",
        no_reboot_signal="runtime runs on",
        ignored_pools=("not_done", True, "still has the old pools"),
        pools_signal="connected",
        no_pool="not connected",
        no_version="9_9_9",
        seal_error="reject",
        log_fault="refuses_4111",
        beside_pools={"ratio": 60, "mode": "normal"},
        light_late_s=15.0,
    ),
    MakeCase(
        stage=Rig,
        models=("idle", "xmrig-cpu"),
        variants=(),
        cannot=(
            Cannot(Need.LIGHT, "it has none"),
            Cannot(Need.POOLS, _PLAYBOOK),
            Cannot(Need.MODE, "its programs have none"),
            Cannot(Need.LOW, "its programs have no modes"),
            Cannot(Need.SWITCH, "it has no program", ("idle",)),
            Cannot(Need.POWER_LIMIT, "it has no NVIDIA card", ("xmrig-cpu",)),
            Cannot(Need.REBOOT, "it does not hash: rig/test_reboot.py", ("idle",)),
            Cannot(Need.FIRMWARE, _NO_FIRMWARE),
            Cannot(Need.LOG, "it has no program", ("idle",)),
            Cannot(Need.PROCESS, "its boot id tells, and no process of it"),
            Cannot(Need.LYING_CLOCK, "its boot id tells, and no clock"),
            Cannot(Need.SERIAL, "the promise is about pools"),
            Cannot(Need.PASSWORDS, _PLAYBOOK),
            Cannot(Need.SILENT_LOCK, _PLAYBOOK),
            Cannot(Need.OWN_RESTART, _NO_FIRMWARE),
            Cannot(Need.BOARDS, _NO_FIRMWARE),
            Cannot(Need.SEAL, _NO_FIRMWARE),
        ),
        modes={LINUX: ()},
        mode=Mode(mode=PowerMode.SLEEP),
        mode_field="-",
        ignored_mode="-",
        uptime_field="uptime_s",
        reboot_signal="boot id",
        no_reboot_signal="the same boot id",
        ignored_pools=("-", False, "-"),
        pools_signal="-",
        no_pool="-",
        no_version="-",
        seal_error="-",
        log_fault="no_api",
        power_limit_w=200,
    ),
)  # fmt: skip


def having(need: Need, *, every: bool = False) -> Iterator[tuple[MakeCase, str]]:
    """The makes and models that have what a promise needs; `every`: also those that differ in less."""
    for make in MAKES:
        for key in make.models + (make.variants if every else ()):
            if make.can(need, key):
                yield make, key


def each(need: Need, *, without: Need | None = None, every: bool = False) -> pytest.MarkDecorator:
    """The test is one of every make and model that has this, and does not have the other."""
    return _for(
        *(
            (make, key)
            for make, key in having(need, every=every)
            if without is None or not make.can(without, key)
        )
    )


def _for(*models: tuple[MakeCase, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("make", "key"), [pytest.param(make, key, id=f"{make.name}-{key}") for make, key in models]
    )


def each_change(*needs: Need) -> pytest.MarkDecorator:
    """The test is one of each of these changes, on every make and model that takes it."""
    return pytest.mark.parametrize(
        ("make", "key", "need"),
        [
            pytest.param(make, key, need, id=f"{make.name}-{key}-{need}")
            for need in needs
            for make, key in having(need)
        ],
    )


# The notes of an order that a crash leaves: the intent alone, or all.
each_crash: Final = pytest.mark.parametrize("kept", [("intent_at",), ()], ids=["intent", "notes"])
each_silence: Final = pytest.mark.parametrize("close", [True, False], ids=["closed", "silent"])
