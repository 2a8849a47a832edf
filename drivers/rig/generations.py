"""What is true of rigs, apart from how they are changed: `changes/` will tell that."""

from __future__ import annotations

from typing import Final

from contract.miner import Make
from drivers.base import Capabilities

LINUX: Final = "linux"

GENERATIONS: Final = {
    LINUX: Capabilities(
        make=Make.RIG,
        generation=LINUX,
        models=(
            "Linux rigs with XMRig, lolMiner, T-Rex, Rigel, BzMiner, SRBMiner, TeamRedMiner, GMiner, NBMiner",
        ),
        remarks=("Rigs are enrolled, never scanned for.",),
    ),
}
