"""What is true of each generation of IceRivers, apart from how each is changed: `changes/` tells that."""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.base import Capabilities
from drivers.iceriver.models import PBFARMER, STOCK

GENERATIONS: Final = {
    STOCK: Capabilities(
        make=Make.ICERIVER,
        generation=STOCK,
        models=("KS0 to KS7, AL, AE and RX series",),
        modes=(PowerMode.SLEEP, PowerMode.NORMAL),
        log=True,
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
