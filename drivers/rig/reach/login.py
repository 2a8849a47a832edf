"""Logging in to a rig by SSH: by a key file, where the host key is the one that was pinned."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import asyncssh

from contract.errors import AuthFailedError, UnreachableError, WrongDeviceError
from drivers.rig.reach.inflow import Inflow
from drivers.rig.spec import SshSpec

LOGIN_BYTES: Final = 256 * 1024  # a host may send until somebody is in
_KEEPALIVE_S: Final = 15.0

# It would tell each channel and command of each look.
asyncssh.set_log_level(logging.WARNING)


async def host_key_of(host: str, port: int, *, deadline_s: float) -> str:
    """The public key that a host shows now, as OpenSSH writes it: to be looked at and pinned when a rig is enrolled.

    Raises UnreachableError.
    """
    options: dict[str, Any] = {"config": None, "tunnel": Inflow(LOGIN_BYTES)}
    try:
        async with asyncio.timeout(deadline_s):
            key = await asyncssh.get_server_host_key(host, port, **options)
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise UnreachableError(f"{host}:{port} shows no SSH host key: {words_of(error)}") from None
    if key is None:
        raise UnreachableError(f"{host}:{port} shows no SSH host key")
    return key.export_public_key("openssh").decode("ascii").strip()


async def log_in(spec: SshSpec, flow: Inflow) -> asyncssh.SSHClientConnection:
    """Be let in, over a connection that brings as much as `flow` lets through.

    Raises UnreachableError, AuthFailedError, and WrongDeviceError when its host key is another: nothing was sent then.
    """
    try:
        pinned = asyncssh.import_public_key(spec.host_key)
        key = await asyncio.to_thread(asyncssh.read_private_key, spec.key_file)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise AuthFailedError(
            f"the keys of the rig {spec.host} cannot be used: {words_of(error)}; check its key_file and host_key"
        ) from None
    options: dict[str, Any] = _ONLY_KEYS | {
        "known_hosts": ([pinned], [], []),
        # Its own kind first, all others behind: a server with another key is told from one that has none.
        "server_host_key_algs": _host_key_algorithms(pinned),
        "client_keys": [key],
        "username": spec.user,
        "tunnel": flow,
    }
    try:
        return await asyncssh.connect(spec.host, spec.port, **options)
    except asyncssh.HostKeyNotVerifiable:
        raise WrongDeviceError(
            f"the host at {spec.host} has another SSH key than the rig that was enrolled: nothing was sent. If the "
            "rig was installed again, enrol it again and compare the key that is shown"
        ) from None
    except asyncssh.PermissionDenied:
        raise AuthFailedError(
            f"{spec.host} does not let {spec.user} in: put our public key into its authorized_keys"
        ) from None
    except OSError as error:
        raise UnreachableError(
            f"{spec.host}:{spec.port} takes no SSH connection: {words_of(error)}"
        ) from None
    except asyncssh.Error as error:
        raise UnreachableError(
            f"{spec.host}:{spec.port} does not speak SSH as we do: {words_of(error)}"
        ) from None


def words_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    return str(error)[:200] or type(error).__name__


# --- private -------------------------------------------------------------------------------------

# No password, no agent, no configuration of the user we run as, nothing compressed.
_ONLY_KEYS: Final[dict[str, Any]] = {
    "config": None,
    "preferred_auth": "publickey",
    "password_auth": False,
    "kbdint_auth": False,
    "host_based_auth": False,
    "agent_path": None,
    "gss_kex": False,
    "gss_auth": False,
    "compression_algs": "none",
    # First, where the rig has it: it is one call for a packet, and the usual one is three, of five times the cost.
    "encryption_algs": "^aes256-gcm@openssh.com,aes128-gcm@openssh.com",
    "x509_trusted_certs": None,
    "keepalive_interval": _KEEPALIVE_S,
    "connect_timeout": None,
    "login_timeout": 0,  # the deadline of each call is over this, too
}


def _host_key_algorithms(pinned: asyncssh.SSHKey) -> list[str]:
    own = [name.decode("ascii") for name in pinned.sig_algorithms]
    return own + [each for each in _HOST_KEY_ALGORITHMS if each not in own]


_HOST_KEY_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
