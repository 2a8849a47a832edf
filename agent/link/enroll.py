"""Joining a cloud: a one-time code becomes a token on disk, readable by the agent alone."""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path

import msgspec

from agent.host.version import agent_version
from agent.link import client
from contract.link import EnrollReply, EnrollRequest
from service.files import write_whole
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
        probe = token_file.with_suffix(".probe")
        write_whole(probe, b"", owner=owner)
        probe.unlink()
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
    known = msgspec.json.encode(member)
    write_whole(token_file.with_name("membership.json"), known, owner=owner)
    write_whole(token_file, f"{reply.token}\n".encode(), owner=owner)
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
