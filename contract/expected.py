"""How many miners somebody means, so that a slip of the pen in whom they mean is noticed."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from contract.nonce.values import Whole

_WRITTEN: Final = re.compile(r"(\d{1,8})(?:~(\d{1,3}(?:\.\d{1,3})?)%)?", re.ASCII)


class ExpectedCount(BaseModel):
    """How many are to be found, and by how many percent it may be more or fewer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[Whole, Field(ge=0, le=10_000_000)]
    within_percent: Annotated[float, Field(strict=True, ge=0, le=100)] = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """`300`, or `300~5%`. Raises ValueError, in words."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None or float(found[2] or 0) > 100:
            raise ValueError(
                f"{text[:40]!r} is not how many miners are meant: write 300, or 300~5% for 285 to 315"
            )
        return cls(count=int(found[1]), within_percent=float(found[2] or 0))

    def holds(self, number: int) -> bool:
        """Whether so many are as many as are meant."""
        return abs(number - self.count) * 100 <= self.within_percent * self.count

    def __str__(self) -> str:
        return f"{self.count}~{self.within_percent:g}%" if self.within_percent else str(self.count)
