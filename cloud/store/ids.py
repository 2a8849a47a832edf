"""How ids and secrets are minted. Shapes are those of the Nonce API."""

from __future__ import annotations

import hashlib
import secrets
import string
import uuid
from typing import Final

_LETTERS: Final = string.ascii_letters + string.digits
KEY_PREFIX: Final = "nonce_sk_"
AGENT_TOKEN_PREFIX: Final = "agt_"


def new_uuid() -> str:
    """Farms, agents, batches and tasks: UUID text."""
    return str(uuid.uuid4())


def new_miner_id() -> str:
    """32 hex characters."""
    return uuid.uuid4().hex


def new_workspace_id() -> str:
    """`org_` and 27 characters."""
    return "org_" + _random(27)


def new_actor_id(kind: str) -> str:
    """`kind` is `user` or `key`; `user_...` / `key_...` with 27 characters."""
    return f"{kind}_{_random(27)}"


def new_api_key() -> str:
    """An operator's key. Shown once; only its hash is stored."""
    return KEY_PREFIX + _random(40)


def new_agent_token() -> str:
    """An agent's bearer token. Shown once; only its hash is stored."""
    return AGENT_TOKEN_PREFIX + _random(48)


def new_enroll_code() -> str:
    """A one-time code short enough to be typed: five groups of four, no look-alike letters."""
    alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(5))


def secret_hash(secret: str) -> str:
    """How a secret is stored. Plain SHA-256: our secrets are random and long, so nothing can be guessed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
