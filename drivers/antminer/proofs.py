"""How each change of an AntMiner shows, and what each generation can do. The one table; windows are read from here.

Of a proof: the change, the signal, what that proves, and when it shows at the earliest and at the latest, in device
seconds after the write.
"""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.antminer.models import NEW_BM, NEW_GOD, OLD
from drivers.base import EVERY_CHANGE, Capabilities, Proof, Strength

LIGHT_NEW: Final = Proof("light", "get_blink_status.cgi", Strength.STATE, 1.0, 45.0)
LIGHT_OLD: Final = Proof("light", "blink.cgi isBlinking", Strength.STATE, 1.0, 45.0)
# A script that is slow to begin (60 s) and the restart after it (90 s).
CONFIG: Final = Proof("pools", "get_miner_conf.cgi", Strength.STATE, 1.0, 150.0)
POOLS_LIVE: Final = Proof("pools", "pools of the running miner", Strength.PROCESS, 1.0, 120.0)
MODE_CONFIG: Final = Proof("mode", "get_miner_conf.cgi", Strength.STATE, 5.0, 150.0)
SLEEPS: Final = Proof("mode", "running mode, no hash rate", Strength.PROCESS, 5.0, 300.0)
WAKES: Final = Proof("mode", "running mode, hash rate", Strength.PROCESS, 5.0, 900.0)
# Images of 2024 on stop the miner and wait 50 s first.
OUTAGE: Final = Proof(
    "reboot", "outage of the web port, then a smaller Elapsed", Strength.BOOT, 3.0, 180.0
)
BOOT: Final = Proof("reboot", "uptime of the system", Strength.BOOT, 30.0, 540.0)
ELAPSED: Final = Proof("reboot", "smaller Elapsed", Strength.PROCESS, 30.0, 540.0)
VERSION: Final = Proof("firmware", "firmware version", Strength.STATE, 60.0, 1500.0)

_MODES_OLD: Final = ("S17", "S17 Pro", "S17+", "S17e", "T17", "T17+", "T17e", "S15", "T15")
_SHARED: Final = (MODE_CONFIG, SLEEPS, WAKES, CONFIG, POOLS_LIVE, OUTAGE, ELAPSED, VERSION)
_MODES_NEW: Final = (PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL)

GENERATIONS: Final = {
    OLD: Capabilities(
        make=Make.ANTMINER,
        generation=OLD,
        models=("S9", "T9+", "L3+", "D3", "E3", "Z9", "Z11", "X3", *_MODES_OLD),
        changes=EVERY_CHANGE,
        modes=(PowerMode.SLEEP, PowerMode.NORMAL),
        log=True,
        proofs=(LIGHT_OLD, BOOT, *_SHARED),
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
        changes=EVERY_CHANGE,
        modes=_MODES_NEW,
        log=True,
        proofs=(LIGHT_NEW, *_SHARED),
        remarks=(
            "Low power is tried and read back, since firmwares accept any mode and keep what they know.",
        ),
    ),
    NEW_GOD: Capabilities(
        make=Make.ANTMINER,
        generation=NEW_GOD,
        models=("L7", "L9", "KS3", "KS5", "E9", "E9 Pro", "E11", "D9", "K7", "HS3", "KA3"),
        changes=EVERY_CHANGE,
        modes=_MODES_NEW,
        log=True,
        proofs=(LIGHT_NEW, *_SHARED),
        remarks=("Low power only on L7 firmwares of 2023 and later.",),
    ),
}
