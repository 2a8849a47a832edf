"""The lists of points and guards name what is there, and docs/borders.md is made of them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache

from tests.borders.guards import GUARDS
from tests.borders.page import PAGE, ROOT, page
from tests.borders.points import POINTS

Node = tuple[str, ...]


def defined(body: list[ast.stmt], inside: Node = ()) -> Iterator[Node]:
    """The way to each function, through the classes it stands in."""
    for each in body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (*inside, each.name)
        elif isinstance(each, ast.ClassDef):
            yield from defined(each.body, (*inside, each.name))


@cache
def functions(file: str) -> frozenset[Node]:
    path = ROOT / file
    return frozenset(defined(ast.parse(path.read_text("utf-8")).body) if path.is_file() else ())


def exists(node: str) -> bool:
    """Whether there is such a test; its row, if one is named, is a function of the same file (a quirk)."""
    test, _, row = node.partition("[")
    file, *way = test.split("::")
    known = functions(file)
    return tuple(way) in known and (not row or (row.removesuffix("]"),) in known)


def test_every_test_that_is_named_exists() -> None:
    named = [node for points in POINTS.values() for point in points for node in point.tests]
    assert [node for node in (*named, *(each.test for each in GUARDS)) if not exists(node)] == []


def test_every_guard_stands_once_where_it_is_said_to_be() -> None:
    count = {each: (ROOT / each.file).read_text("utf-8").count(each.code) for each in GUARDS}
    assert {each.name: number for each, number in count.items() if number != 1} == {}
    assert [each.name for each in GUARDS if each.off == each.code] == []


def test_every_point_has_a_test_and_nothing_has_the_same_name_twice() -> None:
    points = [point for each in POINTS.values() for point in each]
    assert [point.name for point in points if not point.tests] == []
    names = Counter(each.name for each in (*points, *GUARDS))
    assert [name for name, number in names.items() if number > 1] == []


def test_the_page_is_what_the_lists_make() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.borders"
