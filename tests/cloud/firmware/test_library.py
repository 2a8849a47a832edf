"""Images of a workspace: uploaded once, whole or in pieces, within caps, and shown to nobody else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloud.config import CloudSettings
from cloud.store.access import admin
from contract.roles import Role
from tests.cloud.conftest import Cloud
from tests.cloud.firmware.shelf import DATA, IMAGE, SHA, Shelf, shelf_of

ROOT = Path(__file__).resolve().parents[3]
CAP = 3 * len(DATA)


@pytest.fixture
def settings(tmp_path: Path) -> CloudSettings:
    return CloudSettings(
        data=tmp_path, firmware_file_bytes=len(DATA), firmware_bytes=CAP, firmware_images=4
    )


async def test_an_image_is_announced_sent_and_shown(cloud: Cloud):
    shelf = shelf_of(cloud)
    words = {"version": "2025.03", "notes": "for hall A\nquieter fans"}
    made = (await shelf.announce(**words))["data"]
    assert (made["received"], made["complete"]) == (0, False)
    assert await shelf.put() == {"received": len(DATA), "complete": True}
    item = await shelf.get(IMAGE["name"])
    assert {key: item[key] for key in IMAGE | words} == IMAGE | words
    assert (item["received"], item["complete"]) == (len(DATA), True)
    assert shelf.file().read_bytes() == DATA
    listed = await shelf.ask("GET", "/firmware")
    assert [each["name"] for each in listed["data"]] == [IMAGE["name"]]


async def test_an_upload_that_broke_off_goes_on(cloud: Cloud):
    shelf, size = shelf_of(cloud), len(DATA)
    await shelf.announce()
    assert (await shelf.put(DATA[:1000], f"0-999/{size}"))["received"] == 1000
    assert (await shelf.announce())["data"]["received"] == 1000
    assert (await shelf.put(b"", f"*/{size}"))["received"] == 1000
    assert (await shelf.put(DATA[5000:], f"5000-{size - 1}/{size}"))["received"] == 1000
    assert (await shelf.put(DATA[500:], f"500-{size - 1}/{size}"))["complete"] is True
    # again, after its answer was lost
    assert (await shelf.put(DATA[500:], f"500-{size - 1}/{size}"))["complete"] is True


async def test_two_uploads_of_one_image_at_once_make_one_file(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.announce()
    answers = await asyncio.gather(shelf.put(), shelf.put())
    assert [each["complete"] for each in answers] == [True, True]
    assert [path.name for path in shelf.file().parent.iterdir()] == [SHA]
    assert shelf.file().read_bytes() == DATA


async def test_another_file_than_was_announced_is_thrown_away(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.announce()
    words = await shelf.put(DATA[:-1] + b"!", status=422)
    assert "send it again" in words
    assert (await shelf.get(IMAGE["name"]))["received"] == 0
    assert (await shelf.put())["complete"] is True


async def test_a_file_of_3_gb_is_refused_when_it_is_announced(cloud: Cloud):
    words = await shelf_of(cloud).announce(size_bytes=3 * 2**30, status=413)
    assert words == f"size_bytes: an image may have {len(DATA)} bytes, this one has {3 * 2**30}"
    assert await shelf_of(cloud).get(IMAGE["name"], status=404)


async def test_a_body_that_goes_on_after_the_file_is_refused(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.announce()
    assert "More bytes" in await shelf.put(DATA + b"!", f"0-9/{len(DATA)}", status=400)
    assert "the image has" in await shelf.put(DATA, f"0-9/{len(DATA) + 1}", status=400)
    assert "Content-Range must be" in await shelf.ask(
        "PUT", "/firmware/s19-2025/file", data=DATA, status=400
    )


async def test_all_images_together_have_a_cap_of_their_own_and_none_goes_by_itself(cloud: Cloud):
    shelf = shelf_of(cloud)
    for number in range(3):
        await shelf.add(bytes([number]) * len(DATA), name=f"n{number}")
    other = hashlib.sha256(b"x").hexdigest()
    words = await shelf.announce(name="n3", size_bytes=1, sha256=other, status=507)
    assert words == f"The images of all workspaces fill the {CAP} bytes of firmware_bytes"
    await shelf.remove("n0")
    await shelf.announce(name="n3", size_bytes=1, sha256=other)
    await shelf.announce(name="n4", size_bytes=1, sha256="0" * 64)
    words = await shelf.announce(name="n5", size_bytes=1, sha256="1" * 64, status=409)
    assert words == "A library has room for 4 images: remove some first"


def test_a_disk_that_is_full_is_said_and_the_upload_goes_on_once_it_has_room(tmp_path: Path):
    able = subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True)
    if able.returncode:
        assert os.environ.get("MINER_AGENT_REQUIRE_ALL") != "1", able.stderr
        pytest.skip("needs unshare and user namespaces")
    images = tmp_path / "firmware"
    images.mkdir()
    script = (
        'mount -t tmpfs -o size=1m none "$1" && exec "$2" -m tests.cloud.firmware.full_disk "$3"'
    )
    words = ["unshare", "-Urm", "sh", "-ec", script, "sh", images, sys.executable, tmp_path]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (full, refusal), then = json.loads(ended.stdout.splitlines()[-1])
    assert (full, refusal["message"]) == (507, "The disk of the cloud is full")
    assert then == [200, {"received": 600_000, "complete": True}]


async def test_a_name_and_a_file_are_there_once(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    words = await shelf.announce(size_bytes=1, sha256="0" * 64, status=409)
    assert words == "An image is called s19-2025 already: remove it, or name another"
    words = await shelf.announce(name="other", status=409)
    assert words == "This file is in the library already, as s19-2025"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": " "}, "name: must not be empty"),
        ({"name": ".."}, "name: must not be dots alone"),
        ({"name": "a\x1b[2J"}, "name: must hold no control characters"),
        ({"make": "Canaan"}, "make: must be one of Bitmain, MicroBT, IceRiver"),
        ({"models": []}, "models: "),
        ({"models": ["*"]}, "models.0: must name a model"),
        ({"sha256": "12"}, "sha256: must be 64 hexadecimal digits"),
        ({"size_bytes": 0}, "size_bytes: "),
        ({"verison": "1"}, "verison: unknown key; did you mean version?"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(
    cloud: Cloud, words: dict[str, Any], said: str
):
    assert said in str(await shelf_of(cloud).announce(**words, status=400))


@pytest.mark.parametrize("name", ["a/b", "..%2f", "50 % & ?#", "прошивка", "😀", "e\u0301"])
async def test_a_name_may_have_odd_characters(cloud: Cloud, name: str):
    shelf = shelf_of(cloud)
    await shelf.add(name=name)
    assert (await shelf.get(name))["complete"] is True
    await shelf.remove(name)
    await shelf.get(name, status=404)


async def test_what_is_removed_leaves_nothing_on_disk_and_stands_in_the_audit(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    assert (await shelf.remove())["data"] == {"name": IMAGE["name"], "removed": True}
    assert not shelf.file().exists()
    rows = (await shelf.ask("GET", "/audit"))["data"]
    assert [row["action"] for row in rows[:2]] == ["firmware.remove", "firmware.add"]
    assert SHA in str(rows[0])


async def test_another_workspace_sees_nothing_of_it(cloud: Cloud):
    await shelf_of(cloud).add()
    there = await admin.create_workspace(cloud.store, "other", cloud.clock.now())
    _, key = await admin.create_key(cloud.store, there["id"], "K", cloud.clock.now())
    other = Shelf(cloud, key, there["id"])
    assert (await other.ask("GET", "/firmware"))["data"] == []
    await other.get(IMAGE["name"], status=404)
    await other.remove(status=404)
    await other.add()  # the same name and file are theirs as well
    await other.remove()
    assert shelf_of(cloud).file().read_bytes() == DATA
    across = Shelf(cloud, key, cloud.workspace_id)
    await across.get(IMAGE["name"], status=403)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_only_a_manager_fills_it(cloud: Cloud, role: Role):
    _, key = await admin.create_key(
        cloud.store, cloud.workspace_id, "K", cloud.clock.now(), role=role
    )
    await shelf_of(cloud).add()
    shelf = Shelf(cloud, key, cloud.workspace_id)
    assert (await shelf.get(IMAGE["name"]))["complete"] is True
    await shelf.announce(status=403)
    await shelf.put(status=403)
    await shelf.remove(status=403)


async def test_an_upload_that_was_given_up_is_forgotten_and_strays_are_tidied(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.announce()
    await shelf.put(DATA[:10], f"0-9/{len(DATA)}")
    kept = await shelf.add(b"kept", name="kept")
    stray = shelf.file("f" * 64)
    stray.write_bytes(b"left by a crash")
    cloud.clock.move(23 * 3600)
    await cloud.sweeper.sweep()
    await cloud.sweeper.tidy()
    assert (await shelf.get(IMAGE["name"]))["received"] == 10
    assert not stray.exists()
    cloud.clock.move(2 * 3600)
    await cloud.sweeper.sweep()
    await cloud.sweeper.tidy()
    await shelf.get(IMAGE["name"], status=404)
    assert [path.name for path in stray.parent.iterdir()] == [kept["sha256"]]
