"""`docs/borders.md`, made of the lists of points and guards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.borders.guards import GUARDS
from tests.borders.points import POINTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "borders.md"
_HEAD = """\
# What is refused, bounded and disbelieved

What is not understood is refused with the nearest known name, never dropped in silence, and what a device says is checked
against itself before it is believed. This page is made by `python -m tests.borders` from the lists in `tests/borders/`; a test
keeps it so, and that every test named here exists.
"""
_GUARDS = f"""\
## Guards

Without any one of these {len(GUARDS)} places in the code, the test beside it has to fail. `python -m tests.borders --guards`
switches each of them off in a copy of the tree and tells whether it does. Guards of one make's quirks are rows of tables in
`tests/drivers` (`test_without_its_guard_the_quirk_is_seen`): every run of the tests switches each of them off.
"""


def page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for heading, points in POINTS.items():
        yield f"## {heading}\n"
        yield from _table("point", "what happens now", "tested by")
        for point in points:
            yield _row(point.name, point.now, "<br>".join(map(_link, point.tests)))
        yield ""
    yield _GUARDS
    yield from _table("guard", "in", "fails without it")
    for guard in GUARDS:
        yield _row(guard.name, f"`{guard.file}`", _link(guard.test))
    yield ""


def _table(*columns: str) -> Iterator[str]:
    yield _row(*columns)
    yield _row(*("---" for _ in columns))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _link(node: str) -> str:
    file, _, test = node.partition("::")
    return f"[{test.removeprefix('test_')}](../{file})"
