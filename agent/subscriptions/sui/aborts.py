"""Why the package did not take a call, in words: its numbers mean different things in its two call interfaces."""

from __future__ import annotations

from typing import Final

from contract.subscription.rules import ABORT_BASE, ABORT_TEXTS, Abi, Abort

_REPUTATION: Final = "the node's reputation is below what this class of work asks for"
_COMMON: Final[dict[int, str]] = {
    **{int(each): text for each, text in ABORT_TEXTS.items() if each is not Abort.MAX_IS_ZERO},
    11: "the package's own books disagree about this subscription",
}
TEXTS: Final = {
    Abi.PER_UNIT: {
        **_COMMON,
        Abort.MAX_IS_ZERO: ABORT_TEXTS[Abort.MAX_IS_ZERO],
        39: _REPUTATION,
    },
    Abi.PER_MILLION: {
        **_COMMON,
        38: _REPUTATION,
        45: "this class of work is not public, and the node is not on its list",
    },
}


def abort_text(code: int, abi: Abi) -> str:
    """What a code of the network means, as part of a sentence."""
    known = TEXTS[abi].get(code - ABORT_BASE)
    return known or f"the Move call ended with code {code}"
