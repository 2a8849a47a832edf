"""The closed list of ways in which a task can fail, and the errors of drivers, by what the caller can do about them."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

# What to do where a miner refuses a login, or wants one and there is none; the end of a sentence that says so.
LOGIN_FIX: Final = (
    "set the right user and password in [[credentials]] of the agent's configuration, then restart the agent: it reads "
    "passwords when it starts"
)


class ErrorCode(StrEnum):
    """Why a task did not succeed. Closed: a new code is a change of the contract."""

    UNREACHABLE = "unreachable"
    AUTH_FAILED = "auth_failed"
    WRITE_DISABLED = "write_disabled"
    REFUSED = "refused"
    BUSY = "busy"
    UNSUPPORTED = "unsupported"
    UNSUPPORTED_MODE = "unsupported_mode"
    POOLS_LOCKED = "pools_locked"
    MALFORMED_REPLY = "malformed_reply"
    WRONG_DEVICE = "wrong_device"
    NOT_VERIFIED = "not_verified"
    BAD_PARAMS = "bad_params"
    BAD_FIRMWARE = "bad_firmware"
    POLICY_REFUSED = "policy_refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    STORAGE_FULL = "storage_full"
    LOST_AGENT = "lost_agent"
    INTERNAL = "internal"


class MinerError(Exception):
    """Something a miner did or did not do. The message tells the operator the fix; `code` is what the cloud shows."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL


class UnreachableError(MinerError):
    """No connection was made: nothing happened, safe to try again."""

    code = ErrorCode.UNREACHABLE


class ServiceAwayError(UnreachableError):
    """One service of the miner takes no connections while another does: it is up, and part of it restarts or is off.

    Not an outage: it proves no reboot.
    """


class MalformedError(MinerError):
    """The miner's bytes break its own protocol, were too many, or did not end by the deadline (of a read)."""

    code = ErrorCode.MALFORMED_REPLY


class AuthFailedError(MinerError):
    """The miner refused our password. Asking again with the same one will not help."""

    code = ErrorCode.AUTH_FAILED


class WriteDisabledError(MinerError):
    """The miner can be read but its owner switched writing off."""

    code = ErrorCode.WRITE_DISABLED


class RefusedError(MinerError):
    """The miner understood and said no: proof that nothing was executed."""

    code = ErrorCode.REFUSED


class BusyError(RefusedError):
    """The miner says it is busy with another change: nothing was executed, later it may work."""

    code = ErrorCode.BUSY


class UnsupportedError(MinerError):
    """The firmware cannot do what was asked."""

    code = ErrorCode.UNSUPPORTED


class UnsupportedModeError(UnsupportedError):
    """The miner has no such power mode."""

    code = ErrorCode.UNSUPPORTED_MODE


class PoolsLockedError(MinerError):
    """The pools of this miner are locked by a signed file."""

    code = ErrorCode.POOLS_LOCKED


class WrongDeviceError(MinerError):
    """The address does not hold the miner the task was meant for, or its identity is not certain. No write."""

    code = ErrorCode.WRONG_DEVICE


class BadParamsError(MinerError):
    """The request itself cannot be carried out on this kind of miner (a character its config cannot hold, say)."""

    code = ErrorCode.BAD_PARAMS


class BadFirmwareError(MinerError):
    """The firmware file is not one for this miner, is damaged, or is not what the task promised."""

    code = ErrorCode.BAD_FIRMWARE


class NoSuchFileError(BadFirmwareError):
    """The server answers, and gives no file at that address."""


class FileTooBigError(BadFirmwareError):
    """The file is bigger than it may be."""


class PolicyRefusedError(MinerError):
    """A rule of this site forbids it: a hashing miner without force, maintenance, read-only mode, a lease too short."""

    code = ErrorCode.POLICY_REFUSED


class ExpiredError(MinerError):
    """Its time ran out before it was begun."""

    code = ErrorCode.EXPIRED


class CancelledTaskError(MinerError):
    """Cancelled before anything was sent."""

    code = ErrorCode.CANCELLED


class NotGrantedError(MinerError):
    """The cloud did not grant the beginning of what happens at most once: another life of this agent may have begun
    it. This one has sent nothing.
    """

    code = ErrorCode.LOST_AGENT


class StorageFullError(MinerError):
    """The intent could not be made durable, so nothing was sent."""

    code = ErrorCode.STORAGE_FULL


class OutcomeUnknownError(MinerError):
    """Bytes of a write were sent but not confirmed: look before asking again."""

    code = ErrorCode.NOT_VERIFIED
