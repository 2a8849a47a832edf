"""What the host lets this process do, and how the process arranges itself in it."""

from __future__ import annotations

import gc
import resource


def raise_open_files() -> int:
    """Lift the soft limit of open files to the hard one; gives what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    # an unlimited hard limit is taken as what kernels allow by default
    wanted = 1_048_576 if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        return soft
    return wanted


def settle_memory() -> None:
    """After start: what lives now lives on, so the collector need not walk it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
