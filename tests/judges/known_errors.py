"""The judges' known errors, one by one. A line that no longer comes true fails the tests, as does an error without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Says = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Known:
    """`judge` is wrong about this figure of these models: `says` tells how, `why` why it is wrong."""

    judge: str
    figure: str
    keys: tuple[str, ...]
    says: Says
    why: str


@dataclass(frozen=True)
class KnownDeed:
    """What comes of an order that `judge` gives these models wrongly."""

    judge: str
    deed: str
    keys: tuple[str, ...]
    applied: tuple[str, ...]
    after: bool
    why: str


# --- how a judge may be wrong --------------------------------------------------------------------


def nothing(said: Any, _: Any) -> bool:
    """It leaves the figure open."""
    return not said or (isinstance(said, list) and all(each is None for each in said))


def times(factor: float) -> Says:
    """It is off by a factor (of its first figure, where there are several)."""

    def says(said: Any, read: Any) -> bool:
        one = said[0] if isinstance(said, list) else said
        other = read[0] if isinstance(read, list) else read
        return bool(abs(one / other / factor - 1) < 0.01)

    return says


def exactly(text: str) -> Says:
    return lambda said, _: bool(said == text)


def three_of_one(said: Any, read: Any) -> bool:
    return bool((said, read) == (3, 1))


def the_outlets(said: Any, read: Any) -> bool:
    """Something, where our driver knows nothing."""
    return None not in said and set(read) == {None}


def three_of_four(said: Any, read: Any) -> bool:
    return bool((said, read) == (3, 4))


def three_boards_in_gigahash(said: Any, read: Any) -> bool:
    return bool(0.72 < said / read[0] / 1e3 < 0.78)


def a_date(said: Any, read: Any) -> bool:
    """The compile time, where the firmware has a release name as well."""
    return " CST " in said and read.startswith("FR-")


def half_of_them(said: Any, read: Any) -> bool:
    return bool(said == read[2:])


def warmer_by_the_chips(said: Any, read: Any) -> bool:
    """The chips' temperatures (14 degrees above the boards' at full load)."""
    return all(mine < its <= mine + 14 for its, mine in zip(said, read, strict=True))


def colder_by_the_chips(said: Any, read: Any) -> bool:
    return warmer_by_the_chips(read, said)


def colder(said: Any, read: Any) -> bool:
    return all(its < mine for its, mine in zip(said, read, strict=True))


# --- which models share an error -----------------------------------------------------------------

_S9 = ("s9", "s9-early", "s9i", "s9j")
_CLASSIC = (*_S9, "t9+", "l3+", "d3", "dr5", "z11", "e3")
_S17 = ("s17pro", "s17", "s17+", "t17", "t17+")
_CLASSIC_UNKNOWN = ("t9+", "z11", "e3", "s9k", "s15", "t15")
_PYASIC_UNKNOWN = (*_CLASSIC_UNKNOWN, "s19xphyd", "s21xphyd", "s23hyd", "l11", "e11", "z15")
_RS_UNKNOWN = (*_CLASSIC_UNKNOWN, "s19xphyd", "e11")
_MEGAHASH_BUT_L7 = ("l3+", "d3", "e3", "l9", "e9pro", "e11", "d9")
_MEGAHASH = (*_MEGAHASH_BUT_L7, "l7", "l7-2022")

KNOWN: Final = (
    Known("pyasic", "model", _PYASIC_UNKNOWN, nothing, "not in its table of models"),
    Known("pyasic", "boards", _PYASIC_UNKNOWN, nothing, "of a model it does not know it reads no boards"),
    Known("pyasic", "boards", ("l7", "l7-2022"), three_of_four, "an L7 has four boards; it counts up to three"),
    Known("pyasic", "fans", (*_CLASSIC_UNKNOWN, "l11", "e11", "z15"), nothing, "of a model it does not know it reads no fans"),
    Known("pyasic", "model", ("s9i",), exactly("S9"), "its S9i has the S9's name"),
    Known("pyasic", "model", ("ks5pro",), exactly("KS5"), "its KS5 Pro has the KS5's name"),
    Known("pyasic", "version", ("l3+", "d3", "dr5"), exactly("4.9.0"), "takes the process' version for the firmware's"),
    Known("pyasic", "version", _S17, nothing, "looks for the process' version under CGMiner; this firmware says BMMiner"),
    Known(
        "pyasic", "version", ("s21", "s21pro", "s21+", "t21", "s21hyd", "s21+hyd", "s21xphyd", "s23hyd"), a_date,
        "does not ask get_system_info.cgi, where the release name is",
    ),
    Known(
        "pyasic", "hashrate", ("l7", "l7-2022"), three_boards_in_gigahash,
        "adds up the three boards it counts, and takes MH/s for GH/s",
    ),
    Known("pyasic", "hashrate", _MEGAHASH_BUT_L7, times(1e3), "`GHS 5s` counts MH/s in Scrypt, X11 and Ethash models"),
    Known("pyasic", "hashrate", ("z11", "z15"), times(1e6), "`GHS 5s` counts kSol/s in Equihash models"),
    Known(
        "pyasic", "board_rates", ("l3+", "d3", "l9", "e9pro", "d9"), times(1e3),
        "takes MH/s for GH/s",
    ),
    Known(
        "pyasic", "ideal", ("l7", "l7-2022", "l9", "d9", "e9pro", "e11"), times(1e3),
        "does not know the unit MH/s, and takes a missing one for GH",
    ),
    Known("pyasic", "ideal", ("z15",), times(1e6), "takes kSol/s for GH/s"),
    Known("pyasic", "fans", (*_S9, "l3+", "d3", "dr5"), nothing, "counts on from one slot; the fans are in slots 3 and 6, or 1 and 2"),
    Known("pyasic", "fans", _S17, half_of_them, "begins two slots too late"),
    Known("pyasic", "temps_pcb", (*_S9, "l3+", "d3", "dr5", *_S17), warmer_by_the_chips, "`temp2_N` is the chips'"),
    Known("pyasic", "temps_chip", (*_S9, "l3+", "d3", "dr5", *_S17), colder_by_the_chips, "`tempN` is the board's"),
    Known("pyasic", "temps_pcb", ("s21+hyd",), colder, "mixes the controllers' sensors (`temp_pic`) in"),
    Known("pyasic", "temps_chip", ("s21+hyd",), colder, "takes the controllers' sensors (`temp_pic`) for the chips'"),
    Known("pyasic-rs", "boards", _RS_UNKNOWN, nothing, "of a model it does not know it reads no boards"),
    Known("pyasic-rs", "boards", ("l7", "l7-2022"), three_of_four, "an L7 has four boards; it counts up to three"),
    Known("pyasic-rs", "chips", (*_S9, "l3+", "d3", "dr5"), nothing, "does not repair `stats` without the comma between its objects"),
    Known("pyasic-rs", "fans", _CLASSIC, nothing, "does not repair `stats`; of unknown models it reads no fans"),
    Known("pyasic-rs", "hashrate", _MEGAHASH, times(1e3), "`GHS 5s` counts MH/s in Scrypt, X11 and Ethash models"),
    Known("pyasic-rs", "hashrate", ("z11", "z15"), times(1e6), "`GHS 5s` counts kSol/s in Equihash models"),
    Known("pyasic-rs", "ideal", ("z15",), times(1e6), "takes kSol/s for GH/s"),
    Known("pyasic-rs", "board_rates", ("z15",), times(1e6), "takes kSol/s for GH/s"),
    Known("pyasic-rs", "ideal", ("e9pro", "e11"), times(1e3), "takes a missing unit for GH; Ethash models count MH/s"),
)  # fmt: skip

KNOWN_DEEDS: Final = (
    *(
        KnownDeed("pyasic", deed, ("s9",), (), after, "sees an S9 through its API only, which changes nothing")
        for deed, after in (("light on", False), ("light off", True), ("pools", False), ("reboot", False))
    ),
    KnownDeed("pyasic", "pools", ("s17pro",), ("mode", "pools"), True, "leaves out the fields after the pools, so the mode is lost"),
    KnownDeed("pyasic", "sleep", ("s17pro",), (), False, "does not know that this generation sleeps (mode 254)"),
    KnownDeed("pyasic", "wake", ("s17pro",), (), True, "does not know that this generation sleeps (mode 254)"),
    KnownDeed("pyasic-rs", "light on", ("s9", "l3+", "s17pro"), (), False, "sends JSON to a script that reads forms"),
    KnownDeed("pyasic-rs", "light off", ("s9", "l3+", "s17pro"), (), True, "sends JSON to a script that reads forms"),
    KnownDeed("pyasic-rs", "pools", ("s9", "l3+"), ("pools",), False, "sends JSON to a script that reads forms: the pools are wiped"),
    KnownDeed("pyasic-rs", "pools", ("s17pro",), ("mode", "pools"), False, "as above; the mode goes too"),
    KnownDeed("pyasic-rs", "sleep", ("s17pro",), ("mode",), False, "as above; its pools were wiped before"),
    KnownDeed("pyasic-rs", "wake", ("s17pro",), ("mode",), True, "as above"),
    KnownDeed("pyasic-rs", "pools", ("s21", "l7"), ("pools",), False, "takes the scheme off the url for newer firmware"),
)  # fmt: skip

_ICE_UNKNOWN: Final = ("ks0pro", "ks7", "ae0", "ae1", "rx0")
_ICE_THREE_BOARDS: Final = ("ks1", "ks2", "ks3", "ks3l", "ks3m", "ks5l", "ks5m", "al3")
ICE_NUMBERS: Final = ("ks5l", "ks5m", "ks7")
"""Builds that write `connect` as 1.0 and -1.0, as the capture of a KS5L does."""

KNOWN_ICERIVER: Final = (
    Known("pyasic", "version", ("ks0", *_ICE_THREE_BOARDS, *_ICE_UNKNOWN), nothing, "does not read it"),
    Known("pyasic", "model", _ICE_UNKNOWN, nothing, "not in its table of models"),
    Known("pyasic", "boards", _ICE_UNKNOWN, nothing, "of a model it does not know it reads no boards"),
    Known("pyasic", "fans", _ICE_UNKNOWN, nothing, "of a model it does not know it reads no fans"),
    Known("pyasic", "boards", ("ks0",), three_of_one, "captures of a KS0 show one board; it counts three"),
    Known("pyasic", "pools", ICE_NUMBERS, nothing, "takes -1.0 for no truth value, and gives up on the whole reading"),
    Known("pyasic", "temps_chip", _ICE_THREE_BOARDS, the_outlets, "takes the sensor at the board's outlet for the chips'"),
)  # fmt: skip

RIGHT_DEEDS: Final = {
    "light on": ("light",),
    "light off": ("light",),
    "pools": ("pools",),
    "sleep": ("mode",),
    "wake": ("mode",),
    "reboot": ("reboot",),
}


def expected_errors(judge: str, key: str, known: tuple[Known, ...] = KNOWN) -> dict[str, Known]:
    """Figure -> the known error about that model."""
    return {each.figure: each for each in known if each.judge == judge and key in each.keys}


def expected_deed(judge: str, key: str, deed: str) -> tuple[tuple[str, ...], bool]:
    """The actions that order leads to, and whether the miner is as wished afterwards."""
    for each in KNOWN_DEEDS:
        if each.judge == judge and each.deed == deed and key in each.keys:
            return each.applied, each.after
    return RIGHT_DEEDS[deed], True
