"""What is known of each AntMiner model beforehand: generation, algorithm, unit of its rates, boards, chips, fans.

Only what is known is here. A model that is missing is still read, by its own figures; it is driven only when its web
side shows a generation we know.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from contract.miner import Algorithm

OLD: Final = "OLD"  # 2016-2020: classic API, form bodies
NEW_BM: Final = "NEW-BM"  # 2020 on, SHA-256: array API, JSON bodies
NEW_GOD: Final = "NEW-GOD"  # 2021 on, other algorithms: array API, JSON bodies with `algo`
GENERATIONS: Final = (OLD, NEW_BM, NEW_GOD)

KILO: Final = 1e3
MEGA: Final = 1e6
GIGA: Final = 1e9
TERA: Final = 1e12


class AntminerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `unit_hs` is what one "GHS" of its replies really is, where they name no unit."""

    name: str
    generation: str | None = None
    algorithm: Algorithm | None = None
    unit_hs: float = GIGA
    board_unit_hs: float | None = None  # of `chain_rateN`, where it differs
    boards: int | None = None
    chips: int | None = None  # per board
    fans: int | None = None  # 0: cooled by liquid
    has_power_meter: bool = False  # port 6060 tells the watts

    @property
    def chips_expected(self) -> int | None:
        """On all boards together."""
        return self.boards * self.chips if self.boards and self.chips else None


def clean_model(text: str | None) -> str | None:
    """The model out of a `Type`: `Antminer L3+ (024)` -> `L3+`; `None` for a mere platform name (`BHB42XXX`)."""
    if not text:
        return None
    name = text[:200].replace("\r", "\n").split("\n", 1)[0].split(" (", 1)[0].strip()
    name = _FOREIGN.sub("", name)
    name = _MAKER.sub("", name).strip()
    if not name or _PLATFORM.fullmatch(name):
        return None
    return name[:40]


def spec_for(model: str | None) -> AntminerSpec | None:
    """What is known of a model as named by `clean_model`."""
    if model is None:
        return None
    found = _BY_KEY.get(_key(model))
    if found is not None:
        return found
    for pattern, algorithm, unit_hs, generation in _FAMILIES:
        if pattern.match(_key(model)):
            return AntminerSpec(
                name=model, generation=generation, algorithm=algorithm, unit_hs=unit_hs
            )
    return None


# --- private -------------------------------------------------------------------------------------


_MAKER: Final = re.compile(r"^(bitmain\s+)?antminer[\s_]*", re.IGNORECASE)
_FOREIGN: Final = re.compile(r"\s+(hiveon|vnish|blissz|asicseer|msk).*$", re.IGNORECASE)
_PLATFORM: Final = re.compile(r"[BH]HB\d{2}[0-9X]{3}.*", re.IGNORECASE)


def _key(model: str) -> str:
    """Spellings of one name differ in blanks, dots, case, and in Hyd against Hydro."""
    key = re.sub(r"[\s._-]+", "", model).lower()
    return key.replace("hydro", "hyd").replace("plus", "+")


def _rows(
    generation: str | None,
    algorithm: Algorithm,
    unit_hs: float,
    *rows: tuple[str, int | None, int | None, int | None],
    metered: tuple[str, ...] = (),
    board_unit_hs: float | None = None,
) -> list[AntminerSpec]:
    return [
        AntminerSpec(
            name=name,
            generation=generation,
            algorithm=algorithm,
            unit_hs=unit_hs,
            board_unit_hs=board_unit_hs,
            boards=boards,
            chips=chips,
            fans=fans,
            has_power_meter=name in metered,
        )
        for name, boards, chips, fans in rows
    ]


