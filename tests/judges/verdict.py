"""Where an independent client and our driver disagree about a miner, figure by figure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tests.judges.hearing import Heard, Says

_MAKES: Final = {"antminer": "bitmain", "bitmain": "bitmain", "iceriver": "iceriver"}
_FIRMWARES: Final = {"stock": "stock"}
# Figures that a client may leave open. About all others silence is a disagreement.
OPTIONAL: Final = frozenset(
    {"mac", "serial", "ideal", "uptime", "light", "board_rates", "temps_pcb", "temps_chip"}
)
_RATE_SLACK: Final = 2e-3  # rates are written with two digits and summed over boards by some


def disagreements(heard: Heard) -> dict[str, tuple[Any, Any]]:
    """Figure -> (what the judge says, what our driver says), for each on which they differ."""
    judge, ours = heard.judge, heard.ours
    if judge.failed is not None:
        return {"identified": (judge.failed, ours.model)}
    found = {}
    for name, said, read, same in _figures(heard, judge, ours):
        is_silent = said is None or (isinstance(said, list) and all(x is None for x in said))
        if is_silent and (name in OPTIONAL or read is None or read == []):
            continue
        if is_silent or read is None or not same(said, read):
            found[name] = (said, read)
    return found


def _figures(
    heard: Heard, judge: Says, ours: Says
) -> Iterator[tuple[str, Any, Any, Callable[[Any, Any], bool]]]:
    yield "make", judge.make, ours.make, lambda a, b: _MAKES.get(_word(a)) == _MAKES.get(_word(b))
    yield "model", judge.model, ours.model, lambda a, b: _word(a) == _word(b)
    yield "firmware", judge.firmware, ours.firmware, lambda a, b: _FIRMWARES.get(_word(a)) == b
    yield "version", judge.version, ours.version, _equal
    yield "mac", judge.mac, ours.mac, _equal
    yield "serial", judge.serial, ours.serial, _equal
    present = [ours.hashrate_hs, *heard.averages_hs] if ours.hashrate_hs else None
    yield "hashrate", judge.hashrate_hs, present, lambda a, b: any(_close(a, each) for each in b)
    yield "ideal", judge.ideal_hs, ours.ideal_hs, _close
    yield "uptime", judge.uptime_s, ours.uptime_s, _equal
    yield "light", judge.light_on, ours.light_on, _equal
    yield "fans", judge.fans, ours.fans, lambda a, b: sorted(a) == sorted(b)
    yield "pools", judge.pools, ours.pools, _equal
    boards, mine = judge.boards or [], ours.boards or []
    yield "boards", len(boards), len(mine), _equal
    if len(boards) == len(mine):
        yield "chips", *_columns("chips", boards, mine), _equal
        yield "board_rates", *_columns("hashrate_hs", boards, mine), _each(_close)
        pcb, chip = heard.sensors_pcb_c, heard.sensors_chip_c
        yield "temps_pcb", *_columns("temp_pcb_c", boards, mine), _temps(pcb)
        yield "temps_chip", *_columns("temp_chip_c", boards, mine), _temps(chip)


def _temps(sensors: list[list[int]]) -> Callable[[list[float], list[float]], bool]:
    """Ours is the hottest sensor; a client may as well take the mean of the same sensors."""

    def same(said: list[float], read: list[float]) -> bool:
        return all(
            mine == max(each) and said_c in (mine, sum(each) / len(each))
            for said_c, mine, each in zip(said, read, sensors, strict=True)
        )

    return same


def _columns(name: str, boards: Sequence[Any], mine: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    return [getattr(each, name) for each in boards], [getattr(each, name) for each in mine]


def _each(same: Callable[[Any, Any], bool]) -> Callable[[list[Any], list[Any]], bool]:
    return lambda a, b: all(None not in pair and same(*pair) for pair in zip(a, b, strict=True))


def _equal(said: Any, read: Any) -> bool:
    return bool(said == read)


def _close(said: float, read: float) -> bool:
    return abs(said - read) <= _RATE_SLACK * abs(read)


def _word(text: str) -> str:
    """`S21+ Hyd.`, `S21PlusHydro`, `ANTMINER S21+ HYD.` -> `s21+hyd`: each client has its own spelling."""
    squeezed = re.sub(r"[^a-z0-9+]", "", text.lower())
    if squeezed != "antminer":
        squeezed = squeezed.removeprefix("antminer")
    return squeezed.replace("plus", "+").replace("hydro", "hyd")
