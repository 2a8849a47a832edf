"""Users of this host: whose the files of a process are, and what that user may do with them."""

from __future__ import annotations

import codecs
import errno
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

    @property
    def owner(self) -> str:
        """As `chown` takes it: a user without a name has no group of its own for it to look up."""
        return f"{self.uid}:{self.gid}" if self.name == str(self.uid) else f"{self.name}:"


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
    """What root does to files in here goes as far as it would for that user. The whole process changes, so nothing
    that needs root may go on meanwhile. Anybody but root stays what they are. Raises OSError where root may not change.
    """
    if not is_root() or user.uid == 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    try:
        try:
            os.setgroups(_groups(user))
            os.setegid(user.gid)
            os.seteuid(user.uid)
        except OSError as error:
            # In a container that was left without these rights, or that knows no such user.
            words = f"root may not act as {user.name} here (CAP_SETGID, CAP_SETUID): run it as that user"
            raise OSError(error.errno, words) from None
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        if os.getgroups() != groups:
            os.setgroups(groups)


@contextmanager
def acting_as_owner(folder: Path) -> Iterator[None]:
    """In here root is the user whose the folder is, so that what it makes there is theirs, and no link of theirs leads
    further than they may go. Nothing changes for others, nor where there is no folder yet. Raises PermissionError.
    """
    if not is_root():
        yield
        return
    check_way(folder)
    for name in ("ascii", "idna", "latin-1"):
        codecs.lookup(name)  # a module, and that user may not be able to read where Python is
    owner = owner_of(folder) or myself()
    with acting_as(owner):
        for each in (folder, Path(__file__)):
            if owner.uid != 0 and not os.access(each, os.R_OK, effective_ids=True):
                words = f"{folder} belongs to {owner.name}, who cannot read {each}"
                raise PermissionError(
                    errno.EACCES, f"{words}: see that the folders above let that user through"
                )
        yield


def check_way(folder: Path) -> None:
    """Root follows no link of another user, nor one of its own that leads to such a link. Raises PermissionError."""
    ways, seen = [folder.absolute()], set[Path]()
    while ways:
        whole = ways.pop()
        for each in (whole, *whole.parents):
            if each in seen or not each.is_symlink():
                continue
            if each.lstat().st_uid != 0:
                raise PermissionError(errno.EPERM, "is a link of another user", str(each))
            seen.add(each)
            ways.append(each.parent / each.readlink())


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