_A: Final = Algorithm
# name, boards, chips per board, fans
_MODELS: Final = (
    *_rows(
        OLD,
        _A.SHA256,
        GIGA,
        ("S9", 3, 63, 2),
        ("S9i", 3, 63, 2),
        ("S9j", 3, 63, 2),
        ("S9k", 3, 60, 2),
        ("S9 SE", 3, 60, 2),
        ("T9", 3, 54, 2),
        ("T9+", 3, 54, 2),
        ("S15", None, None, 4),
        ("T15", None, None, 2),
        ("S17", 3, 48, 4),
        ("S17 Pro", 3, 48, 4),
        ("S17+", 3, 65, 4),
        ("S17e", 3, 135, 4),
        ("T17", 3, 30, 4),
        ("T17+", 3, 44, 4),
        ("T17e", 3, 78, 4),
    ),
    *_rows(OLD, _A.SCRYPT, MEGA, ("L3", None, 72, 2), ("L3+", 4, 72, 2), ("L3++", 4, 72, 2)),
    *_rows(OLD, _A.X11, MEGA, ("D3", 3, 60, 2)),
    *_rows(OLD, _A.ETHASH, MEGA, ("E3", 9, 2, 2)),
    *_rows(OLD, _A.EQUIHASH, KILO, ("Z9", None, None, 2), ("Z11", 3, 3, 2)),
    *_rows(OLD, _A.OTHER, GIGA, ("DR5", 3, 72, 2)),
    # Of the newer hardware, without the script that tells how it is written to.
    *_rows(None, _A.EQUIHASH, KILO, ("Z15", 3, 3, 2), ("Z15 Pro", 3, 6, 2)),
    *_rows(
        NEW_BM,
        _A.SHA256,
        GIGA,
        ("S19", 3, 76, 4),
        ("S19 Pro", 3, 114, 4),
        ("S19i", 3, 80, 4),
        ("S19+", 3, 80, 4),
        ("S19 Pro+", 3, 120, 4),
        ("S19 XP", 3, 110, 4),
        ("S19a", 3, 72, 4),
        ("S19a Pro", 3, 100, 4),
        ("S19j", 3, 114, 4),
        ("S19j+", 3, 108, 4),
        ("S19j Pro", 3, 126, 4),
        ("S19j Pro+", 3, 120, 4),
        ("S19j XP", 3, 110, 4),
        ("S19k Pro", 3, 77, 4),
        ("S19L", 3, 76, 4),
        ("S19 Hyd.", 4, 104, 0),
        ("S19 Pro Hyd.", 4, 180, 0),
        ("S19 Pro+ Hyd.", 4, 180, 0),
        ("S19 XP Hyd.", 3, 204, 0),
        ("T19", 3, 76, 4),
        ("T19 Hyd.", None, None, 0),
        ("S21", 3, 108, 4),
        ("S21+", 3, 55, 4),
        ("S21++", 3, 55, 4),
        ("S21 Pro", 3, 65, 4),
        ("S21 Pro+", 3, 65, 4),
        ("S21 XP", 3, 91, 4),
        ("S21 Hyd.", 3, 216, 0),
        ("S21+ Hyd.", 3, 95, 0),
        ("S21 XP Hyd.", 3, 160, 0),
        ("S21j XP Hyd.", 3, 42, 0),
        ("S21e Hyd.", None, None, 0),
        ("S21e XP Hyd.", None, None, 0),
        ("S23 Hyd.", 3, 84, 0),
        ("T21", 3, 108, 4),
        metered=("S19 XP Hyd.", "S21", "S21 Pro"),
    ),
    *_rows(NEW_GOD, _A.SCRYPT, MEGA, ("L7", 4, 120, 4)),
    # Their images of 2026 count GH/s and do not say so, except in the figures that have a unit beside them.
    *_rows(NEW_GOD, _A.SCRYPT, GIGA, ("L9", 3, 110, 4), ("L11", 3, 88, 4)),
    *_rows(NEW_GOD, _A.X11, MEGA, ("D7", 3, 70, 4), ("D9", 3, 126, 4)),
    *_rows(
        NEW_GOD, _A.KHEAVYHASH, GIGA, ("KS3", 3, 92, None), ("KS5", 3, 92, 4), ("KS5 Pro", 3, 92, 4)
    ),
    *_rows(NEW_GOD, _A.BLAKE2S, GIGA, ("KA3", 3, 92, 4)),
    *_rows(NEW_GOD, _A.OTHER, GIGA, ("HS3", 3, 92, 4), ("K7", None, 92, 2)),
    # Their boards speak in GH/s while the whole speaks in MH/s under the same label.
    *_rows(
        NEW_GOD,
        _A.ETHASH,
        MEGA,
        ("E9", None, None, 4),
        ("E9 Pro", 2, 8, 4),
        ("E11", None, None, 4),
        board_unit_hs=GIGA,
    ),
)
_BY_KEY: Final = {_key(model.name): model for model in _MODELS}

# Variants of a family not listed one by one: the name says the algorithm and the generation, no more.
_FAMILIES: Final = tuple(
    (re.compile(pattern), algorithm, unit_hs, generation)
    for pattern, algorithm, unit_hs, generation in (
        (r"(s9|t9|s15|t15|s17|t17)", _A.SHA256, GIGA, OLD),
        (r"(s19|t19|s21|t21|s23)", _A.SHA256, GIGA, NEW_BM),
        (r"(l3)", _A.SCRYPT, MEGA, OLD),
        (r"l7", _A.SCRYPT, MEGA, NEW_GOD),
        (r"(l9|l11)", _A.SCRYPT, GIGA, NEW_GOD),
        (r"(z9|z11)", _A.EQUIHASH, KILO, OLD),
        (r"(e9|e11)", _A.ETHASH, MEGA, NEW_GOD),
        (r"(ks3|ks5|ks7)", _A.KHEAVYHASH, GIGA, NEW_GOD),
        (r"(d7|d9)", _A.X11, MEGA, NEW_GOD),
        # Known by algorithm only; the web side has to tell the generation.
        (r"z15", _A.EQUIHASH, KILO, None),
        (r"dr\d", _A.OTHER, GIGA, None),
        (r"(s\d|t\d)", _A.SHA256, GIGA, None),
        (r"l\d", _A.SCRYPT, MEGA, None),
        (r"ks\d", _A.KHEAVYHASH, GIGA, None),
    )
)
