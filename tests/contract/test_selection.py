"""Which miners are meant, as a person writes it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.nonce.miners import MinerFilters
from contract.selection import parse_selection

TEXTS = ("name", "make", "model", "firmware", "hall", "row", "rack", "agent", "serial", "mac")
WORDS = ("status", "health", "mode", "anomalies", "ops_status", "asset_status")
NUMBERS = ("power", "hashrate", "temperature", "position", "uptime", "efficiency", "power_limit")
SIGNS = {"=": "eq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}

value = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters='"*?'), min_size=1, max_size=12
)
quoted = value.map(lambda text: (f'"{text}"', text))


@st.composite
def equal(draw: Any) -> tuple[str, str, dict[str, Any]]:
    key, sign = draw(st.sampled_from(TEXTS + WORDS)), draw(st.sampled_from(["=", "!="]))
    values = draw(st.lists(quoted, min_size=1, max_size=4))
    one, many = ("eq", "in") if sign == "=" else ("ne", "nin")
    told = [text for _, text in values]
    condition = {one: told[0]} if len(told) == 1 else {many: told}
    return key, f"{key} {sign} {'|'.join(shown for shown, _ in values)}", condition


@st.composite
def wild(draw: Any) -> tuple[str, str, dict[str, Any]]:
    key, sign = draw(st.sampled_from(TEXTS)), draw(st.sampled_from(["=", "!="]))
    shown, text = draw(quoted)
    name = "like" if sign == "=" else "unlike"
    return key, f'{key}{sign}{shown[:-1]}*"', {name: [f"{text}*"]}


@st.composite
def compared(draw: Any) -> tuple[str, str, dict[str, Any]]:
    key, sign = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(sorted(SIGNS)))
    number = draw(st.floats(-1e15, 1e15))
    return key, f"{key}{sign}{number!r}", {SIGNS[sign]: number}


@given(st.lists(equal() | wild() | compared(), min_size=1, max_size=5, unique_by=lambda of: of[0]))
def test_what_is_written_is_the_body_of_a_search(
    parts: list[tuple[str, str, dict[str, Any]]],
) -> None:
    body = parse_selection(", ".join(text for _, text, _ in parts))
    assert body == {key: condition for key, _, condition in parts}
    MinerFilters.model_validate(body)


@given(st.text(max_size=40) | st.text('model=S21,power>|*?"! rack<3kT%', max_size=40))
def test_any_text_is_a_body_that_is_taken_or_is_refused_in_words(text: str) -> None:
    body = None
    with suppress(ValueError):
        body = parse_selection(text)
    if body is not None:
        MinerFilters.model_validate(body)


def test_the_example_of_the_guide_is_understood() -> None:
    text = (
        "model=S21*,rack=A1|A2,power>3k,power<=3500,temperature>=80,tags=hot,status!=offline,"
        "ip=10.0.1.0/24,hashrate<90T,hashrate_realization<80%,unstable=false,saved=hall-b"
    )
    assert parse_selection(text) == {
        "model": {"like": ["S21*"]},
        "rack": {"in": ["A1", "A2"]},
        "power": {"gt": 3000.0, "lte": 3500.0},
        "temperature": {"gte": 80.0},
        "tags": {"any": ["hot"]},
        "status": {"ne": "offline"},
        "ip_ranges": ["10.0.1.0/24"],
        "hashrate": {"lt": 90e12},
        "hashrate_realization": {"lt": 0.8},
        "unstable": False,
        "saved": "hall-b",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty; write for example model=S21*,status=online"),
        (" , ,", "it is empty"),
        ("S21", "'S21' is no filter; write it as model=S21*"),
        ("model=", "'model=' is no filter"),
        ("model=|A", "model has an empty value; write it as model=A|B"),
        ("modell=S21", "modell: unknown filter; did you mean model?"),
        ("temp>80", "temp: unknown filter; did you mean temperature?"),
        ("te>80", "te: unknown filter; known here: agent, "),
        ("a\x1b[2J=1", r"a\x1b[2J: unknown filter"),
        ("model=*", "model=* would match everything; name some of the text"),
        ("rack=A1|?", "rack=? would match everything"),
        ("rack=A1,rack=A2", "rack is given twice; several values are written as rack=A|B"),
        ("status=on*", "status is one of a few words, and takes no * or ?"),
        ("power=high", "power takes a number such as power>3000, 3.2k, 90T or 80%"),
        ("power>1|2", "power takes one value"),
        ("power!=3", "power takes = > >= < <=, and not !="),
        ("rack>A", "rack takes = !=, and not >"),
        ("unstable=maybe", "unstable takes true or false"),
        ('name="A', "'name=\"A' has a quotation mark that is not closed"),
        ("x" * 5000, "it has 5000 characters, and may have 4096"),
    ],
)  # fmt: skip
def test_what_is_no_selection_is_refused_with_what_would_work(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        parse_selection(text)
