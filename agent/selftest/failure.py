"""Why a release would not do here."""

from __future__ import annotations


class CheckFailedError(Exception):
    """One check failed. The message says what is wrong, and where somebody can do something about it, what."""
