"""What an option of a command may be given as: the text itself, `@FILE`, or `-` for standard input."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path


def given_text(text: str, cap_bytes: int) -> str:
    """The text that is meant. Raises OSError for a file that cannot be read or is longer, UnicodeDecodeError for one
    that is not UTF-8.
    """
    if text == "-":
        data = sys.stdin.buffer.read(cap_bytes + 1)
    elif text.startswith("@"):
        with Path(text[1:]).open("rb") as file:
            data = file.read(cap_bytes + 1)
    else:
        return text
    if len(data) > cap_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data.decode("utf-8-sig")  # some editors begin a file with a mark
