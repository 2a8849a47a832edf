"""JSON as the web layer writes it: values are pasted in unescaped, and the whole goes through printf."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

BUFFER: Final = 2048
"""Bytes of the buffer in which a command to the daemon is put together, its end mark included."""
_CONVERSION: Final = re.compile(r"%(.?)", re.DOTALL)


def render(document: Any) -> str:
    """The reply's text. A quote in a value breaks it; a `%` takes the character behind it along."""
    return _CONVERSION.sub(lambda found: "%" if found[1] == "%" else "", _write(document))


def compose(form: str, *values: str) -> bytes:
    """A command for the daemon: `form` with a `%s` for each value, cut where the buffer ends."""
    pieces = form.split("%s")
    if len(pieces) != len(values) + 1:
        raise ValueError("as many values as places")
    text = pieces[0] + "".join(
        value + piece for value, piece in zip(values, pieces[1:], strict=True)
    )
    return text.encode()[: BUFFER - 1] + b"\n"


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ",".join(f'"{key}":{_write(each)}' for key, each in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(map(_write, value)) + "]"
    return repr(value)
