"""Users of this host: whose files the agent's are, and what that user may do with them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec


class HostUser(msgspec.Struct, frozen=True):
    """A user by number, with the group that new files get; the name is the number where there is none."""

    uid: int
    gid: int
    name: str


def is_root() -> bool:
    return os.geteuid() == 0


def myself() -> HostUser:
    return _user(os.geteuid(), os.getegid())


def find_user(text: str) -> HostUser:
    """The user of that name or number. Raises ValueError where this host knows none, or where we may not act as that
    user.
    """
    try:
        entry = pwd.getpwuid(int(text)) if text.isdecimal() else pwd.getpwnam(text)
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{text[:80]!r} is no user of this host") from None
    if entry.pw_uid != os.geteuid() and not is_root():
        raise ValueError(f"only root may act as {entry.pw_name}")
    return HostUser(entry.pw_uid, entry.pw_gid, entry.pw_name)


def owner_of(path: Path) -> HostUser | None:
    """Whose the file or folder is; `None` where there is none. Raises OSError."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _user(found.st_uid, found.st_gid)


@contextmanager
def acting_as(user: HostUser) -> Iterator[None]:
    """What root does to files in here goes as far as it would for that user. The whole process changes, so nothing may
    be awaited meanwhile. Anybody but root stays what they are. Raises OSError where root may not change.
    """
    if not is_root() or user.uid == 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    try:
        os.setgroups(_groups(user))
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def _user(uid: int, gid: int) -> HostUser:
    try:
        return HostUser(uid, gid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return HostUser(uid, gid, str(uid))


def _groups(user: HostUser) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(user.uid).pw_name, user.gid)
    except KeyError:
        return [user.gid]
