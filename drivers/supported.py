"""The table of what is supported, as the drivers declare it: `python -m drivers.supported README.md` puts it there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from drivers.base import Capabilities, Strength
from drivers.registry import DRIVERS

BEGIN: Final = "<!-- supported: begin; made from the drivers by `make readme` -->"
END: Final = "<!-- supported: end -->"
_COLUMNS: Final = (
    "make",
    "models",
    "firmware generation",
    "light",
    "power modes",
    "power limit",
    "pools",
    "reboot",
    "firmware",
    "mining off / on",
    "log",
)
_NO: Final = "-"


def generations() -> tuple[Capabilities, ...]:
    """What every make declares, oldest generation first."""
    return tuple(each for entry in DRIVERS for each in entry.generations.values())


def table() -> str:
    """Markdown: a row for each generation of each make, and its remarks as numbered notes."""
    notes: list[str] = []
    rows = [_row(each, notes) for each in generations()]
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *map(_line, rows), ""]
    lines += [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(lines)


def refreshed(text: str) -> str:
    """`text` with the table between its marks. Raises ValueError when it has none."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the table: {BEGIN} ... {END}")
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


# --- private -------------------------------------------------------------------------------------


def _row(each: Capabilities, notes: list[str]) -> list[str]:
    numbers = []
    for remark in each.remarks:
        if remark not in notes:
            notes.append(remark)
        numbers.append(notes.index(remark) + 1)
    marks = f" <sup>{', '.join(map(str, numbers))}</sup>" if numbers else ""
    switches = {"suspend", "resume"} <= set(each.changes)
    return [
        each.make,
        ", ".join(each.models),
        f"{each.generation}{marks}",
        _change(each, "light"),
        ", ".join(each.modes) if "mode" in each.changes and each.modes else _NO,
        "watts, percent" if "power_limit" in each.changes else _NO,
        *(_change(each, name) for name in ("pools", "reboot", "firmware")),
        "yes" if switches else _NO,
        "yes" if each.log else _NO,
    ]


def _change(each: Capabilities, name: str) -> str:
    if name not in each.changes:
        return _NO
    proofs = [proof for proof in each.proofs if proof.change == name]
    can_prove = any(proof.strength is not Strength.NONE for proof in proofs)
    return "yes" if can_prove else "yes, unverified"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(refreshed(readme.read_text("utf-8")), "utf-8")
