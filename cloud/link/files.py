"""Files kept on disk, each by whom it is of and by its name, and handed out under signed links that expire: what tasks
brought (logs, reports), and images for miners.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

from service.files import shut, sync

_SAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PART: Final = ".part"  # suffix while an upload is not complete
_BLOCK: Final = 1024 * 1024
_DAY_S: Final = 86_400.0


class FileTooLargeError(Exception):
    """More bytes than the upload announced."""


class ChecksumError(Exception):
    """The whole file arrived but is not the one that was announced; it has been discarded."""


@dataclass
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0  # who holds it and who waits


class Folder:
    """Files by owner (a task, a workspace) and name, and the secret that signs links to them."""

    def __init__(self, data: Path, folder: str) -> None:
        """`folder` is the one in the data directory."""
        self._root = data / folder
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._secret = _secret(data / "link-secret")
        self._turns: dict[str, _Turn] = {}

    def signature(self, *words: str, expires: int) -> str:
        """What stands for these words in a link that is good until that second of cloud time."""
        text = "\n".join((*words, str(expires))).encode("utf-8", "replace")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    def is_signed(self, *words: str, expires: str, signature: str, cloud_s: float) -> bool:
        """Whether a link for these words was made by us and has not expired."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            return False
        good = self.signature(*words, expires=int(expires))
        genuine = hmac.compare_digest(good.encode(), signature.encode("utf-8", "replace"))
        return genuine and int(expires) > cloud_s

    def path(self, owner: str, name: str) -> Path:
        """Where a complete file lies. Both parts are made safe, so that no name leaves the folder."""
        return self._root / safe_name(owner) / safe_name(name)

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Uploads of one owner take turns."""
        turn = self._turns.setdefault(owner, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            # Whoever waits counts: he must not find another lock than the next one.
            if not turn.users:
                del self._turns[owner]

    async def received(self, owner: str, name: str) -> int:
        """How many bytes of an incomplete upload are safely stored."""
        part = self._part(owner, name)
        return await asyncio.to_thread(lambda: part.stat().st_size if part.exists() else 0)

    async def restart(self, owner: str, name: str) -> None:
        """Throw away what an earlier upload left."""
        part = self._part(owner, name)
        await asyncio.to_thread(part.unlink, missing_ok=True)

    async def append(
        self, owner: str, name: str, chunks: AsyncIterator[bytes], *, skip: int, size_bytes: int
    ) -> int:
        """Add to an incomplete upload, leaving out the first `skip` bytes (already here). Returns the bytes stored.

        What arrived before an error stays: the upload is resumed from there. Raises FileTooLargeError.
        """
        part = self._part(owner, name)
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with await asyncio.to_thread(part.open, "ab") as file:
            stored = file.tell()
            try:
                async for chunk in chunks:
                    fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                    if stored + len(fresh) > size_bytes:
                        raise FileTooLargeError
                    await asyncio.to_thread(file.write, fresh)
                    stored += len(fresh)
            finally:
                await asyncio.to_thread(_flush, file)
        return stored

    async def finish(self, owner: str, name: str, sha256: str) -> None:
        """Check the whole file and put it in its place, durably. Raises ChecksumError."""
        part, path = self._part(owner, name), self.path(owner, name)
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.touch()  # a file of no bytes has had no append
        if await asyncio.to_thread(digest_of, part) != sha256:
            await asyncio.to_thread(part.unlink)
            raise ChecksumError
        await asyncio.to_thread(_publish, part, path)

    async def remove(self, owner: str, name: str) -> None:
        """Delete a file, complete or not, and its folder once empty."""

        def remove() -> None:
            self._part(owner, name).unlink(missing_ok=True)
            path = self.path(owner, name)
            path.unlink(missing_ok=True)
            if path.parent.exists() and not any(path.parent.iterdir()):
                path.parent.rmdir()

        await asyncio.to_thread(remove)

    def _part(self, owner: str, name: str) -> Path:
        path = self.path(owner, name)
        return path.with_name(path.name + _PART)


class Files(Folder):
    """The files that tasks brought."""

    def __init__(self, data: Path, *, days: float, base_url: str = "") -> None:
        """`base_url` is how the outside reaches this server, without a slash at its end."""
        super().__init__(data, "files")
        self._days = days
        self.base_url = base_url

    def sign_url(self, task_id: str, name: str, cloud_s: float) -> str:
        """A link that needs no key and works for two weeks of cloud time, as long as the file itself is kept."""
        expires = int(cloud_s + self._days * _DAY_S)
        signature = self.signature(task_id, name, expires=expires)
        return f"{self.base_url}/files/{quote(task_id)}/{quote(name)}?expires={expires}&sig={signature}"

    def check(self, task_id: str, name: str, expires: str, signature: str, cloud_s: float) -> bool:
        """Whether a link was made by us and has not expired."""
        return self.is_signed(task_id, name, expires=expires, signature=signature, cloud_s=cloud_s)


def safe_name(name: str) -> str:
    """A name that is one harmless path component: letters, digits, dot, dash, underscore; never hidden, never empty."""
    cleaned = _SAFE.sub("_", name).lstrip(".")[-150:]
    return cleaned or "file"


def _secret(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        shut(path)
        secret = path.read_bytes()
        if len(secret) < 32:
            raise ValueError(
                f"{path} is damaged: delete it, and the links given out so far end"
            ) from None
        return secret
    secret = secrets.token_bytes(32)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return secret


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def digest_of(path: Path) -> str:
    """The sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _publish(part: Path, path: Path) -> None:
    part.replace(path)
    sync(path.parent)
