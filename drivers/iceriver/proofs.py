"""How each change of an IceRiver shows, and what each generation can do. The one table; windows are read from here.

Times are device seconds after the write.
"""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.base import Capabilities, Proof, Strength
from drivers.iceriver.models import PBFARMER, STOCK

LIGHT: Final = Proof(
    change="light",
    signal="locate",
    strength=Strength.STATE,
    earliest_s=0.5,
    latest_s=30.0,
)
MODE: Final = Proof(
    change="mode",
    signal="machineconfig mode",
    strength=Strength.STATE,
    earliest_s=1.0,
    latest_s=60.0,
)
# The rate is an average over 5 minutes, so it takes its time to show that hashing stopped or began.
STOPS: Final = Proof(
    change="suspend",
    signal="machineconfig mode, then a falling hash rate",
    strength=Strength.PROCESS,
    earliest_s=30.0,
    latest_s=600.0,
)
STARTS: Final = Proof(
    change="resume",
    signal="machineconfig mode, then a rising hash rate",
    strength=Strength.PROCESS,
    earliest_s=30.0,
    latest_s=600.0,
)
POOLS: Final = Proof(
    change="pools",
    signal="machineconfig pools",
    strength=Strength.STATE,
    earliest_s=0.5,
    latest_s=30.0,
)
CONNECTED: Final = Proof(
    change="pools",
    signal="a pool connected and in use",
    strength=Strength.PROCESS,
    earliest_s=1.0,
    latest_s=180.0,
)
OUTAGE: Final = Proof(
    change="reboot",
    signal="outage of its web server, then a smaller runtime",
    strength=Strength.BOOT,
    earliest_s=3.0,
    latest_s=180.0,  # a miner still up then will stay so
)
RUNTIME: Final = Proof(
    change="reboot",
    signal="order taken, then a smaller runtime",
    strength=Strength.PROCESS,
    earliest_s=30.0,  # from a crash that left less time than this nothing was missed
    latest_s=420.0,
)
VERSION: Final = Proof(
    change="firmware",
    signal="firmware version",
    strength=Strength.STATE,
    earliest_s=30.0,
    latest_s=900.0,  # from the order to restart
)


def capabilities(generation: str | None) -> Capabilities | None:
    """What miners of a generation can do; `None` for one that is only read."""
    found = ALL.get(generation or "")
    return found if found is not None and found.changes else None


ALL: Final = {
    STOCK: Capabilities(
        make=Make.ICERIVER,
        generation=STOCK,
        models=("KS0 to KS7, AL, AE and RX series",),
        changes=("light", "mode", "pools", "reboot", "firmware", "suspend", "resume"),
        modes=(PowerMode.SLEEP, PowerMode.NORMAL),
        log=True,
        proofs=(
            LIGHT,
            MODE,
            POOLS,
            CONNECTED,
            OUTAGE,
            RUNTIME,
            VERSION,
            STOPS,
            STARTS,
        ),
        remarks=(
            "Firmware before September 2023 sets its fans to automatic with every change of pools or mode.",
            "A firmware file is sent only if its name or the version promised tells this very model.",
        ),
    ),
    PBFARMER: Capabilities(
        make=Make.ICERIVER,
        generation=PBFARMER,
        models=("KS0 to KS5 with the firmware of pbfarmer",),
        changes=(),
        modes=(),
        log=False,
        proofs=(),
        remarks=("Read only, by port 4111.",),
    ),
}
