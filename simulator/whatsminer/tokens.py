"""The tokens a v2 device gives out: a bounded number of slots, each for half an hour."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from typing import Final

from simulator.clock import DeviceClock
from simulator.whatsminer.crypto import md5crypt, sign_of

SLOTS: Final = 32
SLOTS_LATE: Final = 100
CLIENTS: Final = 16
LIFE_S: Final = 30 * 60.0
LOCK_S: Final = 180.0
FACTORY_SALT: Final = "BQ5hoXV9"
_SALT_LETTERS: Final = string.ascii_letters + string.digits + "./"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """What `get_token` tells, the sign a client must make of it, and when it ends."""

    time: str
    newsalt: str
    sign: str
    until: float


class TokenSlots:
    """Slots by client address. A full house locks itself, and every further knock renews the lock."""

    def __init__(self, clock: DeviceClock, seed: random.Random, slots: int) -> None:
        self._clock = clock
        self._random = seed
        self._slots = slots
        self._tokens: dict[str, list[IssuedToken]] = {}
        self._locked_until: dict[str, float] = {}

    def issue(self, client: str, key: str) -> IssuedToken | None:
        """A new token for that client, or `None` when no slot is free."""
        now = self._clock.now()
        self._expire(now)
        held = self._tokens.get(client, [])
        locked = self._locked_until.get(client)
        if locked is not None and now < locked:
            self._locked_until[client] = now + LOCK_S
            return None
        if locked is not None:  # it kept quiet long enough: its oldest token makes room
            del self._locked_until[client]
            held = held[1:]
        if len(held) >= self._slots or (
            client not in self._tokens and len(self._tokens) >= CLIENTS
        ):
            self._locked_until[client] = now + LOCK_S
            return None
        newsalt = salt(self._random)
        time = f"{int(now) % 9000 + 1000}"
        token = IssuedToken(time, newsalt, sign_of(key, time, newsalt), now + LIFE_S)
        self._tokens[client] = [*held, token]
        return token

    def holds(self, sign: object) -> bool:
        """True when that is the sign of a token still alive, whoever it was given to."""
        self._expire(self._clock.now())
        return any(token.sign == sign for held in self._tokens.values() for token in held)

    def live(self, client: str) -> int:
        """How many slots that client occupies now."""
        self._expire(self._clock.now())
        return len(self._tokens.get(client, []))

    def clear(self) -> None:
        """Forget everything: the device booted, or its password changed."""
        self._tokens.clear()
        self._locked_until.clear()

    def _expire(self, now: float) -> None:
        for client, held in list(self._tokens.items()):
            alive = [token for token in held if token.until > now]
            if alive:
                self._tokens[client] = alive
            else:
                del self._tokens[client]


def salt(seed: random.Random) -> str:
    """Eight characters as the devices draw them."""
    return "".join(seed.choice(_SALT_LETTERS) for _ in range(8))


def key_of(password: str, password_salt: str) -> str:
    """What the device keeps instead of its password."""
    return md5crypt(password, password_salt)
