"""What the names of an IceRiver and of its software tell beforehand: model, coin family, whose firmware it is.

The model stands in the name of the miner's package (`5977449_ks3m_miner` is a KS3M), for the field meant for it says
`none` on stock firmware.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from contract.miner import Algorithm, Firmware

STOCK: Final = "stock"
PBFARMER: Final = "pbfarmer"  # port 4111 alone is as the maker's; only read
GENERATIONS: Final = (STOCK, PBFARMER)
WRITABLE: Final = (STOCK,)
MAKER: Final = "IceRiver"


class IceriverSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model. `None`: not stated by anyone."""

    name: str
    algorithm: Algorithm
    boards: int | None = None
    chips_per_board: int | None = None
    fans: int | None = None

    @property
    def chips(self) -> int | None:
        """Of the whole miner."""
        if self.boards is None or self.chips_per_board is None:
            return None
        return self.boards * self.chips_per_board


def model_name(told: str | None, package: str | None) -> str | None:
    """The model, upper case: what the firmware tells, else what its package is named after.

    A package named after nothing we know gives `IceRiver <its word>`, one named after no model at all `None`.
    """
    if told and told.lower() != "none":
        return _plain(told)
    word = _word(package)
    if word is None:
        return None
    name = _NUMBERS.get(word, _plain(word))
    if _FAMILY.match(name):
        return name
    return None if _is_custom(word) else f"{MAKER} {word}"


def model_of(name: str | None) -> IceriverSpec | None:
    """What is known of a name; `None` for one outside the families we know."""
    match = _FAMILY.match(name or "")
    if name is None or match is None:
        return None
    return _MODELS.get(name.replace(" ", "")) or IceriverSpec(
        name=name, algorithm=_FAMILIES[match[1]]
    )


def firmware_of(package: str | None) -> Firmware:
    """Whose firmware it is, by the name of the miner's package. OTHER for a name that is not built as the maker's."""
    name = (package or "").lower()
    if _PBFARMER.match(name):
        return Firmware.PBFARMER
    if any(mark in name for mark in _FOREIGN) or not _STOCK.fullmatch(name):
        return Firmware.OTHER
    return Firmware.STOCK


def plain_name(model: str) -> str:
    """How two spellings of one model are compared: `KS0 Pro`, `ks0_pro` and `KS0PRO` are the same."""
    return model.replace("_", "").replace(" ", "").replace("-", "").upper()


# --- private -------------------------------------------------------------------------------------

_FAMILIES: Final = {
    "KS": Algorithm.KHEAVYHASH,
    "AL": Algorithm.BLAKE3,
    "RX": Algorithm.SHA512_256D,
    "AE": Algorithm.ZKSNARK,
}
_FAMILY: Final = re.compile(r"(KS|AL|AE|RX)\d{1,2}(?![0-9])")
_NUMBERS: Final = {"10306": "AL3", "11304": "KS7"}
_STOCK: Final = re.compile(r"[a-z0-9]{1,40}(?:_[a-z0-9]{1,40}){0,8}_?miner")
_PBFARMER: Final = re.compile(r"pbv\d")
_FOREIGN: Final = ("tswift", "xyys", "incidr", "pbfarmer")
_LONGEST: Final = 80


def _known(
    name: str, boards: int | None, chips: int | None, fans: int | None
) -> tuple[str, IceriverSpec]:
    return name, IceriverSpec(
        name=name,
        algorithm=_FAMILIES[name[:2]],
        boards=boards,
        chips_per_board=chips,
        fans=fans,
    )


_MODELS: Final = dict(
    (
        _known("KS0", 1, 18, None),  # with no fan, or up to two
        _known("KS0PRO", 1, 18, None),
        _known("KS1", 3, None, 4),
        _known("KS2", 3, 18, 4),
        _known("KS3", 3, None, 4),
        _known("KS3L", 3, None, 4),
        _known("KS3M", 3, 18, 4),
        _known("KS5L", 3, 18, 4),
        _known("KS5M", 3, 18, 4),
        _known("AL3", 3, 156, 4),
    )
)


def _plain(word: str) -> str:
    return " ".join(word[:_LONGEST].split()).upper()


def _word(package: str | None) -> str | None:
    """The part of a package's name that stands for the model."""
    parts = [part for part in (package or "")[:_LONGEST].split("_") if part]
    if len(parts) > 1 and parts[-1].lower() == "miner":
        return parts[-2]
    if not parts:
        return None
    last = parts[-1]
    word = last[: -len("miner")] if last.lower().endswith("miner") else last
    return word or None


def _is_custom(word: str) -> bool:
    """Whether it is somebody's own build, named after himself."""
    return any(mark in word.lower() for mark in _FOREIGN)
