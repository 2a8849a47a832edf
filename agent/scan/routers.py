"""Whether the routers are there behind which a sweep is to ask: without its router, nothing leaves this host."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Final

from agent.scan.neighbours import NeighbourState, NeighbourTable
from agent.scan.segment import FULL
from agent.scan.visit import shown
from contract.clock import Clock

_PATIENCE_S: Final = 30.0
_SOON_S: Final = 0.002  # a router that is there answers at once
_SELDOM_S: Final = 0.1


def lost_routers(
    targets: Mapping[int, tuple[str, int]],
    table: NeighbourTable,
    clock: Clock,
    gives_up: Callable[[float], bool],
) -> dict[int, str]:
    """Which of them cannot be reached, and why, in words. `targets`: an address and port behind each; a connect there
    asks for a router that the table does not know, and nothing is sent for the others. `gives_up` waits so many
    seconds, and says whether nobody wants to know any more. Raises OSError.
    """
    lost: dict[int, str] = {}
    open_ones = dict(targets)
    asking: dict[int, socket.socket] = {}
    until, wait_s = clock.mono() + _PATIENCE_S, _SOON_S
    try:
        while open_ones:
            standing = table.neighbours().standing
            for router, target in list(open_ones.items()):
                state = standing.get(router)
                if state is NeighbourState.THERE:
                    del open_ones[router]
                elif state is NeighbourState.NOBODY and router in asking:
                    lost[router] = f"the router {shown(router)} does not answer"
                    del open_ones[router]
                elif state is not NeighbourState.ASKED:
                    if router in asking:  # it found no place
                        asking.pop(router).close()
                    asking[router] = _asked(target)
            if open_ones and clock.mono() >= until:
                return lost | dict.fromkeys(open_ones, FULL)
            if open_ones and gives_up(wait_s):
                break
            wait_s = min(_SELDOM_S, wait_s * 2)
    finally:
        for each in asking.values():
            each.close()
    return lost


def _asked(target: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.connect_ex(target)
    return sock
