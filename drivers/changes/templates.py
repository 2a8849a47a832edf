"""Worker names that differ per miner: `{mac}`, `{ip4}` and `{serial}` in a pool's user."""

from __future__ import annotations

import re
from typing import Final

from contract.errors import BadParamsError
from contract.miner import Identity

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_]*)\}")
_KNOWN: Final = ("mac", "ip4", "serial")


def fill(text: str, identity: Identity, host: str) -> str:
    """`text` with its placeholders replaced.

    `{mac}` becomes 12 hex digits without colons, `{ip4}` the address with `x` for its dots (pools
    cut the account from the worker at a dot), `{serial}` the miner's serial number. Raises
    BadParamsError for a placeholder we do not know and for a fact this miner does not give.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in _KNOWN:
            raise BadParamsError(
                f"unknown placeholder {{{name[:20]}}} in the pool user: use {{mac}}, {{ip4}} or {{serial}}"
            )
        known = {
            "mac": identity.mac.replace(":", "") if identity.mac else None,
            "ip4": host.replace(".", "x") if host.count(".") == 3 else None,
            "serial": identity.serial,
        }[name]
        if not known:
            raise BadParamsError(
                f"this miner does not tell its {name}: {{{name}}} cannot be filled in"
            )
        return known

    return _PLACEHOLDER.sub(value, text)
