"""The form that writes pools, fan and mode: always all of it, for older firmware stores every field, sent or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from contract.errors import UnsupportedError
from contract.miner import PowerMode
from drivers.base import StoredPool
from drivers.changes.pools import SLOTS
from drivers.iceriver.changes import state
from drivers.iceriver.protocol.forms import check_field, form_of
from drivers.iceriver.protocol.web import SET_POOLS

_WORDS: Final = {PowerMode.NORMAL: "normal", PowerMode.SLEEP: "sleep"}
_KEYS: Final = ("address", "miner", "pwd")
_NAMES: Final = ("url", "user", "password")

Texts = tuple[str, str, str]  # url, user, password


def form(texts: tuple[Texts, ...], ratio: int | None, mode: PowerMode | None) -> dict[str, str]:
    """All fields: three slots, the fan's ratio as a bare number, the mode.

    The flag for a fan at a fixed ratio is left out, since it cannot be read: firmware that takes it from here then puts
    its fans on automatic. Raises UnsupportedError when ratio or mode is not known, for older firmware composes a broken
    order without them, and BadParamsError for texts that the firmware would break on.
    """
    if ratio is None or mode not in _WORDS:
        raise UnsupportedError(
            "this firmware does not tell its fan and its mode, which have to be written along with its pools"
        )
    fields: dict[str, str] = {}
    for number, slot in enumerate(texts, 1):
        for name, key, text in zip(_NAMES, _KEYS, slot, strict=True):
            check_field(f"the {name} of pool {number}", text)
            fields[f"pool{number}{key}"] = text
    fields |= {"fanratio": str(ratio), "fanmode": _WORDS[mode]}
    form_of(SET_POOLS.post, fields)  # what cannot be sent is refused here, and not later
    return fields


def texts_in(fields: Mapping[str, str]) -> tuple[Texts, ...]:
    """The three slots of a form."""
    return tuple(
        (fields[f"pool{n}address"], fields[f"pool{n}miner"], fields[f"pool{n}pwd"])
        for n in range(1, SLOTS + 1)
    )


def texts_of(slots: Iterable[StoredPool]) -> tuple[Texts, ...]:
    """Stored slots as they are written again. The firmware cuts the blanks around each text."""
    return tuple((s.url.strip(), s.user.strip(), s.password.strip()) for s in slots)


def shown(found: state.IceriverSettings) -> dict[str, Any]:
    """Fan and mode, as evidence holds them."""
    return {"ratio": found.ratio, "mode": found.mode.value if found.mode else None}


def changed_beside(
    before: Mapping[str, Any], after: Mapping[str, Any], *keys: str
) -> dict[str, Any]:
    """What nobody asked to change and is another than before, as [was, is]."""
    return {key: [before[key], after[key]] for key in keys if before[key] != after[key]}
