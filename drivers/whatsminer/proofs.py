"""How each change of a WhatsMiner shows, and what each generation can do. The one table; windows are read from here.

Of a proof: the change, the signal, what that proves, and when it shows at the earliest and at the latest, in device
seconds after the write.
"""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.base import EVERY_CHANGE, Capabilities, Proof, Strength
from drivers.whatsminer.models import COMPAT, LEGACY, V1, V2, V3

# The LED state is written by a script in the background.
LIGHT: Final = Proof("light", "get_miner_info ledstat", Strength.STATE, 5.5, 45.0)
# Nothing will show, but the order is given the time it takes before the task ends.
LIGHT_V1: Final = Proof(
    "light", "none (this firmware does not tell its LED state)", Strength.NONE, 5.5, 6.0
)
LIGHT_V3: Final = Proof("light", "get.device.info ledstatus", Strength.STATE, 5.5, 45.0)
MODE: Final = Proof(
    "mode", "reported power mode, then a smaller Elapsed", Strength.PROCESS, 5.0, 300.0
)
POOLS: Final = Proof("pools", "pools of the running miner", Strength.PROCESS, 1.0, 120.0)
# The order is carried out at once; a miner still up then will stay so.
OUTAGE: Final = Proof(
    "reboot", "outage of its API, then a smaller Elapsed", Strength.BOOT, 3.0, 120.0
)
BOOT: Final = Proof("reboot", "smaller time since boot", Strength.BOOT, 20.0, 540.0)
# From the end of the upload.
VERSION: Final = Proof("firmware", "firmware version", Strength.STATE, 30.0, 900.0)
STOPS: Final = Proof("suspend", "reported off, and stays so", Strength.PROCESS, 5.0, 300.0)
STARTS: Final = Proof("resume", "reported on", Strength.PROCESS, 5.0, 300.0)
HOLDS_BRIEFLY_S: Final = 20.0  # how long a stop must last to be believed
# The same by port 4028 of newer firmware: one of 2025 starts again by itself.
HOLDS_S: Final = 180.0

_SHARED: Final = (MODE, POOLS, OUTAGE, BOOT, VERSION, STOPS, STARTS)
_SWITCH: Final = (
    "Changes need the API switch (WhatsMinerTool, Remote Ctrl), which is off in new miners."
)


def _driven(generation: str, models: str, light: Proof, *remarks: str) -> Capabilities:
    return Capabilities(
        make=Make.WHATSMINER,
        generation=generation,
        models=(models,),
        changes=EVERY_CHANGE,
        modes=(PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH),
        log=True,
        proofs=(light, *_SHARED),
        remarks=(_SWITCH, *remarks),
    )


_ALL: Final = (
    Capabilities(
        make=Make.WHATSMINER,
        generation=LEGACY,
        models=("M3 to M21 on firmware before mid 2020",),
        remarks=("Read only: this firmware can be changed through its web page alone.",),
    ),
    _driven(
        V1,
        "M20, M21, M30, M31 series on firmware of 2020 and 2021",
        LIGHT_V1,
        "The light cannot be read back: the miner's word is all there is.",
    ),
    _driven(V2, "M20 to M60 series on firmware of 2022 to autumn 2024", LIGHT),
    _driven(
        COMPAT,
        "any model on firmware of autumn 2024 on, while only port 4028 answers",
        LIGHT,
        "Power off was seen not to last on one firmware of 2025 through this port.",
    ),
    _driven(
        V3,
        "M30 to M79 series on firmware of autumn 2024 on",
        LIGHT_V3,
        "Share counts are read from port 4028, where it is open.",
    ),
)
GENERATIONS: Final = {each.generation: each for each in _ALL}
