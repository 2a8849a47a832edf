"""JSON as WhatsMiner firmwares write it. Each repair names the break it mends; sound text never comes here."""

from __future__ import annotations

import re
from typing import Any, Final

from contract.errors import MalformedError
from drivers.protocol import lenient

# The longest reply known is half as long, and has a third of the parts. Mending takes several times the work of
# reading, on a loop that all other miners share, so a hostile reply must not buy more of it. A pattern that may give
# back what it took remembers every character of a string, hence the `+` behind the others.
MEND_CAP_BYTES: Final = 96 * 1024
MEND_CAP_PARTS: Final = 20_000
# Strings come first, so that nothing inside one is touched.
_BREAKS: Final = re.compile(
    r'(?P<merged>"[^"\\]{0,64}""(?=temp0))'  # get_psu of 2023-01-06: no comma before "temp0"
    r'|(?P<string>"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))'  # one without an end goes to the end, and is not tried again
    r"|(?P<glued>\}\s*\{)"  # no comma between two objects
    r"|(?P<leading>[\[{]\s*,)"
    r"|(?P<trailing>,\s*(?=[\]}]))",
    re.DOTALL,
)
# API 2.0.4: a list written like an object, `"error_code":["329":"2022-01-17 11:28:11"]`.
_LIST_OF_PAIRS: Final = re.compile(r'"error_code"\s*:\s*\[(\s*"[^"\[\]{}]{0,64}"\s*:[^\[\]{}]*)\]')
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)


def decode_json(data: bytes, *, may_be_cut: bool = False) -> Any:
    """Plain values of a reply, mended where needed. Raises MalformedError, and nothing else.

    With `may_be_cut` what came before the last comma of a reply without an end is taken: error lists of hundreds
    overflow the firmware's buffer.
    """
    if len(data) > MEND_CAP_BYTES or sum(map(data.count, _PARTS)) > MEND_CAP_PARTS:
        raise MalformedError(f"not JSON, and with {len(data)} bytes too long to be mended")
    text = data.decode("utf-8", "replace")
    text = _LIST_OF_PAIRS.sub(r'"error_code":[{\1}]', text)
    text = _BREAKS.sub(lenient.mended, text)
    try:
        return lenient.decode(text.lstrip(), _TAIL)
    except lenient.BROKEN as error:
        if may_be_cut and (closed := _closed(text)) is not None:
            return decode_json(closed.encode("utf-8", "replace"))
        raise MalformedError(f"not JSON ({str(error)[:80]}); it began {data[:40]!r}") from None


# --- private -------------------------------------------------------------------------------------

_TAIL: Final = re.compile(r"[ \t\r\n\0]*")
_PARTS: Final = (b'"', b"{", b"[", b",")


def _closed(text: str) -> str | None:
    """The text up to its last comma outside of strings, with an end; `None` where there is none."""
    open_ends: list[str] = []
    best: tuple[int, str] | None = None
    for match in _STRING.finditer(text):
        match match.group():
            case "{":
                open_ends.append("}")
            case "[":
                open_ends.append("]")
            case "}" | "]":
                if not open_ends:
                    return None
                open_ends.pop()
            case ",":
                if len(open_ends) > 64:
                    return None
                best = (match.start(), "".join(reversed(open_ends)))
    if best is None or not open_ends:
        return None
    at, end = best
    return text[:at] + end
