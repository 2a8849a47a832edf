"""The state of the identification light, as the scripts of either generation tell it."""

from __future__ import annotations

from typing import Any

from contract.errors import MalformedError
from drivers.antminer.protocol.repair import decode_json


def blink_state(body: bytes, key: str) -> bool:
    """The flag in a reply, a boolean or its text. Raises MalformedError."""
    answer: Any = decode_json(body)
    value = answer.get(key) if isinstance(answer, dict) else None
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise MalformedError(f"the state of the light has no {key}")
