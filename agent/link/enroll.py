"""Joining a cloud: a one-time code becomes a token on disk, readable by the agent alone."""

from __future__ import annotations

import errno
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from agent.link import client
from contract.link import EnrollReply, EnrollRequest
from service.hostuser import HostUser, check_way


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """Who this agent is to its cloud; kept beside the token, without it."""

    agent_id: str
    workspace_id: str
    farm_id: str
    cloud_url: str


async def enroll(
    url: str,
    code: str,
    token_file: Path,
    *,
    owner: HostUser | None = None,
    ca_file: Path | None = None,
    proxy: str | None = None,
) -> Membership:
    """Enroll and write the token (0600, never half written), as files of `owner` where root writes them for another.
    Raises CloudError for a refused code or no connection, ValueError for an unsafe url, OSError when the token cannot
    be written; that is tried before the code is used up.
    """
    if owner is not None:
        check_way(token_file.parent)
    if not token_file.parent.is_dir():
        token_file.parent.mkdir(parents=True, mode=0o700)
        if owner is not None:
            os.chown(token_file.parent, owner.uid, owner.gid, follow_symlinks=False)
    for path in (token_file, token_file.with_name("membership.json")):
        if path.is_dir():  # as some containers make it of a file that is missing
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        _write_private(token_file.with_suffix(".probe"), "", owner).unlink()
    except OSError as error:  # of a file that nobody knows
        raise OSError(error.errno, error.strerror, str(token_file.parent)) from None
    reply: EnrollReply = await client.enroll(
        url,
        EnrollRequest(
            code=code.strip(),
            hostname=platform.node(),
            version=agent_version(),
            platform=platform.platform(),
        ),
        ca_file=ca_file,
        proxy=proxy,
    )
    member = Membership(
        agent_id=reply.agent_id,
        workspace_id=reply.workspace_id,
        farm_id=reply.farm_id,
        cloud_url=url.rstrip("/"),
    )
    known = msgspec.json.encode(member).decode()
    _write_private(token_file.with_name("membership.json"), known, owner)
    _write_private(token_file, reply.token + "\n", owner)
    return member


def membership(token_file: Path) -> Membership | None:
    """What `enroll` kept, or `None` where nobody enrolled. Raises ValueError for a damaged file."""
    path = token_file.with_name("membership.json")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Membership)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path} is damaged: enroll again") from None


def agent_version() -> str:
    """The installed version, as `v1.2.3`."""
    try:
        return "v" + version("miner-agent")
    except PackageNotFoundError:
        return "v0"


def _write_private(path: Path, text: str, owner: HostUser | None) -> Path:
    """Write beside, sync, then rename: after a power cut the old or the new file is there, never a part."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    # a new file, always: root follows no link that the owner of the folder may have laid
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(handle, 0o600)
        if owner is not None:
            os.fchown(handle, owner.uid, owner.gid)
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path
