"""What a person carries from a cloud to an agent's host."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_BETWEEN: Final = "."


class EnrolCode(msgspec.Struct, frozen=True):
    """What joins an agent to a cloud, once. `secret` is what the cloud knows it by; `fingerprint` is of the authority
    whose certificate that cloud shows, `None` where any that the host trusts will do.
    """

    secret: str
    fingerprint: str | None = None

    @classmethod
    def of(cls, text: str) -> EnrolCode:
        """The code as it was typed. Raises ValueError for one whose fingerprint is not whole: half of one would be no
        protection.
        """
        secret, between, print_ = text.strip().partition(_BETWEEN)
        if not between:
            return cls(secret)
        if not _FINGERPRINT.fullmatch(print_.lower()):
            raise ValueError(
                "this code is not whole: after its dot stand the 64 characters of a fingerprint; copy all of it"
            )
        return cls(secret, print_.lower())

    def __str__(self) -> str:
        if self.fingerprint is None:
            return self.secret
        return f"{self.secret}{_BETWEEN}{self.fingerprint}"
