"""Passwords as they may be seen: hidden, wherever a task or a miner is shown."""

from __future__ import annotations

import re
from typing import Any, Final

MASK: Final = "***"
# Of a text that begins with it, or of `//` within one: a user, a colon, a password, `@`.
_IN_URL: Final = re.compile(r"((?:^|//)[^\s/?#@:]*):[^\s/?#]*@")
_BEFORE_AT: Final = re.compile(r"^(.*?//)?.*@", re.DOTALL)
_QUOTED_CHARS: Final = 80
# An option by its name, what parts it from its value, and the value, which may stand between quotes.
_SECRET_ARGUMENT: Final = re.compile(
    r"""((?:^|(?<=\s))(?:-[pO]|--?[\w-]*(?:pass|token|secret|key(?!\w))[\w-]*)(?:=|\s+))"""
    r"""(?!\$[A-Z_0-9]+(?:\s|$))(?:"[^"]*"|'[^']*'|[^\s]+)""",
    re.IGNORECASE,
)
_STARS: Final = re.compile(r"\*{3,}")
# What `_IN_URL` leaves in place of a password, wherever it found one.
_STARS_IN_URL: Final = re.compile(r"(?:^|//)[^\s/?#@:]*:\*{3,}@")


def masked_url(text: str) -> str:
    """A url, or a text with urls in it, without the passwords inside them."""
    return _IN_URL.sub(rf"\1:{MASK}@", text) if "@" in text else text


def hidden(value: Any) -> Any:
    """A copy of plain values (as JSON has them) without what stands under `password` and without passwords inside urls.

    A stack of its own: nesting is the sender's choice.
    """
    whole: list[Any] = [value]
    waiting: list[Any] = [whole]
    while waiting:
        box = waiting.pop()
        for key, each in box.items() if isinstance(box, dict) else enumerate(box):
            if key == "password" and each not in (None, ""):
                box[key] = MASK
            elif isinstance(each, str):
                box[key] = masked_url(each)
            elif isinstance(each, dict | list | tuple):
                box[key] = dict(each) if isinstance(each, dict) else list(each)
                waiting.append(box[key])
    return whole[0]


def masked_arguments(text: str) -> str:
    """The arguments of a program without what stands after an option that is called like a secret (`--pass X`,
    `--http-access-token=X`, `-p X`) and without passwords inside urls. A variable is none: `--pass $WORKER_NAME`.
    """
    return masked_url(_SECRET_ARGUMENT.sub(rf"\1{MASK}", text))


def is_hidden(key: str, text: str) -> bool:
    """Whether a text under that key holds the stars that are shown in place of a password."""
    if key == "password":
        return _STARS.fullmatch(text) is not None
    return _STARS_IN_URL.search(text) is not None


def quoted(text: str) -> str:
    """A text that was refused, cut, for a message: whatever may be a password in it is hidden."""
    return repr(_BEFORE_AT.sub(rf"\1{MASK}@", text)[:_QUOTED_CHARS])
