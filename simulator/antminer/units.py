"""The units in which a build gives its hash rates."""

from __future__ import annotations

from simulator.antminer.catalogue import AntminerProduct
from simulator.faults import Faults

_THS = 1e12


class Units:
    """Turns H/s into the figures of one miner. The legacy and the new replies count differently."""

    def __init__(self, spec: AntminerProduct, faults: Faults) -> None:
        self._spec = spec
        self._faults = faults

    def legacy(self, hashrate_hs: float) -> float:
        """H/s in the unit of the legacy figures."""
        if self._legacy_in_ths():
            return round(hashrate_hs / _THS, 4)
        return round(hashrate_hs / self._spec.unit_hs, 2)

    def legacy_ideal(self, hashrate_hs: float) -> float:
        """The nominal rate in the legacy unit, or a thousandfold where the build counts wrongly."""
        return self.legacy(hashrate_hs) * (1000 if "wrong_unit" in self._faults else 1)

    def legacy_name(self) -> str | None:
        """The `rate_unit` of the legacy figures, None where the family names none."""
        return "TH/s" if self._legacy_in_ths() else self._spec.rate_unit

    def legacy_word(self) -> str:
        """The unit behind legacy figures that are written with one."""
        return "TH/s" if self._legacy_in_ths() else self._spec.rate_unit_new

    def new(self, hashrate_hs: float) -> float:
        """H/s in the unit of the new figures."""
        if "rate_unit_ths" in self._faults:
            return round(hashrate_hs / _THS, 4)
        return self.legacy(hashrate_hs)

    def new_name(self) -> str:
        """The `rate_unit` of the new figures."""
        return "TH/s" if "rate_unit_ths" in self._faults else self._spec.rate_unit_new

    def _legacy_in_ths(self) -> bool:
        unit = self._faults.get("rate_unit_ths")
        return unit is not None and bool(unit.args.get("legacy"))
