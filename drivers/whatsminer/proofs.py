"""How each change of a WhatsMiner shows, and what each generation can do. The one table; windows are read from here.

Times are device seconds after the write.
"""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.base import Capabilities, Proof, Strength
from drivers.whatsminer.models import COMPAT, LEGACY, V1, V2, V3

LIGHT: Final = Proof(
    change="light",
    signal="get_miner_info ledstat",
    strength=Strength.STATE,
    earliest_s=5.5,  # the LED state is written by a script in the background
    latest_s=45.0,
)
LIGHT_V1: Final = Proof(
    change="light",
    signal="none (this firmware does not tell its LED state)",
    strength=Strength.NONE,
    earliest_s=5.5,
    latest_s=6.0,  # nothing will show, but the order is given the time it takes before the task ends
)
LIGHT_V3: Final = Proof(
    change="light",
    signal="get.device.info ledstatus",
    strength=Strength.STATE,
    earliest_s=5.5,
    latest_s=45.0,
)
MODE: Final = Proof(
    change="mode",
    signal="reported power mode, then a smaller Elapsed",
    strength=Strength.PROCESS,
    earliest_s=5.0,
    latest_s=300.0,
)
POOLS: Final = Proof(
    change="pools",
    signal="pools of the running miner",
    strength=Strength.PROCESS,
    earliest_s=1.0,
    latest_s=120.0,
)
OUTAGE: Final = Proof(
    change="reboot",
    signal="outage of its API, then a smaller Elapsed",
    strength=Strength.BOOT,
    earliest_s=3.0,
    latest_s=120.0,  # the order is carried out at once; a miner still up then will stay so
)
BOOT: Final = Proof(
    change="reboot",
    signal="smaller time since boot",
    strength=Strength.BOOT,
    earliest_s=20.0,
    latest_s=540.0,
)
VERSION: Final = Proof(
    change="firmware",
    signal="firmware version",
    strength=Strength.STATE,
    earliest_s=30.0,
    latest_s=900.0,  # from the end of the upload
)
STOPS: Final = Proof(
    change="suspend",
    signal="reported off, and stays so",
    strength=Strength.PROCESS,
    earliest_s=5.0,
    latest_s=300.0,
)
STARTS: Final = Proof(
    change="resume",
    signal="reported on",
    strength=Strength.PROCESS,
    earliest_s=5.0,
    latest_s=300.0,
)
UPLOAD_S: Final = 300.0
HOLDS_BRIEFLY_S: Final = 20.0  # how long a stop must last to be believed
HOLDS_S: Final = (
    180.0  # the same by port 4028 of newer firmware: one of 2025 starts again by itself
)


def capabilities(generation: str | None) -> Capabilities | None:
    """What miners of a generation can do; `None` for one that is only read."""
    found = ALL.get(generation or "")
    return found if found is not None and found.changes else None


_CHANGES: Final = ("light", "mode", "pools", "reboot", "firmware", "suspend", "resume")
_MODES: Final = (PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH)
_SHARED: Final = (MODE, POOLS, OUTAGE, BOOT, VERSION, STOPS, STARTS)
_SWITCH: Final = (
    "Changes need the API switch (WhatsMinerTool, Remote Ctrl), which is off in new miners."
)
ALL: Final = {
    LEGACY: Capabilities(
        make=Make.WHATSMINER,
        generation=LEGACY,
        models=("M3 to M21 on firmware before mid 2020",),
        changes=(),
        modes=(),
        log=False,
        proofs=(),
        remarks=("Read only: this firmware can be changed through its web page alone.",),
    ),
    V1: Capabilities(
        make=Make.WHATSMINER,
        generation=V1,
        models=("M20, M21, M30, M31 series on firmware of 2020 and 2021",),
        changes=_CHANGES,
        modes=_MODES,
        log=True,
        proofs=(LIGHT_V1, *_SHARED),
        remarks=(_SWITCH, "The light cannot be read back: the miner's word is all there is."),
    ),
    V2: Capabilities(
        make=Make.WHATSMINER,
        generation=V2,
        models=("M20 to M60 series on firmware of 2022 to autumn 2024",),
        changes=_CHANGES,
        modes=_MODES,
        log=True,
        proofs=(LIGHT, *_SHARED),
        remarks=(_SWITCH,),
    ),
    COMPAT: Capabilities(
        make=Make.WHATSMINER,
        generation=COMPAT,
        models=("any model on firmware of autumn 2024 on, while only port 4028 answers",),
        changes=_CHANGES,
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
        changes=_CHANGES,
        modes=_MODES,
        log=True,
        proofs=(LIGHT_V3, *_SHARED),
        remarks=(_SWITCH, "Share counts are read from port 4028, where it is open."),
    ),
}
