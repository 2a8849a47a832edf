"""What a machine sent, as one of the structs of `contract.rigmonitor`. Pure.

Lenient as the official server's casts are, and where its columns are narrow (whole numbers, short texts) wider: numbers
may be text and as large as they like, fractions are rounded for whole numbers, blank text is no value, unknown keys are
dropped. Its words for what is wrong are kept, since clients show them. Whether a figure can be true is judged later, in
`cloud.rigmonitor.figures`.
"""

from __future__ import annotations

import functools
import math
import re
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, get_args

import msgspec

from cloud.http.bodies import is_clean
from contract.rigmonitor.asic import PoolState
from contract.rigmonitor.rig import RateUnit
from contract.rigmonitor.shared import Body

BLANK: Final = "can't be blank"
INVALID: Final = "is invalid"
_TOGETHER: Final = "Must be exist together"
TEXT_MAX: Final = 4000  # characters; the official server fails beyond 255
_TOO_LONG: Final = f"should be at most {TEXT_MAX} character(s)"
Errors = dict[str, list[str]]
BodyT = TypeVar("BodyT", bound=Body)

_WHOLE_MAX: Final = 2**53  # what every JSON reader keeps exactly
# Without ASCII other letters are in its case, too: the sign of the kelvin is a `k`.
_UNIT: Final = re.compile(r"([kmgtp]?)(?:h|sol)/s", re.ASCII | re.IGNORECASE)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")


class InvalidBodyError(Exception):
    """A body that does not hold what it must: `errors` is what the machine is told, by field."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(", ".join(errors))
        self.errors = errors


class _WrongError(Exception):
    """A value that does not fit its field; the text is what the machine is told."""


def cast(kind: type[BodyT], params: Mapping[str, Any]) -> BodyT:
    """The fields of `kind` out of `params`. Raises InvalidError that names every field that is missing or wrong."""
    values: dict[str, Any] = {}
    errors: Errors = {}
    for name, (convert, required) in _fields(kind).items():
        given = params.get(name)
        try:
            value = None if _is_blank(given) else convert(given)
        except _WrongError as error:
            errors[name] = [str(error)]
            continue
        if value is not None:
            values[name] = value
        elif required:
            errors[name] = [BLANK]
    for names in kind.together:
        given = [name for name in names if not _is_blank(params.get(name))]
        if given and len(given) < len(names):
            errors.setdefault(names[-1], []).append(f"{_TOGETHER} {', '.join(names)}")
    if errors:
        raise InvalidBodyError(errors)
    return kind(**values)


def _is_blank(given: object) -> bool:
    return given is None or (isinstance(given, str) and not given.strip())


def _text(given: object) -> str:
    if not isinstance(given, str) or not is_clean(given):
        raise _WrongError(INVALID)
    if len(given) > TEXT_MAX:
        raise _WrongError(_TOO_LONG)
    return given


def _state(given: Any) -> PoolState:
    try:
        return PoolState(given)
    except ValueError:
        raise _WrongError(INVALID) from None


def _unit(given: object) -> RateUnit:
    """In any case, as the published text has them: `kh/s`; `SOL/s` for what is counted in solutions."""
    match = _UNIT.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise _WrongError(INVALID)
    return RateUnit(f"{match[1].upper()}H/s")


def _number(given: Any) -> float:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    is_numeric = isinstance(given, str) and _NUMBER.fullmatch(given)
    try:
        value = float(given) if is_number or is_numeric else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        value = math.nan
    if not math.isfinite(value):
        raise _WrongError(INVALID)
    return value


def _whole(given: object) -> float:
    """An int, but for what is too large to be one: no figure can be that, and JSON keeps it as a float only."""
    value = _number(given)
    if abs(value) > _WHOLE_MAX:
        return value
    return int(math.copysign(math.floor(abs(value) + 0.5), value))  # halves away from zero


_CASTS: Final[dict[Any, Callable[[Any], Any]]] = {
    str: _text,
    float: _number,
    int: _whole,
    PoolState: _state,
    RateUnit: _unit,
}


@functools.cache
def _fields(kind: type[Body]) -> dict[str, tuple[Callable[[Any], Any], bool]]:
    found = {}
    for field in msgspec.structs.fields(kind):
        kinds = get_args(field.type) if isinstance(field.type, types.UnionType) else (field.type,)
        [plain] = [each for each in kinds if each is not types.NoneType]
        found[field.name] = _CASTS[plain], field.required
    return found
