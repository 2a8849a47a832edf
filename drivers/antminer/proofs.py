"""How each change of an AntMiner shows, and what each generation can do. The one table; windows are read from here.

Times are device seconds after the write.
"""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.antminer.changes.orders import NEW_BM, NEW_GOD, OLD
from drivers.base import Capabilities, Proof, Strength

LIGHT_NEW: Final = Proof(
    change="light",
    signal="get_blink_status.cgi",
    strength=Strength.STATE,
    earliest_s=1.0,
    latest_s=45.0,
)
LIGHT_OLD: Final = Proof(
    change="light",
    signal="blink.cgi isBlinking",
    strength=Strength.STATE,
    earliest_s=1.0,
    latest_s=45.0,
)
CONFIG: Final = Proof(
    change="pools",
    signal="get_miner_conf.cgi",
    strength=Strength.STATE,
    earliest_s=1.0,
    latest_s=150.0,  # a script that is slow to begin (60 s) and the restart after it (90 s)
)
POOLS_LIVE: Final = Proof(
    change="pools",
    signal="pools of the running miner",
    strength=Strength.PROCESS,
    earliest_s=1.0,
    latest_s=120.0,
)
MODE_CONFIG: Final = Proof(
    change="mode",
    signal="get_miner_conf.cgi",
    strength=Strength.STATE,
    earliest_s=5.0,
    latest_s=150.0,
)
SLEEPS: Final = Proof(
    change="mode",
    signal="running mode, no hash rate",
    strength=Strength.PROCESS,
    earliest_s=5.0,
    latest_s=300.0,
)
WAKES: Final = Proof(
    change="mode",
    signal="running mode, hash rate",
    strength=Strength.PROCESS,
    earliest_s=5.0,
    latest_s=900.0,
)
OUTAGE: Final = Proof(
    change="reboot",
    signal="outage of the web port, then a smaller Elapsed",
    strength=Strength.BOOT,
    earliest_s=3.0,
    latest_s=180.0,  # images of 2024 on stop the miner and wait 50 s first
)
BOOT: Final = Proof(
    change="reboot",
    signal="uptime of the system",
    strength=Strength.BOOT,
    earliest_s=30.0,
    latest_s=540.0,
)
ELAPSED: Final = Proof(
    change="reboot",
    signal="smaller Elapsed",
    strength=Strength.PROCESS,
    earliest_s=30.0,
    latest_s=540.0,
)
VERSION: Final = Proof(
    change="firmware",
    signal="firmware version",
    strength=Strength.STATE,
    earliest_s=60.0,
    latest_s=1500.0,
)

_MODES_OLD: Final = ("S17", "S17 Pro", "S17+", "S17e", "T17", "T17+", "T17e", "S15", "T15")


def capabilities(generation: str | None) -> Capabilities | None:
    """What miners of a generation can do; `None` for one we do not know."""
    return ALL.get(generation or "")


_CHANGES: Final = ("light", "mode", "pools", "reboot", "firmware", "suspend", "resume")
_NEW: Final = (
    LIGHT_NEW,
    MODE_CONFIG,
    SLEEPS,
    WAKES,
    CONFIG,
    POOLS_LIVE,
    OUTAGE,
    ELAPSED,
    VERSION,
)
_OLD_PROOFS: Final = (
    LIGHT_OLD,
    MODE_CONFIG,
    SLEEPS,
    WAKES,
    CONFIG,
    POOLS_LIVE,
    OUTAGE,
    BOOT,
    ELAPSED,
    VERSION,
)
ALL: Final = {
    OLD: Capabilities(
        make=Make.ANTMINER,
        generation=OLD,
        models=("S9", "T9+", "L3+", "D3", "E3", "Z9", "Z11", "X3", *_MODES_OLD),
        changes=_CHANGES,
        modes=(PowerMode.SLEEP, PowerMode.NORMAL),
        log=True,
        proofs=_OLD_PROOFS,
        remarks=(
            "Sleep only on models whose configuration has a work mode (S15, T15 and the 17 series).",
            "The light goes out by itself after about 5 minutes; first S9 firmwares have none.",
            "S3 to S7: their configuration form is not known, so it is not written.",
        ),
    ),
    NEW_BM: Capabilities(
        make=Make.ANTMINER,
        generation=NEW_BM,
        models=("S19 series", "T19", "S19 XP", "S21 series", "T21", "hydro variants"),
        changes=_CHANGES,
        modes=(PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL),
        log=True,
        proofs=_NEW,
        remarks=(
            "Low power is tried and read back, since firmwares accept any mode and keep what they know.",
        ),
    ),
    NEW_GOD: Capabilities(
        make=Make.ANTMINER,
        generation=NEW_GOD,
        models=("L7", "L9", "KS3", "KS5", "E9", "E9 Pro", "E11", "D9", "K7", "HS3", "KA3"),
        changes=_CHANGES,
        modes=(PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL),
        log=True,
        proofs=_NEW,
        remarks=("Low power only on L7 firmwares of 2023 and later.",),
    ),
}
