"""What a text in a request may hold: no control characters, so many hexadecimal digits, a url with all its parts; and
what of a text is shown on a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

from contract.hiding import quoted

# What miners of the makes we know take. Anything else is a slip of the pen, or no pool.
POOL_SCHEMES: Final = (
    "stratum+tcp", "stratum+ssl", "stratum+tls", "stratum2+tcp", "tcp", "ssl", "http", "https",
)  # fmt: skip
WEB_SCHEMES: Final = ("http", "https")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", re.IGNORECASE)
# In Unicode: control characters, halves of a pair (which no file can hold), ends of lines and paragraphs.
_CONTROLS: Final = ("Cc", "Cs", "Zl", "Zp")


def plain(text: str) -> str:
    """One line of text. Raises ValueError."""
    return _without_controls(text, "")


def composed(text: str) -> str:
    """With each letter and its accents in one character, where there is one: what looks the same is the same."""
    return unicodedata.normalize("NFC", text)


def prose(text: str) -> str:
    """Text that may have several lines. Raises ValueError."""
    return _without_controls(text, "\n\r\t")


def not_blank(text: str) -> str:
    """Raises ValueError for a text of nothing but blanks."""
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def printable(text: str) -> str:
    """One line for a terminal, without what that would obey: some of what is shown was told by miners and agents."""
    return "".join(each if each.isprintable() else "?" for each in text)


def counted(number: int, word: str, words: str | None = None) -> str:
    """`1 miner`, `2 miners`."""
    return f"{number} {word if number == 1 else words or word + 's'}"


def hex_digits(count: int) -> AfterValidator:
    """Exactly so many hexadecimal digits, in lower case."""
    pattern = re.compile(rf"[0-9a-f]{{{count}}}")

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"must be {count} hexadecimal digits")
        return text

    return AfterValidator(check)


def url(schemes: tuple[str, ...], example: str) -> AfterValidator:
    """An address with one of these schemes, a host, and a port from 1 to 65535 if any."""

    def check(text: str) -> str:
        scheme = _SCHEME.match(text)
        if scheme is None or any(each.isspace() or not each.isprintable() for each in text):
            raise ValueError(
                f"{quoted(text)} is no url; write scheme://host:port, for example {example}"
            )
        if scheme[1].lower() not in schemes:
            raise ValueError(f"{quoted(text)}: the scheme must be one of {', '.join(schemes)}")
        _check_place(text)
        return text

    return AfterValidator(check)


def _check_place(text: str) -> None:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{quoted(text)} has no valid host and port") from None
    if not host:
        raise ValueError(f"{quoted(text)} names no host")
    is_ipv6 = parts.netloc.rpartition("@")[2].startswith("[")  # urlsplit has checked it
    if not is_ipv6 and not _NAME.fullmatch(host):
        raise ValueError(f"{quoted(text)} names no valid host")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"{quoted(text)}: a port is 1 to 65535")


def _without_controls(text: str, allowed: str) -> str:
    if any(unicodedata.category(each) in _CONTROLS and each not in allowed for each in text):
        raise ValueError("must hold no control characters")
    return text
