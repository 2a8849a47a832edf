"""Who may write: the password of 4028, the accounts of 4433, the API switch."""

from __future__ import annotations

from random import Random
from typing import Any, Final, Protocol

from simulator.faults import Faults
from simulator.whatsminer import tokens
from simulator.whatsminer.crypto import aes_key, digest_v3, token_v3
from simulator.whatsminer.tokens import TokenSlots

SUPER: Final = "super"
_USERS: Final = (SUPER, "user1", "user2", "user3")
_CLOCK_SLACK_S: Final = 30


class AccountHolder(Protocol):
    """The device that has the accounts, as far as it is needed here."""

    random: Random
    faults: Faults
    tokens: TokenSlots

    def unix(self) -> int: ...


class Accounts:
    """Passwords and permissions of one device."""

    def __init__(self, miner: AccountHolder) -> None:
        self._miner = miner
        self.api_switch = True
        """Writes are let through (a factory reset switches it off)."""
        self._password = "admin"
        self.salt = tokens.FACTORY_SALT
        self._accounts = {name: name for name in _USERS}
        self.permissions: dict[str, set[str]] = {name: set() for name in _USERS[1:]}
        self.salt_v3 = tokens.salt(miner.random)
        self._proved = 0

    @property
    def writes_allowed(self) -> bool:
        return self.api_switch and "write_disabled" not in self._miner.faults

    @property
    def password(self) -> str:
        return self._other() or self._password

    @property
    def key(self) -> str:
        """What 4028 seals its messages by."""
        return tokens.key_of(self.password, self.salt)

    @property
    def aes_key(self) -> bytes:
        return aes_key(self.key)

    def set_password(self, new: str) -> None:
        """Set the password of 4028; all tokens end."""
        self._password = new
        self.salt = tokens.salt(self._miner.random)
        self._miner.tokens.clear()

    def set_account(self, account: str, new: str) -> None:
        """Set the password of an account of 4433; the salt is drawn again."""
        self._accounts[account] = new
        self.salt_v3 = tokens.salt(self._miner.random)

    def reset(self) -> None:
        """Default passwords, no permissions, and the API switch off."""
        self.api_switch = False
        self._password, self.salt = "admin", tokens.FACTORY_SALT
        self._accounts = {name: name for name in _USERS}
        self.permissions = {name: set() for name in _USERS[1:]}

    def admits_sign(self, sign: object) -> bool:
        """True when a write on 4028 carries a living token."""
        if "token_expires_at_once" in self._miner.faults or self._worn_out():
            return False
        return self._miner.tokens.holds(sign)

    def prove(self, command: str, request: dict[str, Any]) -> bytes | None:
        """The digest of a write on 4433 that proves its password, else `None`."""
        account, ts, token = (request.get(name) for name in ("account", "ts", "token"))
        if account not in self._accounts or type(ts) is not int:
            return None
        if (checks := self._miner.faults.get("checks_ts")) is not None:
            slack_s = float(checks.args.get("seconds", _CLOCK_SLACK_S))
            if abs(ts - self._miner.unix()) > slack_s:
                return None
        word = (self._other() if account == SUPER else None) or self._accounts[account]
        digest = digest_v3(command, word, self.salt_v3, ts)
        if token != token_v3(digest) or "token_expires_at_once" in self._miner.faults:
            return None
        return None if self._worn_out() else digest

    def may(self, account: object, command: str) -> bool:
        """True when the account has been given that command."""
        return account == SUPER or command in self.permissions.get(str(account), ())

    def knows(self, account: str, password: object) -> bool:
        return account in self._accounts and self._accounts[account] == password

    def _other(self) -> str | None:
        fault = self._miner.faults.get("wrong_password")
        return None if fault is None else str(fault.args.get("password", "other"))

    def _worn_out(self) -> bool:
        fault = self._miner.faults.get("unauthorized_after")
        if fault is None:
            return False
        self._proved += 1
        return self._proved > int(fault.args.get("requests", 0))
