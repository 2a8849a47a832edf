from __future__ import annotations

import tracemalloc
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from agent.scan.order import Marks, SweepOrder
from agent.scan.pace import Patience, on_link, routed, unhurried
from agent.scan.swept import Manner
from contract.ranges import Range, merge, parse_range


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 700)), max_size=8),
    st.lists(st.integers(0, 4000), max_size=20),
)
def test_every_address_comes_once_and_known_ones_first(spans, known) -> None:
    ranges = merge(Range(first, first + more) for first, more in spans)
    wanted = {number for span in ranges for number in range(span.first, span.last + 1)}
    order = list(SweepOrder(ranges, known))
    assert len(order) == len(wanted)
    assert set(order) == wanted
    first = {each for each in known if each in wanted}
    assert set(order[: len(first)]) == first


def test_subnets_take_turns() -> None:
    order = SweepOrder([parse_range("10.0.0.0/22"), parse_range("10.9.0.1-10.9.0.2")])
    nets = [number >> 8 for number in islice(order, 10)]
    assert nets[:5] == [0x0A0000, 0x0A0001, 0x0A0002, 0x0A0003, 0x0A0900]
    assert nets[5:] == nets[:5]


def test_many_addresses_are_never_listed() -> None:
    span = parse_range("10.0.0.0/14")
    tracemalloc.start()
    order = SweepOrder([span])
    marks = Marks(len(span))
    for place in range(0, len(span), 3):
        marks.add(place)
    assert sum(1 for _ in marks.of(order)) == marks.number
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * len(span)  # bytes, most of them for its 1,024 subnets


def test_what_is_marked_is_found_again_in_the_same_order() -> None:
    order = SweepOrder([parse_range("10.0.0.0-10.0.3.7")], known=[0x0A000205])
    listed = list(order)
    marks = Marks(len(listed))
    chosen = [0, 7, 8, 500, len(listed) - 1]
    for place in chosen:
        marks.add(place)
    assert list(marks.of(order)) == [listed[place] for place in chosen]


def test_a_pace_lets_so_many_go_in_a_second_and_a_burst_at_first() -> None:
    def asked(pace, seconds: float) -> int:
        number = 0
        for step in range(int(seconds * 100)):
            left = pace.left(step / 100)
            pace.spend(left)
            number += left
        return number

    assert asked(routed(Manner.DEFAULT, 1000, 0.0), 10) in range(4096 + 9900, 4096 + 10_001)
    assert asked(on_link(Manner.DEFAULT, 1000, 0.0), 10) in range(256 + 9900, 256 + 10_001)
    assert asked(routed(Manner.LOW, 1000, 0.0), 10) in range(2480, 2530)
    assert asked(routed(Manner.LOW, 100, 0.0), 10) in range(990, 1012)
    assert asked(unhurried(1000, 0.0), 10) in range(9900, 10_100)
    assert routed(Manner.FAST, 1, 0.0).left(0.0) >= 1_000_000


def test_patience_grows_with_slow_answers_and_never_falls() -> None:
    patience = Patience(1.2)
    for _ in range(100):
        patience.note(0.001)
    assert patience.timeout_s == 1.2
    patience.note(1.05)  # one SYN was lost on the way
    assert patience.timeout_s < 1.5
    for _ in range(100):
        patience.note(0.8)
    slow_s = patience.timeout_s
    assert 2.5 < slow_s < 2.7
    for _ in range(100):
        patience.note(0.001)
    assert patience.timeout_s == slow_s
    for _ in range(1000):
        patience.note(60.0)
    assert patience.timeout_s == 5.0
