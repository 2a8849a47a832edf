"""The error codes of WhatsMiners, as (code, text, severity). One table of ranges; the miner's own words come first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from contract.miner import MinerFault
from drivers.protocol.values import text_of, whole

FAULTS_CAP: Final = 64  # in one reading; chip by chip there can be hundreds
_CODES_CAP: Final = 1024


class Code(msgspec.Struct, frozen=True):
    """One active code, with the miner's own words if it gave some."""

    number: int | None
    text: str | None = None


class _Range(msgspec.Struct, frozen=True):
    first: int
    last: int
    severity: str
    text: str  # {slot}, {pool}, {chip}: parts of the code


def codes_of(value: Any) -> tuple[Code, ...]:
    """A list of codes however a firmware writes it: numbers, texts, `{"218": "2024-06-15 10:30:00"}`, `{"531": ..,
    "reason": "Slot1 not found."}`.
    """
    return tuple(_codes(value[:_CODES_CAP])) if isinstance(value, list) else ()


def codes_of_summary(summary: Mapping[str, Any]) -> tuple[Code, ...]:
    """The codes that old firmwares number through in their summary. `Factory Error Code n` is history."""
    count = min(whole(summary.get("Error Code Count")) or 0, _CODES_CAP)
    found = (whole(summary.get(f"Error Code {at}")) for at in range(count))
    return tuple(Code(number) for number in found if number)


def faults_of(
    codes: Iterable[Code], *, is_ramping: bool = False, is_off: bool = False, has_fans: bool = True
) -> tuple[MinerFault, ...]:
    """Each code once. Left out: a slow start while it ramps up or is off, fans where there are none."""
    faults: dict[str, MinerFault] = {}
    for code in codes:
        if len(faults) >= FAULTS_CAP:
            break
        if code.number is None:
            text = code.text or "unknown"
            faults.setdefault(text[:40], MinerFault(code=text[:40], text=text[:200]))
            continue
        found = range_of(code.number)
        if found is not None:
            if (is_ramping or is_off) and _within(code.number, _WHILE_RAMPING):
                continue
            if not has_fans and _within(code.number, _FANS):
                continue
        fault = _fault(code, found)
        faults.setdefault(fault.code, fault)
    return tuple(faults.values())


def range_of(number: int) -> _Range | None:
    """The row of the table for one code."""
    for row in _TABLE:
        if row.first <= number <= row.last:
            return row
    return None


# --- private -------------------------------------------------------------------------------------

_ERROR: Final = "error"
_WARNING: Final = "warning"
_INFO: Final = "info"

