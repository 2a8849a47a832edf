"""What the tests of every judge check."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from tests.judges.court import heard, namespace, run
from tests.judges.deeds import KEYS, Deed
from tests.judges.hearing import Heard
from tests.judges.known_errors import (
    KNOWN,
    KNOWN_DEEDS,
    Known,
    expected_deed,
    expected_errors,
)
from tests.judges.verdict import disagreements


@cache
def figures(judge: str) -> dict[str, Heard]:
    """What the judge and our driver say of every simulated model."""
    return msgspec.json.decode(heard("hearing", judge), type=dict[str, Heard])


@cache
def deeds(judge: str) -> dict[str, dict[str, Deed]]:
    """What came of the judge's orders."""
    return msgspec.json.decode(heard("deeds", judge), type=dict[str, dict[str, Deed]])


def check_figures(judge: str, key: str) -> None:
    """They agree on all figures but those with a known error, and those are wrong in the known way."""
    _compare(judge, key, figures(judge)[key])


def check_deeds(judge: str, key: str) -> None:
    """Each order did what it should, or what it is known to do instead."""
    for name, deed in deeds(judge)[key].items():
        assert (tuple(deed.applied), deed.after) == expected_deed(judge, key, name), (name, deed)


def check_tables_name_what_exists(judge: str) -> None:
    """No known error is about a model or a figure that nobody looks at."""
    for known in KNOWN:
        assert known.judge != judge or set(known.keys) <= set(figures(judge)), known
    for deed in KNOWN_DEEDS:
        assert set(deed.keys) <= set(KEYS), deed


def check_in_a_namespace(judge: str, key: str) -> None:
    """The same comes out where an ordinary user would run it."""
    said = run("hearing", judge, key, inside=namespace())
    _compare(judge, key, msgspec.json.decode(said, type=dict[str, Heard])[key])


def _compare(judge: str, key: str, found: Heard) -> None:
    compare(judge, key, found, expected_errors(judge, key))


def compare(judge: str, key: str, found: Heard, known: dict[str, Known]) -> None:
    """They disagree about the figures in `known`, each in its known way, and about no others."""
    differ: dict[str, tuple[Any, Any]] = disagreements(found)
    unknown = {figure: each for figure, each in differ.items() if figure not in known}
    assert not unknown, f"{judge} and our driver differ about {key}: {unknown}"
    for figure, error in known.items():
        assert figure in differ, f"{judge} is right about the {figure} of {key} now: {error.why}"
        assert error.says(*differ[figure]), (error, differ[figure])
