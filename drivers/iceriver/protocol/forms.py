"""The forms of the web side, and what may stand in them.

Its handlers paste the values into JSON by `sprintf`, unescaped and into buffers of a fixed size, and print replies with
a format of their own: what would break that is never sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from contract.errors import BadParamsError

FIELD_CAP_BYTES: Final = 256
TOTAL_CAP_BYTES: Final = 1500  # of all fields of a form; the device has 2048 with what it adds
UNSAFE: Final = frozenset('"\\%')


def check_field(name: str, value: str) -> None:
    """Raises BadParamsError for a value the firmware would break on."""
    bad = next(
        (char for char in value if char in UNSAFE or ord(char) < 0x20 or ord(char) == 0x7F), None
    )
    if bad is not None:
        raise BadParamsError(f"{name} holds {bad!r}, which this miner's firmware cannot store")
    if len(value.encode("utf-8", "surrogatepass")) > FIELD_CAP_BYTES:
        raise BadParamsError(f"{name} is over {FIELD_CAP_BYTES} bytes, more than this miner stores")


def check_fields(fields: Mapping[str, str]) -> None:
    """Raises BadParamsError for a form the firmware would break on."""
    for name, value in fields.items():
        check_field(name, value)
    total = sum(len(value.encode("utf-8", "surrogatepass")) for value in fields.values())
    if total > TOTAL_CAP_BYTES:
        raise BadParamsError(
            f"its fields are {total} bytes together, this miner stores {TOTAL_CAP_BYTES}"
        )


def form_of(post: int, fields: Mapping[str, str]) -> bytes:
    """The body of one request. Raises BadParamsError as `check_fields`."""
    check_fields(fields)
    try:
        return urlencode({"post": str(post), **fields}).encode("ascii")
    except UnicodeEncodeError:
        raise BadParamsError("a field holds half of a character") from None
