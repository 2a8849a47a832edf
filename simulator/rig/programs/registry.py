"""Which programs can be played."""

from __future__ import annotations

from typing import Final

from simulator.rig.programs.base import Api
from simulator.rig.programs.bzminer import BzMiner
from simulator.rig.programs.gminer import GMiner
from simulator.rig.programs.lolminer import LolMiner
from simulator.rig.programs.nbminer import NbMiner
from simulator.rig.programs.rigel import Rigel
from simulator.rig.programs.srbminer import SrbMiner
from simulator.rig.programs.teamredminer import TeamRedMiner
from simulator.rig.programs.trex import TRex
from simulator.rig.programs.xmrig import Xmrig

_PROGRAMS: Final[tuple[type[Api], ...]] = (
    Xmrig, LolMiner, TRex, Rigel, BzMiner, SrbMiner, TeamRedMiner, GMiner, NbMiner,
)  # fmt: skip
BY_SOFTWARE: Final = {each.software: each for each in _PROGRAMS}
BY_SLUG: Final = {each.slug: each for each in _PROGRAMS}
