"""What stands between the monitor and its miners now, for the operator: each trouble told once, and kept."""

from __future__ import annotations

from typing import Any, Final

import structlog

log: Any = structlog.get_logger(__name__)
_NAMED: Final = 3
_LONGEST: Final = 500
_AWAY_AFTER: Final = 3


class Notes:
    """Troubles by their kind and the miner they concern. A kind is a sentence: `not known to the monitor (401)`."""

    def __init__(self) -> None:
        self._troubles: dict[str, dict[str, str]] = {}
        self._server: str | None = None
        self._unanswered = 0  # in a row, whoever asked

    @property
    def is_away(self) -> bool:
        """Whether nobody gets a usable answer any more."""
        return self._server is not None

    @property
    def state(self) -> str:
        """`ok`, or what is wrong. Says the same as long as nothing changes, so that it may be compared."""
        parts = [] if self._server is None else [self._server]
        for kind, whose in sorted(self._troubles.items()):
            named = ", ".join(
                f"{key} ({detail})" if detail else key
                for key, detail in sorted(whose.items())[:_NAMED]
            )
            more = f" and {len(whose) - _NAMED} more" if len(whose) > _NAMED else ""
            parts.append(f"{kind}: {named}{more}")
        return "; ".join(parts)[:_LONGEST] or "ok"

    def trouble(self, kind: str, key: str, detail: str = "") -> None:
        """It is so now; logged if it was not, or was otherwise."""
        whose = self._troubles.setdefault(kind, {})
        if whose.get(key) != detail:
            whose[key] = detail
            log.warning("rigmonitor.trouble", miner=key, what=kind, detail=detail or None)

    def cleared(self, kind: str, key: str) -> None:
        """It is so no more."""
        whose = self._troubles.get(kind)
        if whose is None or whose.pop(key, None) is None:
            return
        if not whose:
            del self._troubles[kind]
        log.info("rigmonitor.trouble_over", miner=key, what=kind)

    def no_answer(self, why: str) -> None:
        """No usable answer came. Several in a row say that the server is away; one, that it may break on a record."""
        self._unanswered += 1
        if self._unanswered < _AWAY_AFTER:
            return
        if self._server is None:
            log.warning("rigmonitor.away", error=why)
        self._server = why

    def answered(self) -> None:
        """It answered, whatever it said."""
        self._unanswered = 0
        if self._server is not None:
            log.info("rigmonitor.back")
        self._server = None
