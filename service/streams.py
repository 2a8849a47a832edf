"""The streams that a process is started with."""

from __future__ import annotations

import os
import sys


def stand_in() -> None:
    """Have a stream in the place of each that was closed, which leads nowhere. Else the next file or socket would get
    its number, and whatever is written there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def lead_nowhere() -> None:
    """Let go of standard output, where nobody reads or nothing fits any more; what it still holds is lost."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
