"""Why a release is not taken. The list is closed: docs/releases.md says what each one means and what to do."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """What is wrong, by what can be done about it."""

    MALFORMED = "malformed"  # metadata that is none, or of another kind
    UNSIGNED = "unsigned"  # fewer good signatures than its role needs
    ROLLED_BACK = "rolled_back"  # older than what was seen before
    MIXED = "mixed"  # files that do not belong together
    EXPIRED = "expired"
    TOO_BIG = "too_big"
    MISSING = "missing"  # a file that has to be there
    NOT_OFFERED = "not_offered"  # no such channel, version or platform
    NOT_NEWER = "not_newer"  # than the release that runs
    WRONG_PLATFORM = "wrong_platform"
    NO_WAY_BACK = "no_way_back"  # what it would write, the release that runs could not read
    BAD_BUNDLE = "bad_bundle"  # its form, or what it holds
    BAD_SIGNATURE = "bad_signature"  # of a bundle, by a pinned key


class ReleaseRefusedError(Exception):
    """The release is not taken. `reason` is one of the list; the message says which file and why."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason
