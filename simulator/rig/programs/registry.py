"""Which programs can be played."""

from __future__ import annotations

from typing import Final

from simulator.rig.programs.base import ProgramApi
from simulator.rig.programs.bzminer import BzMinerApi
from simulator.rig.programs.gminer import GMinerApi
from simulator.rig.programs.lolminer import LolMinerApi
from simulator.rig.programs.nbminer import NbMinerApi
from simulator.rig.programs.rigel import RigelApi
from simulator.rig.programs.srbminer import SrbMinerApi
from simulator.rig.programs.teamredminer import TeamRedMinerApi
from simulator.rig.programs.trex import TRexApi
from simulator.rig.programs.xmrig import XmrigApi

_PROGRAMS: Final[tuple[type[ProgramApi], ...]] = (
    XmrigApi, LolMinerApi, TRexApi, RigelApi, BzMinerApi, SrbMinerApi, TeamRedMinerApi, GMinerApi, NbMinerApi,
)  # fmt: skip
BY_SOFTWARE: Final = {each.software: each for each in _PROGRAMS}
BY_SLUG: Final = {each.slug: each for each in _PROGRAMS}
