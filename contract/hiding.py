"""Passwords as they may be seen: hidden, wherever a task or a miner is shown."""

from __future__ import annotations

import re
from typing import Any, Final

MASK: Final = "***"
# Of a text that begins with it, or of `//` within one: a user, a colon, a password, `@`.
_IN_URL: Final = re.compile(r"((?:^|//)[^\s/?#@:]*):[^\s/?#]*@")
# Of a link that the cloud signed: whoever has it may fetch the file.
_SIGNATURE: Final = re.compile(r"([?&]sig=)[0-9a-f]{64}(?![0-9a-f])")
_BEFORE_AT: Final = re.compile(r"^(.*?//)?.*@", re.DOTALL)
_QUOTED_CHARS: Final = 80
# One word as a shell parts them; a quote that is not closed goes on to the end.
_SHELL_WORD: Final = re.compile(
    r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+(?:["'\\].*)?|["'\\].*""", re.DOTALL
)
_QUOTES: Final = re.compile(r"""["'\\]""")
_SECRET_OPTION: Final = re.compile(
    r"-p|-O|(?i:--?[\w-]*(?:pass|pwd|psw|token|secret|key(?!\w))[\w-]*)"
)
_FILLED_IN: Final = re.compile(r"\$(?:WORKER_NAME|(?:CPU|GPU|POOL|WALLET)_[A-Z_0-9]+)")
_STARS: Final = re.compile(r"\*{3,}")
# What is left in place of a password, or of a signature.
_STARS_IN_URL: Final = re.compile(r"(?:^|//)[^\s/?#@:]*:\*{3,}@|[?&]sig=\*{3,}")


def masked_url(text: str) -> str:
    """A url, or a text with urls in it, without the passwords inside them and the signatures of links of ours."""
    if "sig=" in text:
        text = _SIGNATURE.sub(rf"\1{MASK}", text)
    return _IN_URL.sub(rf"\1:{MASK}@", text) if "@" in text else text


def hidden(value: Any) -> Any:
    """A copy of plain values (as JSON has them) without what stands under `password`, and without passwords and
    signatures of ours inside urls.

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
    `--http-access-token=X`, `-p X`), however it is quoted, and without passwords inside urls. A variable of a playbook
    is none: `--pass $WORKER_NAME`.
    """
    is_secret = False  # the word that comes next

    def shown(found: re.Match[str]) -> str:
        nonlocal is_secret
        word, plain = found[0], _QUOTES.sub("", found[0])
        if is_secret:
            is_secret = False
            return word if _FILLED_IN.fullmatch(plain) else MASK
        name, equals, value = plain.partition("=")
        if not _SECRET_OPTION.fullmatch(name):
            return masked_url(word)
        if not equals:
            is_secret = True
            return word
        return word if _FILLED_IN.fullmatch(value) else f"{name}={MASK}"

    return _SHELL_WORD.sub(shown, text)


def is_hidden(key: str, text: str) -> bool:
    """Whether a text under that key holds the stars that are shown in place of a password."""
    if key == "password":
        return _STARS.fullmatch(text) is not None
    return _STARS_IN_URL.search(text) is not None


def quoted(text: str) -> str:
    """A text that was refused, cut, for a message: whatever may be a password in it is hidden."""
    return repr(_BEFORE_AT.sub(rf"\1{MASK}@", text)[:_QUOTED_CHARS])
