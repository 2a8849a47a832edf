"""How each change of a WhatsMiner shows, and what each generation can do. The one table; windows are read from here.

Times are device seconds after the write.
"""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.base import EVERY_CHANGE, Capabilities, Proof, Strength
from drivers.whatsminer.models import COMPAT, LEGACY, V1, V2, V3

# The LED state is written by a script in the background.
LIGHT: Final = Proof(
    "light", "get_miner_info ledstat", Strength.STATE, earliest_s=5.5, latest_s=45.0
)
# Nothing will show, but the order is given the time it takes before the task ends.
LIGHT_V1: Final = Proof(
    "light",
    "none (this firmware does not tell its LED state)",
    Strength.NONE,
    earliest_s=5.5,
    latest_s=6.0,
)
LIGHT_V3: Final = Proof(
    "light", "get.device.info ledstatus", Strength.STATE, earliest_s=5.5, latest_s=45.0
)
MODE: Final = Proof(
    "mode",
    "reported power mode, then a smaller Elapsed",
    Strength.PROCESS,
    earliest_s=5.0,
    latest_s=300.0,
)
POOLS: Final = Proof(
    "pools", "pools of the running miner", Strength.PROCESS, earliest_s=1.0, latest_s=120.0
)
# The order is carried out at once; a miner still up then will stay so.
OUTAGE: Final = Proof(
    "reboot",
    "outage of its API, then a smaller Elapsed",
    Strength.BOOT,
    earliest_s=3.0,
    latest_s=120.0,
)
BOOT: Final = Proof(
    "reboot", "smaller time since boot", Strength.BOOT, earliest_s=20.0, latest_s=540.0
)
# From the end of the upload.
VERSION: Final = Proof(
    "firmware", "firmware version", Strength.STATE, earliest_s=30.0, latest_s=900.0
)
STOPS: Final = Proof(
    "suspend", "reported off, and stays so", Strength.PROCESS, earliest_s=5.0, latest_s=300.0
)
STARTS: Final = Proof("resume", "reported on", Strength.PROCESS, earliest_s=5.0, latest_s=300.0)
HOLDS_BRIEFLY_S: Final = 20.0  # how long a stop must last to be believed
# The same by port 4028 of newer firmware: one of 2025 starts again by itself.
HOLDS_S: Final = 180.0
_MODES: Final = (PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH)
_SHARED: Final = (MODE, POOLS, OUTAGE, BOOT, VERSION, STOPS, STARTS)
_SWITCH: Final = (
    "Changes need the API switch (WhatsMinerTool, Remote Ctrl), which is off in new miners."
)
GENERATIONS: Final = {
    LEGACY: Capabilities(
        make=Make.WHATSMINER,
        generation=LEGACY,
        models=("M3 to M21 on firmware before mid 2020",),
        remarks=("Read only: this firmware can be changed through its web page alone.",),
    ),
    V1: Capabilities(
        make=Make.WHATSMINER,
        generation=V1,
        models=("M20, M21, M30, M31 series on firmware of 2020 and 2021",),
        changes=EVERY_CHANGE,
        modes=_MODES,
        log=True,
        proofs=(LIGHT_V1, *_SHARED),
        remarks=(_SWITCH, "The light cannot be read back: the miner's word is all there is."),
    ),
    V2: Capabilities(
        make=Make.WHATSMINER,
        generation=V2,
        models=("M20 to M60 series on firmware of 2022 to autumn 2024",),
        changes=EVERY_CHANGE,
        modes=_MODES,
        log=True,
        proofs=(LIGHT, *_SHARED),
        remarks=(_SWITCH,),
    ),
    COMPAT: Capabilities(
        make=Make.WHATSMINER,
        generation=COMPAT,
        models=("any model on firmware of autumn 2024 on, while only port 4028 answers",),
        changes=EVERY_CHANGE,
        modes=_MODES,
        log=True,
        proofs=(LIGHT, *_SHARED),
        remarks=(
            _SWITCH,
            "Power off was seen not to last on one firmware of 2025 through this port.",
        ),
    ),
    V3: Capabilities(
        make=Make.WHATSMINER,
        generation=V3,
        models=("M30 to M79 series on firmware of autumn 2024 on",),
        changes=EVERY_CHANGE,
        modes=_MODES,
        log=True,
        proofs=(LIGHT_V3, *_SHARED),
        remarks=(_SWITCH, "Share counts are read from port 4028, where it is open."),
    ),
}
