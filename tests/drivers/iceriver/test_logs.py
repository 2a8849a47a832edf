"""The log: of the daemon, or out of the page of the web side; streamed to disk, capped, with its checksum."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import (
    BusyError,
    MalformedError,
    MinerError,
    RefusedError,
    UnsupportedError,
)
from drivers.iceriver.changes.logs import LogPage
from tests.drivers.iceriver.stage import stage

CAP = 8_000_000


class Kept:
    """A file in memory, as far as a page needs one."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        """Nothing to do."""


def paged(*pieces: bytes, cap: int = CAP, truncated: bool = False) -> tuple[bytes, bool]:
    """What a page leaves on disk, and whether it was cut."""
    kept: Any = Kept()
    page = LogPage(kept, cap)
    for piece in pieces:
        page.write(piece)
    is_cut = page.finish(truncated=truncated)
    return kept.data, is_cut


async def test_a_log_the_daemon_cuts_short_is_taken_of_the_web_side(tmp_path: Path) -> None:
    async with stage("ks5l", log_s=1.0) as on:
        on.faults.add("daemon_hangs", times=1)
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not log.truncated
        assert [each.name for each in tmp_path.iterdir()] == [log.name]


@pytest.mark.parametrize("faults", [(), ("refuses_4111",)], ids=["daemon", "web"])
async def test_an_empty_log_leaves_no_file(faults: tuple[str, ...], tmp_path: Path) -> None:
    async with stage("ks5l", *faults, "log_empty") as on:
        with pytest.raises(MalformedError, match="empty"):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["login_page", "no_error_key"])
async def test_a_page_that_is_no_log_leaves_no_file(fault: str, tmp_path: Path) -> None:
    async with stage("ks5l", "refuses_4111", late=True) as on:
        on.faults.add(fault, match=["logconfig"])
        if fault == "no_error_key":
            log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
            assert log.size_bytes > 1000  # the text is there all the same
            return
        with pytest.raises(MalformedError):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert list(tmp_path.iterdir()) == []


async def test_a_second_page_so_soon_is_refused_for_the_web_servers_sake(tmp_path: Path) -> None:
    async with stage("ks5l", "refuses_4111") as on:
        await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        on.miner.tapped = True
        with pytest.raises(BusyError, match="try later"):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not any(b"logconfig" in entry.data for entry in on.miner.wire_log)
        await on.miner.clock.sleep(610)
        await on.driver.get_log(tmp_path, size_cap_bytes=CAP)


def test_the_marks_of_the_page_are_taken_back() -> None:
    page = (
        b'{"error":0,"data":{"text":"a&nbsp;&nbsp;b&lt;c&gt;<br/>d&nbsp;e \\"q\\" \\\\ \\/ \\u00e9 \\n'
        b'"raw" quote, } and "},"},"message":"42"}'
    )
    data, is_cut = paged(page)
    assert data.decode() == 'a\tb<c>\nd e "q" \\ / \u00e9 \n"raw" quote, } and "},'
    assert not is_cut


@given(st.lists(st.integers(0, 500), max_size=8))
def test_where_the_network_cuts_the_page_does_not_matter(cuts: list[int]) -> None:
    text = "&nbsp;&nbsp;x&lt;<br/>\\u00e9\\\\n " * 12
    page = f'{{"error":0,"data":{{"text":"{text}"}},"message":"9"}}'.encode()
    edges = sorted({0, len(page), *(min(cut, len(page)) for cut in cuts)})
    pieces = [page[begin:end] for begin, end in itertools.pairwise(edges)]
    assert paged(*pieces) == ("\tx<\n\u00e9\\n ".encode() * 12, False)


def test_a_page_without_an_end_is_malformed_and_one_that_we_cut_is_not() -> None:
    page = b'{"error":0,"data":{"text":"' + b"x" * 1000
    with pytest.raises(MalformedError, match="was cut"):
        paged(page)
    assert paged(page, truncated=True)[1]


def test_a_refusal_instead_of_a_page_is_named() -> None:
    with pytest.raises(RefusedError):
        paged(b'{"error":1005,"data":{},"message":"failed"}')
    with pytest.raises(UnsupportedError):
        paged(b'{"data":"logConfig"}')
    with pytest.raises(MalformedError):
        paged(b'{"error":0,"data":{},"message":""}')
    with pytest.raises(MalformedError):
        paged(b"<html>" + b"x" * 10_000)


@given(st.binary(max_size=6000))
def test_any_bytes_give_a_log_or_a_named_error(data: bytes) -> None:
    for head in (b"", b'{"error":0,"data":{"text":"'):
        with contextlib.suppress(MinerError):
            paged(head + data)