# Particular codes before the ranges they lie in.
_TABLE: Final = tuple(
    _Range(*row)
    for row in (
        (110, 111, _ERROR, "intake fan does not keep its speed"),
        (120, 121, _ERROR, "exhaust fan does not keep its speed"),
        (130, 131, _ERROR, "a fan deviates by more than 2000 or 3000 rpm"),
        (140, 140, _ERROR, "a fan turns too fast"),
        (200, 202, _ERROR, "power supply is not recognised or its configuration does not fit"),
        (203, 204, _ERROR, "power supply too hot"),
        (205, 205, _ERROR, "power supply over current"),
        (206, 206, _ERROR, "power supply input voltage is low"),
        (217, 217, _ERROR, "power supply could not be switched on"),
        (218, 218, _ERROR, "power supply input is below the 230 V that high power needs"),
        (219, 219, _ERROR, "power supply warning"),
        (207, 219, _ERROR, "power supply failed to set or hold its output voltage"),
        (233, 235, _ERROR, "power supply stopped: output too hot"),
        (236, 238, _ERROR, "power supply stopped: output over current"),
        (239, 240, _ERROR, "power supply stopped: output voltage out of range"),
        (241, 241, _ERROR, "power supply stopped: output currents differ"),
        (243, 245, _ERROR, "power supply stopped: input too hot"),
        (246, 247, _ERROR, "power supply stopped: input voltage out of range"),
        (248, 249, _ERROR, "power supply stopped: input over current"),
        (250, 251, _ERROR, "power supply stopped: input too low"),
        (253, 254, _ERROR, "power supply stopped: its fan failed"),
        (255, 256, _ERROR, "power supply stopped: over power"),
        (233, 257, _ERROR, "power supply stopped by its own protection"),
        (263, 264, _WARNING, "no communication with the power supply"),
        (267, 267, _WARNING, "power supply watchdog"),
        (268, 269, _WARNING, "power supply current warning"),
        (270, 271, _WARNING, "power supply input voltage high or low"),
        (274, 274, _WARNING, "power supply fan warning"),
        (275, 275, _WARNING, "power supply temperature warning"),
        (263, 296, _WARNING, "power supply warning"),
        (329, 329, _WARNING, "temperature sensor of the control board cannot be read"),
        (300, 303, _WARNING, "temperature sensor of hash board {slot} is not found"),
        (320, 323, _WARNING, "temperature of hash board {slot} cannot be read"),
        (350, 353, _ERROR, "hash board {slot} protects itself against heat"),
        (360, 363, _ERROR, "hash board {slot} is too hot"),
        (370, 370, _ERROR, "ambient temperature changes too much"),
        (380, 383, _WARNING, "humidity sensor or protection"),
        (410, 453, _ERROR, "data of hash board {slot} cannot be read or do not fit"),
        (510, 513, _ERROR, "type of hash board {slot} does not fit"),
        (520, 523, _ERROR, "chip bin of hash board {slot} does not fit"),
        (530, 533, _ERROR, "hash board {slot} is not found"),
        (540, 543, _ERROR, "chips of hash board {slot} cannot be read"),
        (550, 553, _ERROR, "hash board {slot} has bad chips"),
        (560, 563, _WARNING, "hash board {slot} lost its balance"),
        (570, 593, _WARNING, "hash board {slot} resets, or its frequency is too low"),
        (550, 593, _WARNING, "hash board {slot} is unstable"),
        (600, 600, _ERROR, "ambient temperature is too high"),
        (610, 610, _ERROR, "ambient temperature is too high for high power"),
        (620, 620, _WARNING, "ambient temperature warning"),
        (700, 700, _WARNING, "control board has no valid MAC"),
        (701, 701, _WARNING, "control board type is not supported"),
        (710, 712, _WARNING, "control board restarted abnormally"),
        (713, 713, _WARNING, "control board has no network or time"),
        (700, 729, _WARNING, "control board warning"),
        (800, 802, _ERROR, "a file of the firmware is damaged"),
        (810, 810, _ERROR, "firmware or serial number is for another kind of cooling"),
        (901, 901, _INFO, "power per hash is off its mark"),
        (2000, 2000, _ERROR, "no pool is configured"),
        (2010, 2010, _ERROR, "all pools are disabled"),
        (2020, 2022, _WARNING, "connection to pool {slot} failed"),
        (2030, 2030, _WARNING, "a pool rejects many shares"),
        (2040, 2040, _WARNING, "the pool does not support asicboost"),
        (2050, 2050, _WARNING, "changing to another pool failed"),
        (2310, 2320, _WARNING, "hash rate is too low"),
        (2330, 2350, _WARNING, "hash rate is lost"),
        (5050, 5059, _ERROR, "chip temperatures of hash board {slot} differ too much"),
        (5070, 5079, _ERROR, "water flow at hash board {slot} is not right"),
        (5010, 5093, _WARNING, "voltage, temperature or calibration of hash board {slot}"),
        (5110, 5119, _WARNING, "hash board {slot} did not reach its frequency in time"),
        (5120, 5139, _WARNING, "hash board {slot} has communication errors"),
        (5140, 5179, _WARNING, "hash board {slot} is unstable"),
        (8000, 8799, _WARNING, "firmware, tool, serial number or model do not fit each other"),
        (9000, 9099, _WARNING, "a process of the miner failed"),
        (9999, 9999, _WARNING, "a process of the miner crashed"),
        (100000, 100003, _ERROR, "SECURITY: the firmware was tampered with or is infected"),
        (100100, 100100, _ERROR, "SECURITY: the firmware was tampered with or is infected"),
        (110000, 110001, _ERROR, "SECURITY: the firmware was tampered with or is infected"),
        (520000, 529999, _INFO, "hash board {board} chip {chip}: bad nonces"),
        (530000, 539999, _INFO, "hash board {board} chip {chip}: few nonces"),
        (540000, 549999, _INFO, "hash board {board} chip {chip}: too hot"),
        (550000, 559999, _INFO, "hash board {board} chip {chip}: resets"),
        (560000, 569999, _INFO, "hash board {board} chip {chip}: no nonce"),
    )
)
_FANS: Final = ((110, 140),)
_WHILE_RAMPING: Final = ((2310, 2350), (5110, 5119), (901, 901))


def _codes(values: list[Any]) -> Iterator[Code]:
    for value in values:
        if isinstance(value, dict):
            reason = text_of(value.get("reason"))
            for key in value:
                if (number := _number(key)) is not None:
                    yield Code(number, reason)
        elif (number := _number(value)) is not None:
            yield Code(number)
        elif (text := text_of(value)) is not None:
            yield Code(None, text)


def _number(value: Any) -> int | None:
    """A code; they are whole numbers of at most six digits."""
    if value.__class__ is str:
        value = value.strip()
        return int(value) if 0 < len(value) <= 6 and value.isascii() and value.isdigit() else None
    return value if value.__class__ is int and 0 < value < 10**6 else None


def _fault(code: Code, found: _Range | None) -> MinerFault:
    assert code.number is not None
    own = code.text[:200] if code.text else None
    if found is None:
        text = own or f"error code {code.number}"
        return MinerFault(code=str(code.number), text=text, severity=_WARNING)
    text = found.text.format(
        slot=code.number % 10, board=code.number // 1000 % 10, chip=code.number % 1000
    )
    return MinerFault(code=str(code.number), text=own or text, severity=found.severity)


def _within(number: int, spans: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= number <= last for first, last in spans)
