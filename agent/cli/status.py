"""`status` and `top`: what the daemon of this host knows of its farm, once or again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from agent.cli.answers import DONE, FAILED, USAGE, Ended
from agent.cli.commands import daemon_socket, failure, nobody_listens, stopped
from agent.cli.foreground import StoppedError, run
from agent.cli.glance import glance
from agent.cli.render import drawn
from agent.config.file import Config
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.local.socket import LocalRefusedError, LocalRequest, NoDaemonError, ask
from agent.local.status import STATUS
from contract.clock import SystemClock

_ANSWER_S: Final = 15.0
_KEY_BYTES: Final = 64  # of all that were pressed at once


def run_status(config: Config, *, is_config_named: bool) -> Ended:
    """What is wrong, once. Exit 1 when anything is, or nobody is there to ask."""
    set_up(LogSection(level="error"))
    try:
        document = run(_ask(config, is_config_named=is_config_named))
    except NoDaemonError as error:
        return failure(str(error))
    except (LocalRefusedError, ConnectionError, TimeoutError) as error:
        return failure(str(error) or f"the daemon gave no answer within {_ANSWER_S:.0f} s")
    except StoppedError as error:
        return stopped(error)
    return (DONE if document["ok"] else FAILED), document, drawn(glance(document))


def run_health(config: Config, *, is_config_named: bool) -> Ended:
    """Whether the daemon answers, whatever is wrong with the farm; or waits, as `run --wait` does. Exit 1 where it is
    neither.
    """
    set_up(LogSection(level="error"))
    try:
        run(_ask(config, is_config_named=is_config_named))
        return DONE, {"ok": True, "state": "up"}, "the daemon is up"
    except (NoDaemonError, LocalRefusedError, ConnectionError, TimeoutError) as error:
        problem = str(error) or f"the daemon gave no answer within {_ANSWER_S:.0f} s"
    except StoppedError as error:
        return stopped(error)
    try:
        if not config.token_file.exists():
            return DONE, {"ok": True, "state": "waits"}, "it waits for: miner-agent enroll"
    except OSError as error:
        return failure(error)
    return failure(problem)


def run_top(config: Config, *, is_config_named: bool, every_s: float) -> Ended:
    """The same, again and again, until q or Ctrl-C."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return failure(
            "usage: top needs a terminal; miner-agent status tells the same, once", USAGE
        )
    set_up(LogSection(level="error"))
    with _single_keys(), contextlib.suppress(StoppedError):
        run(_watch(config, is_config_named=is_config_named, every_s=every_s))
    return DONE, {"ok": True}, ""


async def _watch(config: Config, *, is_config_named: bool, every_s: float) -> None:
    clock, ended = SystemClock(), asyncio.Event()

    def pressed() -> None:
        keys = os.read(sys.stdin.fileno(), _KEY_BYTES)
        if not keys or b"q" in keys.lower():
            ended.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), pressed)
    try:
        with Live(
            Text("asking the daemon"), console=Console(), screen=True, auto_refresh=False
        ) as live:
            while not ended.is_set():
                live.update(await _view(config, is_config_named=is_config_named), refresh=True)
                pause = asyncio.ensure_future(clock.sleep(every_s))
                stop = asyncio.ensure_future(ended.wait())
                await asyncio.wait((pause, stop), return_when=asyncio.FIRST_COMPLETED)
                pause.cancel()
                stop.cancel()
    finally:
        loop.remove_reader(sys.stdin.fileno())


async def _view(config: Config, *, is_config_named: bool) -> Any:
    try:
        return glance(await _ask(config, is_config_named=is_config_named))
    except (NoDaemonError, LocalRefusedError, ConnectionError, TimeoutError) as error:
        return Text(str(error) or "the daemon gives no answer", style="bold red")


async def _ask(config: Config, *, is_config_named: bool) -> dict[str, Any]:
    """The daemon's answer. Raises NoDaemonError, LocalRefusedError, ConnectionError, TimeoutError."""
    path = await daemon_socket(config, is_config_named=is_config_named)
    if path is None:
        raise NoDaemonError(nobody_listens(config.socket_path))
    async with asyncio.timeout(_ANSWER_S):
        try:
            reply = await ask(path, LocalRequest(name=STATUS))
        except NoDaemonError:
            raise NoDaemonError(nobody_listens(path)) from None
    if reply.result is None:
        raise LocalRefusedError(reply.refused or "the daemon gave no answer")
    return reply.result


@contextlib.contextmanager
def _single_keys() -> Iterator[None]:
    """Keys come at once, and are not shown."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
