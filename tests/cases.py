"""Cases of one test that share a stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SHOWN: Final = 300  # characters


@contextmanager
def case(*values: object) -> Iterator[None]:
    """What fails inside is said to be of this case. For cases that leave nothing behind which another could see: a stage
    for each would cost more than what they try.
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"in the case {', '.join(map(repr, values))[:_SHOWN]}")
        raise
