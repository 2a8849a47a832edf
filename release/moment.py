"""What time it is at least: by it expiry is judged where the host's clock cannot be believed.

A Raspberry Pi without a clock battery wakes in 1970, and a clock set wrongly may show 2099. The one would take
metadata for fresh that is long out of date, the other would refuse every release there is. Each release knows when it
was built, and all our metadata says when it was signed: those moments have passed for sure.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

# No metadata lives longer, and no host is left without a newer release for so long.
PLAUSIBLE: Final = timedelta(days=3653)
# So far a clock may be behind that of whoever signed.
_SLACK: Final = timedelta(hours=1)
_DAY: Final = "%Y-%m-%d"


class Moment:
    """Moves on with each moment that is known to have passed; never back."""

    def __init__(self, clock: datetime, built_at: datetime) -> None:
        """`clock` is what the host's clock shows, `built_at` when the running release was built."""
        self._clock = clock.astimezone(UTC)
        self._passed = built_at.astimezone(UTC)

    def has_passed(self, moment: datetime) -> None:
        """It is later than that, whatever the clock shows."""
        self._passed = max(self._passed, moment)

    @property
    def now(self) -> datetime:
        """By which expiry is judged: the clock where it is plausible, else the last moment that has passed for sure."""
        if self._clock > self._passed + PLAUSIBLE:
            return self._passed
        return max(self._clock, self._passed)

    @property
    def doubt(self) -> str | None:
        """Why the clock is not believed, for the person who has to set it."""
        shown, passed = self._clock.strftime(_DAY), self._passed.strftime(_DAY)
        if self._clock < self._passed - _SLACK:
            return f"the clock of this host shows {shown}, before {passed}: set it. Expiry was judged by that day"
        if self._clock > self._passed + PLAUSIBLE:
            return f"the clock of this host shows {shown}, years after {passed}: set it. Expiry was judged by that day"
        return None
