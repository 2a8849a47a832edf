"""The commands of docs/releases.md, as they are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from cloud.cli.host.release import releases
from tests.cloud.release.test_commands import Desk
from tests.pages import ROOT, sessions
from tests.release.repository import PLATFORM, bundle_of

PAGE = ROOT / "docs" / "releases.md"


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "data").mkdir()
    bundle = tmp_path / f"miner-agent-0.3.0-{PLATFORM}.tar"
    bundle.write_bytes(bundle_of(tmp_path / "wheels"))
    words = tmp_path / "passphrase"
    words.write_text("five random words of ours")
    words.chmod(0o600)
    for line in sessions(PAGE)["release"]:
        command, _, output = line.replace("\\\n", " ").partition(" >")
        asked = [
            re.sub(
                r"^/(root|srv)/",
                f"{tmp_path}/",
                re.sub(r"^/var/lib/miner-cloud$", f"{tmp_path}/data", each),
            )
            for each in shlex.split(command)
        ]
        assert asked[:2] == ["miner-cloud", "release"]
        done = CliRunner().invoke(releases, asked[2:])
        assert done.exit_code == 0, (line, done.output, done.exception)
        if output:
            Path(output.strip().replace("/root", str(tmp_path))).write_text(done.stdout)
    desk = Desk(tmp_path)
    assert desk.seen().bundle("0.3.0", PLATFORM).length == bundle.stat().st_size
    assert desk.seen(root=2).bundle("0.3.0", PLATFORM)
