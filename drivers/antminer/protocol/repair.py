"""JSON as firmwares write it. Each repair names the break it mends; sound text is decoded without them."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from contract.errors import MalformedError
from drivers.protocol import lenient

# Strings come first, so that nothing inside one is touched. One without its end takes the rest: were it given up
# instead, every quote behind would be tried again, and a few kilobytes of `\\"` would hold the loop for minutes.
_BREAKS: Final = re.compile(
    r'(?P<string>"(?:[^"\\]++|\\.)*+"?)'
    r"|(?P<glued>\}\s*\{)"  # OLD `stats`: no comma between its two objects
    r"|(?P<leading>[\[{]\s*,)"  # some bmminer builds: `[,{`
    r"|(?P<trailing>,\s*(?=[\]}]))"  # a comma before an end
    r"|(?P<empty>:\s*(?=[,}]))",  # get_miner_conf.cgi: `"key" : ,`
    re.DOTALL,
)
_PARTS: Final = (b'"', b"{", b"[", b",", b":")
_PARTS_CAP: Final = 10_000  # several times what the longest reply known has
_TAIL: Final = re.compile(r'[\s\x00"\]}]{0,8}')  # closers too many, as one S9k sends


def strip_reply(data: bytes) -> bytes:
    """Without the NUL that ends an API reply and the blank lines that begin a CGI's."""
    return data.strip(b"\x00\r\n\t ")


def decode_json(data: bytes) -> Any:
    """Plain values of a reply, mended where needed. Raises MalformedError, and nothing else."""
    data = strip_reply(data)
    if not data:
        raise MalformedError("empty reply; the mining process may be restarting")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_broken(data)


def mend(text: str) -> str:
    """Undo the known breaks, outside of strings only."""
    return _BREAKS.sub(lenient.mended, text)


# --- private -------------------------------------------------------------------------------------


def _decode_broken(data: bytes) -> Any:
    # Mending costs many times what reading costs, and all miners share the loop it runs on.
    if sum(map(data.count, _PARTS)) > _PARTS_CAP:
        raise MalformedError(
            f"not JSON, and in too many parts to be mended; it began {data[:40]!r}"
        )
    try:
        text = mend(data.decode("utf-8", "replace"))
        return lenient.decode(text, _TAIL)
    except lenient.BROKEN as error:
        raise MalformedError(f"not JSON ({str(error)[:80]}); it began {data[:40]!r}") from None
