"""A part of what `python -m tests.release.mutations` does, and how much memory the worst of files takes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical

from release.bundle import check_bundle
from release.channels import CHANNEL_BYTES, read_channel
from release.manifest import MANIFEST_BYTES, read_manifest
from release.refusals import Refusal, ReleaseRefusedError
from release.trust import (
    ROOT_BYTES,
    SNAPSHOT_BYTES,
    TARGETS_BYTES,
    TIMESTAMP_BYTES,
)
from tests.pages import ROOT
from tests.release.mutations import FILES, run
from tests.release.repository import Repository, bundle_of
from tests.release.test_trust import look

MIB = 1024 * 1024


def test_whatever_is_changed_only_documented_refusals_come_of_it(tmp_path: Path) -> None:
    made = run(tmp_path, 700, 7)
    assert {name for name, _ in made.found} == {*FILES}
    refused = {reason for _, reason in made.found} - {"taken"}
    assert {"malformed", "unsigned", "bad_bundle"} <= refused <= {*Refusal}
    assert {each.name for each in tmp_path.iterdir()} == {"wheels", "staged"}


@pytest.mark.slow
def test_ten_thousand_changes_and_no_more_than_16_mib(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.release.mutations", "10000", "11"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_reason_of_a_refusal_is_on_the_page() -> None:
    page = (ROOT / "docs" / "releases.md").read_text("utf-8")
    assert [each for each in Refusal if f"| `{each}` |" not in page] == []


# Of every kind of JSON that takes much more room in memory than as text.
DENSE: dict[str, Callable[[int], str]] = {
    "lists": lambda room: "[" + ",".join(["[]"] * (room // 3)) + "]",
    "objects": lambda room: "[" + ",".join(["{}"] * (room // 3)) + "]",
    "depth": lambda room: "[" * (room // 2) + "]" * (room // 2),
    "keys": lambda room: "{" + ",".join(f'"{n:x}":0' for n in range(room // 9)) + "}",
    "objects of one key": lambda room: "[" + ",".join(['{"a":0}'] * (room // 8)) + "]",
    "texts": lambda room: "[" + ",".join(f'"{n:x}"' for n in range(room // 8)) + "]",
    "numbers": lambda room: "[" + ",".join(["1e5"] * (room // 4)) + "]",
    "one long number": lambda room: "9" * room,
    "one wide text": lambda room: '"' + "a" * (room - 12) + '\U0001f600"',
}


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that were held at most at one time."""
    tracemalloc.start()
    try:
        work()
    except ReleaseRefusedError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    ("name", "most", "dense"),
    [
        *(("1.targets.json", TARGETS_BYTES, each) for each in DENSE),
        ("2.root.json", ROOT_BYTES, "objects"),
        ("timestamp.json", TIMESTAMP_BYTES, "objects"),
        ("1.snapshot.json", SNAPSHOT_BYTES, "objects"),
    ],
)
def test_the_worst_metadata_takes_16_mib_at_most_whoever_signed_it(
    name: str, most: int, dense: str
) -> None:
    repository = Repository()
    repository.publish(_without_hashes)
    begun = json.loads(repository.files.get(f"metadata/{name}", repository.first_root))
    role = begun["signed"]["_type"]
    begun["signed"]["version"] = int(name[0]) if name[0].isdigit() else 1
    text = DENSE[dense](most - 4000)
    try:
        begun["signed"]["more"] = json.loads(text)
        payload = encode_canonical(begun["signed"]).encode()
        (signer,) = repository.signers[role]
        begun["signatures"] = [
            {"keyid": signer.public_key.keyid, "sig": signer.sign(payload).signature}
        ]
        signed = json.dumps(begun["signed"], separators=(",", ":"), ensure_ascii=False)
        signatures = json.dumps(begun["signatures"])
        data = f'{{"signatures":{signatures},"signed":{signed}}}'.encode()
    except (FormatError, RecursionError, ValueError):  # no form that could be signed
        data = f'{{"signatures":[],"signed":{text}}}'.encode()
    assert len(data) <= most
    repository.files[f"metadata/{name}"] = data
    assert peak_of(lambda: look(repository)) < 16 * MIB


def _without_hashes(content) -> None:
    if content.type == "snapshot":
        content.meta["targets.json"].hashes = content.meta["targets.json"].length = None
    if content.type == "timestamp":
        content.snapshot_meta.hashes = content.snapshot_meta.length = None


@pytest.mark.parametrize("dense", DENSE)
def test_the_worst_manifest_and_channel_take_16_mib_at_most(dense: str) -> None:
    for most, read in ((MANIFEST_BYTES, read_manifest), (CHANNEL_BYTES, read_channel)):
        for begin in ("", '{"wheels":', '{"bundles":', '{"more":'):
            data = (begin + DENSE[dense](most - 20)).encode()
            assert peak_of(lambda data=data, read=read: read(data)) < 16 * MIB


def test_a_large_bundle_is_read_in_pieces(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, "0.3.0", 24 * MIB)
    assert peak_of(lambda: check_bundle(io.BytesIO(bundle))) < 2 * MIB
