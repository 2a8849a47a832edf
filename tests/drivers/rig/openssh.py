"""OpenSSH's own server in front of a folder that looks like a rig, with keys and a port of its own, as the current user.

There is no systemd behind it: `systemctl`, `journalctl` and `sudo` are scripts that do as those would, of one program.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncssh
import pytest

from drivers.rig.spec import SshSpec
from tests.waiting import until

HOST: Final = "127.0.0.1"
_SSHD: Final = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_PRIVSEP: Final = Path("/run/sshd")  # root's sshd wants it, and Debian's unit makes it
_CONFIG: Final = (
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
    "AllowTcpForwarding local",
    "LogLevel ERROR",
)
_SCRIPTS: Final = {
    "sudo": """#!/bin/sh
test "$1" = -n || exit 1
shift
exec "$@"
""",
    "journalctl": """#!/bin/sh
cat {log}
""",
    "systemctl": """#!/bin/sh
pid=$(cat {bin}/pid)
case "$1" in
show)
    if kill -0 "$pid" 2>/dev/null
    then printf 'LoadState=loaded\\nActiveState=active\\nMainPID=%s\\n' "$pid"
    else printf 'LoadState=loaded\\nActiveState=inactive\\nMainPID=0\\n'
    fi ;;
stop)
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done ;;
start)
    nohup {begin} </dev/null >>{log} 2>&1 &
    echo $! >{bin}/pid ;;
esac
""",
}


def sshd_path() -> str:
    """Where the server is. Skips where there is none, but where nothing may be skipped."""
    if _SSHD is None:
        assert os.environ.get("MINER_AGENT_REQUIRE_ALL") != "1", "there is no sshd"
        pytest.skip("there is no OpenSSH server here (Debian: openssh-server)")
    if os.geteuid() == 0:
        _PRIVSEP.mkdir(mode=0o755, exist_ok=True)
    return _SSHD


def plant_commands(folder: Path, *, log: Path, begin: str, pid: int) -> Path:
    """The scripts, for a program that runs as `pid` and is begun by the command `begin`. Gives their folder."""
    folder.mkdir()
    for name, text in _SCRIPTS.items():
        script = folder / name
        script.write_text(text.format(bin=folder, log=log, begin=begin))
        script.chmod(0o755)
    (folder / "pid").write_text(f"{pid}\n")
    return folder


class OpenSsh:
    """One server; `port` stays when it is started again, and so may its key."""

    def __init__(self, folder: Path, commands: Path, root: Path) -> None:
        self.port = _free_port()
        self._folder = folder
        self._commands = commands
        self._root = root
        self._process: asyncio.subprocess.Process | None = None
        folder.mkdir(mode=0o700)
        client = asyncssh.generate_private_key("ssh-ed25519")
        client.write_private_key(folder / "client")
        client.write_public_key(folder / "authorized")

    async def start(self) -> None:
        """Listen, with a host key that is drawn anew."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(self._folder / "host")
        (self._folder / "host").chmod(0o600)
        key.write_public_key(self._folder / "host.pub")
        config = self._folder / "sshd_config"
        lines = (
            f"ListenAddress {HOST}:{self.port}",
            f"HostKey {self._folder}/host",
            f"AuthorizedKeysFile {self._folder}/authorized",
            f"SetEnv PATH={self._commands}:/usr/bin:/bin",
            *_CONFIG,
        )
        config.write_text("".join(f"{line}\n" for line in lines))
        self._process = await asyncio.create_subprocess_exec(
            sshd_path(), "-D", "-e", "-f", str(config), stdin=asyncio.subprocess.DEVNULL
        )
        await until(self._listens)

    async def stop(self) -> None:
        """Its connections end by themselves, with their clients."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    def spec(self) -> SshSpec:
        """As a rig is enrolled that shows the key it has now."""
        return SshSpec(
            host=HOST,
            port=self.port,
            user=getpass.getuser(),
            key_file=str(self._folder / "client"),
            host_key=(self._folder / "host.pub").read_text().strip(),
            root=str(self._root),
        )

    async def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, "sshd ended: its complaint is on stderr"
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def openssh(folder: Path, commands: Path, root: Path) -> AsyncIterator[OpenSsh]:
    """A server that listens."""
    server = OpenSsh(folder, commands, root)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
