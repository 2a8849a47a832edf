"""Times as Nonce writes them, and as filters tell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def nonce_time(at: datetime) -> str:
    """`2026-11-21T18:55:00Z`: Nonce shows whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """A filter's time: ISO 8601 with an offset or Z. A `+` that became a blank on its way through a
    query string is put back.

    Raises ValueError for anything else.
    """
    cleaned = text.strip()
    if len(cleaned) > 6 and cleaned[-6] == " " and cleaned[-3] == ":":
        cleaned = f"{cleaned[:-6]}+{cleaned[-5:]}"
    try:
        at = datetime.fromisoformat(cleaned)
        if at.tzinfo is None:
            raise ValueError("it has no offset")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "must be an ISO 8601 time with an offset, such as 2026-11-21T18:55:00Z"
        ) from None


def second_from(at: datetime) -> datetime:
    """The first whole second that is not before `at`."""
    return at if at.microsecond == 0 else second_after(at)


def second_after(at: datetime) -> datetime:
    """The whole second that follows the one `at` lies in; the end of time stays where it is."""
    try:
        return at.replace(microsecond=0) + timedelta(seconds=1)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
