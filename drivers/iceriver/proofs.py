"""How each change of an IceRiver shows, and what each generation can do. The one table; windows are read from here.

Of a proof: the change, the signal, what that proves, and when it shows at the earliest and at the latest, in device
seconds after the write.
"""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.base import EVERY_CHANGE, Capabilities, Proof, Strength
from drivers.iceriver.models import PBFARMER, STOCK

LIGHT: Final = Proof("light", "locate", Strength.STATE, 0.5, 30.0)
MODE: Final = Proof("mode", "machineconfig mode", Strength.STATE, 1.0, 60.0)
# The rate is an average over 5 minutes, so it takes its time to show that hashing stopped or began.
STOPS: Final = Proof(
    "suspend", "machineconfig mode, then a falling hash rate", Strength.PROCESS, 30.0, 600.0
)
STARTS: Final = Proof(
    "resume", "machineconfig mode, then a rising hash rate", Strength.PROCESS, 30.0, 600.0
)
POOLS: Final = Proof("pools", "machineconfig pools", Strength.STATE, 0.5, 30.0)
CONNECTED: Final = Proof("pools", "a pool connected and in use", Strength.PROCESS, 1.0, 180.0)
# A miner still up then will stay so.
OUTAGE: Final = Proof(
    "reboot", "outage of its web server, then a smaller runtime", Strength.BOOT, 3.0, 180.0
)
# From a crash that left less time than this nothing was missed.
RUNTIME: Final = Proof(
    "reboot", "order taken, then a smaller runtime", Strength.PROCESS, 30.0, 420.0
)
# From the order to restart.
VERSION: Final = Proof("firmware", "firmware version", Strength.STATE, 30.0, 900.0)


GENERATIONS: Final = {
    STOCK: Capabilities(
        make=Make.ICERIVER,
        generation=STOCK,
        models=("KS0 to KS7, AL, AE and RX series",),
        changes=EVERY_CHANGE,
        modes=(PowerMode.SLEEP, PowerMode.NORMAL),
        log=True,
        proofs=(LIGHT, MODE, POOLS, CONNECTED, OUTAGE, RUNTIME, VERSION, STOPS, STARTS),
        remarks=(
            "Firmware before September 2023 sets its fans to automatic with every change of pools or mode.",
            "A firmware file is sent only if its name or the version promised tells this very model.",
        ),
    ),
    PBFARMER: Capabilities(
        make=Make.ICERIVER,
        generation=PBFARMER,
        models=("KS0 to KS5 with the firmware of pbfarmer",),
        remarks=("Read only, by port 4111.",),
    ),
}
