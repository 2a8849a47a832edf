"""Words that a cloud may give an agent, by their form."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.link import BeginId, Origin, TaskId, Token
from contract.subscription.link import Digest


@pytest.mark.parametrize(
    ("kind", "word"),
    [(TaskId, "task-1"), (Token, "abc"), (Origin, "cloud"), (BeginId, "b_1"), (Digest, "1" * 32)],
)
def test_a_word_ends_where_its_last_character_is(kind: Any, word: str) -> None:
    """Not before a line feed, which would be in names of folders, in headers and in logs."""
    assert msgspec.convert(word, kind) == word
    for other in (f"{word}\n", f"{word}\n\n", f"\n{word}", f"{word}\x00", f"{word} "):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(other, kind)
