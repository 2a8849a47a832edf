"""Joining a cloud: a one-time code becomes a token on disk, readable by the agent alone."""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path

import msgspec

from agent.host.version import agent_version
from agent.link import client
from agent.link.trust import CloudTrust, trusting
from agent.ports import CloudError
from contract.enrolment.authorities import as_pem, certificates_in, fingerprint, of_fingerprint
from contract.enrolment.code import EnrolCode
from contract.link import EnrollReply, EnrollRequest
from service.files import write_whole
from service.hostuser import HostUser, check_way


class WrongCloudError(CloudError):
    """Who answers is not the cloud that made the code. Nothing was sent to it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}; the code was not sent", retry=False)


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
    pin_file: Path,
    owner: HostUser | None = None,
    ca_file: Path | None = None,
    proxy: str | None = None,
) -> Membership:
    """Enroll and write the token (0600, never half written), as files of `owner` where root writes them for another.

    The authority that the code names is asked for, compared, and kept in `pin_file`. The code is sent to nobody but a
    server that proves itself by it. Without one `ca_file` says what is trusted, else this host, and no pin is left.

    Raises CloudError for a refused code or no connection, WrongCloudError for a server that is not the one of the code,
    ValueError for an unsafe url or a code that is not whole, OSError when the token cannot be written; that is tried
    before the code is used up.
    """
    given = EnrolCode.of(code)
    known = token_file.with_name("membership.json")
    is_pinned = given.fingerprint is not None and ca_file is None
    folders = [token_file.parent]
    if is_pinned or os.path.lexists(pin_file):
        folders.append(pin_file.parent)
    for folder in dict.fromkeys(folders):
        _try_to_write(folder, owner)
    for path in (token_file, known, pin_file):
        if path.is_dir():  # as some containers make it of a file that is missing
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    authority = None
    if given.fingerprint is not None and ca_file is not None:
        _check_holds(ca_file, given.fingerprint)
    elif given.fingerprint is not None:
        authority = await _authority(url, given.fingerprint, proxy)
    reply: EnrollReply = await client.enroll(
        url,
        EnrollRequest(
            code=given.secret,
            hostname=platform.node(),
            version=agent_version(),
            platform=platform.platform(),
        ),
        context=CloudTrust(ca_file).context if authority is None else trusting(authority),
        proxy=proxy,
    )
    member = Membership(
        agent_id=reply.agent_id,
        workspace_id=reply.workspace_id,
        farm_id=reply.farm_id,
        cloud_url=url.rstrip("/"),
    )
    write_whole(known, msgspec.json.encode(member), owner=owner)
    if authority is None:
        pin_file.unlink(missing_ok=True)
    else:
        write_whole(pin_file, as_pem((authority,)).encode("ascii"), owner=owner)
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


def _try_to_write(folder: Path, owner: HostUser | None) -> None:
    """Have a folder that can be written. Raises OSError, which names it."""
    if owner is not None:
        check_way(folder)
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o700)
        if owner is not None:
            os.chown(folder, owner.uid, owner.gid, follow_symlinks=False)
    try:
        probe = folder / "token.probe"
        write_whole(probe, b"", owner=owner)
        probe.unlink()
    except OSError as error:  # of a file that nobody knows
        raise OSError(error.errno, error.strerror, str(folder)) from None


async def _authority(url: str, wanted: str, proxy: str | None) -> bytes:
    """The certificate with that fingerprint, from the server itself: whoever hands it over, it is this one."""
    if not url.startswith("https://"):
        raise WrongCloudError(
            f"this code is of a cloud that speaks TLS: {url} does not begin with https://"
        )
    try:
        told = await client.told_authorities(url, proxy=proxy)
        found = certificates_in(told.pem)
    except ValueError as error:
        raise WrongCloudError(f"the server at {url} tells of no authority: {error}") from None
    except CloudError as error:
        if error.status is None:
            raise
        raise WrongCloudError(f"the server at {url} tells of no authority: {error}") from None
    authority = of_fingerprint(found, wanted)
    if authority is None:
        raise WrongCloudError(
            f"the server at {url} is not the one of this code: its authority has sha256 "
            f"{', '.join(map(fingerprint, found))}, the code's {wanted}. Is the address right, and the code of this "
            "cloud (miner-cloud tls show)? If so, somebody stands between"
        )
    return authority


def _check_holds(ca_file: Path, wanted: str) -> None:
    """Raises WrongCloudError when the code's authority is not in the file that was named."""
    held = CloudTrust(ca_file).context.get_ca_certs(binary_form=True)
    if of_fingerprint(held, wanted) is None:
        raise WrongCloudError(
            f"{ca_file} (ca_file) does not hold the authority of this code, sha256 {wanted}: leave ca_file out, and it "
            "is fetched; or make the code by miner-cloud enroll-code --public-certificate"
        )
