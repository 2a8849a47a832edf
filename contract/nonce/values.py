"""Values in the bodies of requests: what is one, and how long it may be."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

from contract.nonce.times import parse_time

FILTER_VALUES_MAX: Final = 1000
FILTER_TEXT_MAX: Final = 1024


def _whole(value: object) -> object:
    """JSON Schema counts 1.0 as an integer; JSON's true and "1" are none."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("must be an integer")


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            if math.isfinite(number := float(value)):
                return number
    raise ValueError("must be a number")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("must be text")


Id = Annotated[str, StringConstraints(strict=True, max_length=200)]
Text = Annotated[str, StringConstraints(strict=True, max_length=FILTER_TEXT_MAX)]
Texts = Annotated[list[Text], Field(max_length=FILTER_VALUES_MAX)]
Time = Annotated[datetime, BeforeValidator(lambda value: parse_time(_text(value)))]
Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_whole)]
