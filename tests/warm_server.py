"""The other end of `warm.py`: its `main` imports all of MODULE's program and runs that
one's `main` in a process of its own for each order that comes over the socket: a JSON object {args, cwd, env}, with the
descriptors of its stdout, its stderr, and of a pipe on which two lines are said: its process id, and once it has ended
its exit code. Ends with the socket.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from agent.demo.part import bound_to_us

# What a program imports only once it runs.
HEAVY: Final = {
    "agent.cli.app": ("agent.cli.commands", "agent.daemon", "agent.cli.doctor", "agent.cli.render"),
    "agent.cli.rig_service": ("agent.rig.client", "agent.rig.daemon", "agent.cli.foreground"),
    "cloud.cli": ("cloud.server", "cloud.cli.commands", "cloud.store.schema.migrate"),
}
NAMES: Final = {
    "agent.cli.app": "miner-agent",
    "agent.cli.rig_service": "miner-agent-rig",
    "cloud.cli": "miner-cloud",
}
_ORDER_MAX_BYTES: Final = 2**20


class Server:
    """`main` runs once for each order, side by side."""

    def __init__(self, control: socket.socket, main: Callable[[], Any]) -> None:
        self._control = control
        self._main = main
        # By pidfd: process id, descriptor of its status.
        self._lives: dict[int, tuple[int, int]] = {}
        self._ready = selectors.DefaultSelector()
        self._ready.register(control, selectors.EVENT_READ)

    def run(self) -> None:
        """Until the other end is closed."""
        while True:
            for key, _ in self._ready.select():
                if key.fd in self._lives:
                    self._bury(key.fd)
                    continue
                said, fds, *_ = socket.recv_fds(self._control, _ORDER_MAX_BYTES, 3)
                if not said:
                    return
                self._begin(json.loads(said), *fds)

    def _begin(self, order: dict[str, Any], out: int, err: int, status: int) -> None:
        bind = bound_to_us()
        pid = os.fork()
        if not pid:
            if bind:
                bind()
            self._control.close()
            self._ready.close()
            for pidfd, (_, other) in self._lives.items():
                os.close(pidfd)
                os.close(other)
            os.close(status)
            self._live(order, out, err)
            sys.exit()
        os.close(out)
        os.close(err)
        os.write(status, b"%d\n" % pid)
        pidfd = os.pidfd_open(pid)
        self._lives[pidfd] = pid, status
        self._ready.register(pidfd, selectors.EVENT_READ)

    def _live(self, order: dict[str, Any], out: int, err: int) -> None:
        for given, place in ((out, 1), (err, 2)):
            os.dup2(given, place)
            os.close(given)
        # As the interpreter opens them: it looks at what a descriptor leads to.
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        sys.argv[1:] = order["args"]
        self._main()

    def _bury(self, pidfd: int) -> None:
        pid, status = self._lives.pop(pidfd)
        self._ready.unregister(pidfd)
        os.close(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(status, b"%d\n" % code)
        os.close(status)


def main() -> None:
    """`main SOCKET MODULE`."""
    fd, module = sys.argv[1:]
    program = import_module(module)
    for each in HEAVY.get(module, ()):
        import_module(each)
    sys.argv[0] = NAMES.get(module, module)
    gc.freeze()  # what has been imported is not gone through again at the end of every life
    Server(socket.socket(fileno=int(fd)), program.main).run()
