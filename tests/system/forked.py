"""A program whose lives are forked from this process, which has everything imported, since importing is most of what a
short life costs: `python forked.py HEAVY MODULE ARGUMENTS...` imports HEAVY and runs MODULE's `main` once for each line
of standard input. For each life two lines are said: its process id, and once it has ended its exit code.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from agent.demo.part import bound_to_us


def live(module: str) -> None:
    """One life, from its first line to its end. What it says goes to the log."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import_module(module).main()


if __name__ == "__main__":
    heavy, program = sys.argv[1:3]
    del sys.argv[1:3]
    import_module(heavy)
    import_module(program)
    for _ in sys.stdin:
        bind = bound_to_us()
        pid = os.fork()
        if not pid:
            if bind:
                bind()
            live(program)
            sys.exit()
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
