"""The Dockerfile, where no image can be built: its steps, in order, in a Debian with the Python that its images have.

By hand: MINER_AGENT_IMAGES=1. What only an image has (layers, the health check's clock, another processor) is not shown.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil

import pytest

from packages import wheels
from packages.platforms import PLATFORMS
from tests.system.conftest import ROOT
from tests.system.debian.built import WHEELS
from tests.system.debian.root import Root, made, root_of, scratch
from tests.tools import require

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("MINER_AGENT_IMAGES") != "1", reason="by hand: MINER_AGENT_IMAGES=1"
    ),
]
PLATFORM = PLATFORMS["deb12_amd64"]


def steps() -> list[tuple[str, str]]:
    """Each instruction with what follows it, lines that go on joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def copy(root: Root, words: list[str]) -> None:
    """From the checkout; what comes from another stage is there already, since all of them share this root."""
    if words[0].startswith("--from="):
        assert root.at(words[1]).exists()
        assert words[1] == words[2]
        return
    *sources, to = words
    for each in sources:
        there = root.at(f"/src/{to}")
        if (ROOT / each).is_dir():
            shutil.copytree(
                ROOT / each, there, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
            )
        else:
            shutil.copy2(ROOT / each, there)


def test_every_step_of_the_images_can_be_taken_and_both_programs_run_as_their_users() -> None:
    require("mmdebstrap", "unshare", root=True)
    with scratch() as folder:
        held = wheels.fetch(PLATFORM, WHEELS)
        tar = made(12, folder, "python3-venv")
        with root_of(tar, folder) as root:
            shutil.copytree(held, root.at("/wheels"))
            wheels.pip(
                "download",
                "--dest",
                root.at("/wheels"),
                "--no-deps",
                "--require-hashes",
                "-r",
                ROOT / "constraints/build.txt",
            )
            root.at("/usr/local/bin/python").symlink_to("/usr/bin/python3")
            found = steps()
            for word, rest in found:
                if word == "RUN":
                    here = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels; mkdir -p /src; cd /src; "
                    root.run("sh", "-e", "-c", here + rest)
                elif word == "COPY":
                    root.at("/src").mkdir(exist_ok=True)
                    copy(root, shlex.split(rest))
            assert [word for word, _ in found].count("HEALTHCHECK") == 2
            assert root.uid("miner-agent") == (10770, 10770)
            assert root.uid("miner-cloud") == (10771, 10771)
            for name, product in (("miner-agent", "agent"), ("miner-cloud", "cloud")):
                uid, gid = root.uid(name)
                state = root.at(f"/var/lib/{name}").stat()
                assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (uid, gid, 0o700)
                said = root.run(
                    "setpriv",
                    f"--reuid={uid}",
                    f"--regid={gid}",
                    "--clear-groups",
                    f"/opt/{product}/bin/{name}",
                    "--version",
                )
                assert said.split()[0] == name
            waits = root.run(
                "setpriv", "--reuid=10770", "--regid=10770", "--clear-groups", "/opt/agent/bin/miner-agent", "health"
            )  # fmt: skip
            assert "waits for: miner-agent enroll" in waits
