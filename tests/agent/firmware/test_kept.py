"""Firmware files that outlive their tasks: shared by sha256, read before each use, and in nobody's way."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from agent.firmware.cache import FirmwareFiles
from contract.errors import BadFirmwareError, UnreachableError
from tests.agent.policies import policy_with

MIB = 2**20


def image(number: int) -> tuple[bytes, str]:
    """One of 400 kB, and its sha256."""
    data = bytes([number]) * 400_000
    return data, hashlib.sha256(data).hexdigest()


class Server:
    """A `Downloader` of files by the end of their address; `bad` ones are not there."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        self.asked.append(url)
        self.is_asked.set()
        await self.go_on.wait()
        if "bad" in url:
            raise BadFirmwareError("it is not given by its server")
        if "away" in url:
            raise UnreachableError("it could not be downloaded")
        data, digest = image(int(url.rpartition("/")[2]))
        assert len(data) <= cap_bytes and sha256 in (None, digest)
        path = folder / "fw.bmu"
        path.write_bytes(data)
        return path


async def opened(folder: Path, **limits: Any) -> tuple[FirmwareFiles, Server]:
    """As a process begins, in the state folder of the one before."""
    server, policy = Server(), policy_with(disk_reserve_mb=0, **limits)
    (folder / "work").mkdir(exist_ok=True)
    files = FirmwareFiles(server, lambda: policy, folder / "work", folder / "firmware")
    await files.load()
    return files, server


async def used(files: FirmwareFiles, number: int, url: str = "http://a/") -> bytes:
    data, sha256 = image(number)
    async with files.file(f"{url}{number}", sha256) as path:
        assert path.read_bytes() == data
        return data


def kept(folder: Path) -> list[str]:
    """Which images are on the disk, by their sha256."""
    return sorted(
        hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.glob("firmware/*/*")
    )


def digests(*numbers: int) -> list[str]:
    return sorted(image(each)[1] for each in numbers)


async def test_one_file_is_fetched_once_whatever_its_addresses(tmp_path: Path) -> None:
    files, server = await opened(tmp_path)
    server.go_on.clear()
    wanted = [
        asyncio.create_task(used(files, 1, f"http://a/{number}/?sig={number}/"))
        for number in range(20)
    ]
    await server.is_asked.wait()
    server.go_on.set()
    await asyncio.gather(*wanted)
    await used(files, 1, "http://b/")
    assert len(server.asked) == 1
    assert list((tmp_path / "work").iterdir()) == []
    assert kept(tmp_path) == digests(1)


@pytest.mark.parametrize("fault", ["bad", "away"])
async def test_an_address_that_leads_nowhere_spoils_nobody_elses(
    tmp_path: Path, fault: str
) -> None:
    files, server = await opened(tmp_path)
    server.go_on.clear()
    first = asyncio.create_task(used(files, 1, f"http://{fault}/"))
    others = [asyncio.create_task(used(files, 1, f"http://{name}/")) for name in "ab"]
    same = asyncio.create_task(used(files, 1, f"http://{fault}/"))
    await server.is_asked.wait()
    server.go_on.set()
    assert await asyncio.gather(*others) == [image(1)[0]] * 2
    for each in (first, same):
        with pytest.raises((BadFirmwareError, UnreachableError)):
            await each
    assert len(server.asked) == 2


async def test_the_next_process_has_it_and_reads_it_before_it_is_used(tmp_path: Path) -> None:
    files, _ = await opened(tmp_path)
    await used(files, 1)
    files, server = await opened(tmp_path)
    await used(files, 1)
    assert server.asked == []
    (path,) = tmp_path.glob("firmware/*/*")
    for spoilt in (b"", path.read_bytes()[:-1], b"\0" * 400_000):
        path.write_bytes(spoilt)
        files, server = await opened(tmp_path)
        await used(files, 1)
        assert len(server.asked) == 1
        (path,) = tmp_path.glob("firmware/*/*")
        assert kept(tmp_path) == digests(1)


async def test_whoever_shares_a_file_that_was_spoilt_meanwhile_gets_a_new_one(
    tmp_path: Path,
) -> None:
    files, server = await opened(tmp_path)
    data, sha256 = image(1)
    async with files.file("http://a/1", sha256) as path:
        path.write_bytes(b"rot")
        assert await used(files, 1) == data
        assert path.read_bytes() == b"rot"  # of another folder: nobody's file is changed under him
    assert len(server.asked) == 2
    assert kept(tmp_path) == digests(1)


async def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    files, server = await opened(tmp_path, firmware_kept_mb=1)
    for number in (1, 2, 1, 3):
        await used(files, number)
    assert kept(tmp_path) == digests(1, 3)
    assert len(server.asked) == 3


async def test_none_is_kept_where_the_config_says_so_or_no_sha256_is_known(tmp_path: Path) -> None:
    files, _ = await opened(tmp_path, firmware_kept_mb=0)
    await used(files, 1)
    assert kept(tmp_path) == []
    files, server = await opened(tmp_path)
    for _ in range(2):
        async with files.file("http://a/2", None) as path:
            assert path.exists()
    assert len(server.asked) == 2
    assert kept(tmp_path) == []
    assert list((tmp_path / "work").iterdir()) == []


async def test_what_is_kept_gives_way_to_what_is_wanted(tmp_path: Path) -> None:
    files, server = await opened(
        tmp_path, firmware_effects=1, firmware_max_mb=1, firmware_kept_mb=64
    )
    for number in range(4):
        async with asyncio.timeout(30):
            await used(files, number)
        total = sum(each.stat().st_size for each in tmp_path.glob("firmware/*/*"))
        assert total <= MIB
    assert len(server.asked) == 4
    assert kept(tmp_path) == digests(3)


async def test_a_file_that_is_held_stays_whatever_the_room(tmp_path: Path) -> None:
    files, _ = await opened(tmp_path, firmware_effects=2, firmware_max_mb=1, firmware_kept_mb=0)
    data, sha256 = image(1)
    async with files.file("http://a/1", sha256) as path:
        await used(files, 2)
        assert path.read_bytes() == data
    assert kept(tmp_path) == []


async def test_what_a_crash_left_is_cleared_at_the_start(tmp_path: Path) -> None:
    files, _ = await opened(tmp_path)
    await used(files, 1)
    (good,) = tmp_path.glob("firmware/*/*")
    sha256, folder = image(1)[1], tmp_path / "firmware"
    (folder / f"{sha256}-00000000").mkdir()  # cut off before its file was moved in
    (folder / "words").mkdir()
    (folder / "words" / "file").write_bytes(b"x")
    (folder / f"{'0' * 64}-00000000").symlink_to(tmp_path)
    (folder / "file").write_bytes(b"x")
    older = folder / f"{sha256}-11111111"
    older.mkdir()
    (older / "fw.bmu").write_bytes(good.read_bytes())
    files, server = await opened(tmp_path)
    await used(files, 1)
    assert server.asked == []
    assert kept(tmp_path) == digests(1)
    assert len(list(folder.iterdir())) == 1
    assert (tmp_path / "work").is_dir()
