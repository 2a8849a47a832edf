"""What is true of rigs, apart from how they are changed: `changes/` tells that."""

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
        log=True,
        remarks=(
            "Rigs are enrolled, never scanned for. They are restarted by a configured command.",
            "Mining is switched by XMRig's own pause, else by ending and beginning the program.",
            "A power limit is for NVIDIA cards, its watts for all of them together; it is lost with a restart.",
        ),
    ),
}
