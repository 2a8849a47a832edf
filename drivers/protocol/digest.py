"""Digest access authentication (RFC 2617, MD5) for one miner, with its nonce and counter kept.

Stock web servers never let a nonce grow old, so after one 401 every request can carry its answer at once.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

import msgspec

from contract.errors import AuthFailedError
from drivers.base import Credentials

# Never begun in the middle of a word and never tried twice: a header of letters only would take a second otherwise.
_FIELD: Final = re.compile(
    r'(?<![a-zA-Z])([a-zA-Z]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^\s,]+))'
)
_PLAIN: Final = re.compile(r'[^\x00-\x1f"\\\x7f-\U0010ffff]*')


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What a 401 asks for."""

    realm: str
    nonce: str
    qop: str | None = None
    opaque: str | None = None
    algorithm: str | None = None


def parse_challenge(header: str | None) -> Challenge | None:
    """Read `WWW-Authenticate`; `None` when it holds no Digest challenge we can answer."""
    scheme = re.search(r"\bdigest\s", header or "", re.IGNORECASE)
    if header is None or scheme is None:
        return None
    fields: dict[str, str] = {}
    for name, quoted, bare in _FIELD.findall(header[scheme.end() :]):
        fields.setdefault(name.lower(), quoted or bare)
    algorithm = fields.get("algorithm")
    if algorithm is not None and algorithm.lower() != "md5":
        return None
    offers = [each.strip().lower() for each in fields.get("qop", "").split(",") if each.strip()]
    if (offers and "auth" not in offers) or "nonce" not in fields:
        return None
    return Challenge(
        realm=fields.get("realm", ""),
        nonce=fields["nonce"],
        qop="auth" if offers else None,
        opaque=fields.get("opaque"),
        algorithm=algorithm,
    )


class Digest:
    """The state of one miner's authentication: its last challenge and how often it was answered."""

    def __init__(self) -> None:
        self.challenge: Challenge | None = None
        self._count = 0
        self._login: tuple[Credentials, str] | None = None  # with which realm, for `_ha1`
        self._ha1 = ""

    def learn(self, challenge: Challenge) -> None:
        """Answer this one from now on."""
        self.challenge = challenge
        self._count = 0

    def forget(self) -> None:
        """After a change of the password, or a refusal."""
        self.challenge = None

    def authorization(self, credentials: Credentials, method: str, uri: str) -> str:
        """The header's value for one request; `uri` exactly as in the request line, query included.

        Raises AuthFailedError if the user name cannot be sent.
        """
        if self.challenge is None:
            raise ValueError("no challenge to answer yet")
        self._count += 1
        login = (credentials, self.challenge.realm)
        if login != self._login:
            self._login, self._ha1 = login, ha1_of(*login)
        return answer(
            self.challenge,
            credentials,
            method,
            uri,
            count=self._count,
            cnonce=secrets.token_hex(8),
            ha1=self._ha1,
        )


def ha1_of(credentials: Credentials, realm: str) -> str:
    """What a login is proven by in that realm. Raises AuthFailedError for a user name with quotes."""
    if not _PLAIN.fullmatch(credentials.user):
        raise AuthFailedError("the user name is not plain ASCII without quotes; correct it")
    return _md5(f"{credentials.user}:{realm}:{credentials.password}")


def answer(
    challenge: Challenge,
    credentials: Credentials,
    method: str,
    uri: str,
    *,
    count: int,
    cnonce: str,
    ha1: str | None = None,
) -> str:
    """The value of `Authorization` for these very values; `ha1` where it is known by now. Raises as `ha1_of`."""
    ha1 = ha1_of(credentials, challenge.realm) if ha1 is None else ha1
    ha2 = _md5(f"{method}:{uri}")
    fields = [
        f'username="{credentials.user}"',
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f'uri="{uri}"',
    ]
    if challenge.qop:
        nc = f"{count:08x}"
        response = _md5(f"{ha1}:{challenge.nonce}:{nc}:{cnonce}:{challenge.qop}:{ha2}")
        fields += [f'response="{response}"', f"qop={challenge.qop}", f"nc={nc}"]
        fields.append(f'cnonce="{cnonce}"')
    else:
        fields.append(f'response="{_md5(f"{ha1}:{challenge.nonce}:{ha2}")}"')
    # Some builds give these and want them back; stock ones give neither.
    if challenge.opaque is not None:
        fields.append(f'opaque="{challenge.opaque}"')
    if challenge.algorithm is not None:
        fields.append(f"algorithm={challenge.algorithm}")
    return "Digest " + ", ".join(fields)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
