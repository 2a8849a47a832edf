"""Figures as people read them: rates, watts, how long something lasted."""

from __future__ import annotations

from typing import Final

from contract.miner import Algorithm

_RATES: Final = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_WATTS: Final = ((1e6, "MW"), (1e3, "kW"))


def rate_text(hashrate_hs: float, algorithm: str | None = None) -> str:
    """`110 TH/s`, `420 ksol/s`: three digits."""
    unit = "sol/s" if algorithm == Algorithm.EQUIHASH else "H/s"
    for size, letter in _RATES:
        if abs(hashrate_hs) >= 0.9995 * size:
            return f"{_three(hashrate_hs / size)} {letter}{unit}"
    return f"{_three(hashrate_hs)} {unit}"


def watts_text(power_w: float) -> str:
    """`2.475 MW`, `15 kW`, `65 W`: four digits."""
    for size, unit in _WATTS:
        if power_w >= size:
            return f"{power_w / size:.4g} {unit}"
    return f"{power_w:.4g} W"


def lasting_text(seconds: float) -> str:
    """`40 s`, `12 min`, `5 h`, `3 days`."""
    for size, word in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {word}"
    return f"{max(seconds, 0.0):.0f} s"


def _three(number: float) -> str:
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
