"""The certificate authorities that a cloud makes for itself: how they are written down, and told from one another."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

AUTHORITIES_MOST: Final = 4  # that a cloud shows at once: two while one takes over from another
PEM_MAX: Final = 16_384  # characters of all of them
_BLOCK: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----"
)


def fingerprint(certificate: bytes) -> str:
    """Of a certificate in DER: its SHA-256 in 64 hex digits (`openssl x509 -fingerprint -sha256` puts colons in)."""
    return hashlib.sha256(certificate).hexdigest()


def certificates_in(pem: str) -> tuple[bytes, ...]:
    """Those of a text in PEM, as DER, in its order. Raises ValueError where there is none, or more than a cloud has."""
    if len(pem) > PEM_MAX:
        raise ValueError(f"it has {len(pem)} characters, and may have {PEM_MAX}")
    try:
        found = tuple(
            base64.b64decode("".join(each.split()), validate=True) for each in _BLOCK.findall(pem)
        )
    except binascii.Error:
        found = (b"",)
    if not found:
        raise ValueError("it holds no certificate in PEM")
    if not all(found):
        raise ValueError("it holds a certificate that is not whole")
    if len(found) > AUTHORITIES_MOST:
        raise ValueError(f"it holds {len(found)} certificates, and may hold {AUTHORITIES_MOST}")
    return found


def as_pem(certificates: Iterable[bytes]) -> str:
    """Certificates in DER, one after the other in PEM."""
    return "".join(
        "-----BEGIN CERTIFICATE-----\n"
        + _lines(base64.b64encode(each).decode("ascii"))
        + "-----END CERTIFICATE-----\n"
        for each in certificates
    )


def of_fingerprint(certificates: Iterable[bytes], wanted: str) -> bytes | None:
    """The certificate that has it, compared in a time that says nothing of where they differ."""
    found = None
    for each in certificates:
        if hmac.compare_digest(fingerprint(each), wanted):
            found = each
    return found


def _lines(text: str) -> str:
    return "".join(f"{text[start : start + 64]}\n" for start in range(0, len(text), 64))
