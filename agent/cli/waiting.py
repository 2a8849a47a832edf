"""What the daemon does on a host that is not enrolled yet: it waits, so that nothing has to be started then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from agent.cli.answers import DONE, Ended
from agent.cli.commands import failure
from agent.cli.foreground import StoppedError, run
from agent.config.file import Config
from agent.host.logs import set_up
from contract.clock import Clock, SystemClock
from service.notify import Notifier
from service.ownfolder import ForeignFolderError, check_folder

log = structlog.get_logger(__name__)
_LOOK_S: Final = 2.0


def until_enrolled(config: Config, again: Callable[[], Config]) -> Config | Ended:
    """The config as it is once there is a token; how the process ends where a signal came before. `again` reads it: a
    person who has a code sets the cloud's address, too.
    """
    if config.token_file.exists():
        return config
    set_up(config.log)
    try:
        check_folder(config.state.dir)
        return run(wait_for_token(config, again, SystemClock(), Notifier()))
    except ForeignFolderError as error:
        return failure(error)
    except StoppedError:
        return DONE, {"ok": True}, ""


async def wait_for_token(
    config: Config, again: Callable[[], Config], clock: Clock, notifier: Notifier
) -> Config:
    """Until cancelled, or there is a token. systemd is told that we are up, and why nothing is done."""
    log.info("agent.waits", token=str(config.token_file))
    notifier.ready("waits for: miner-agent enroll --code CODE")
    while not config.token_file.exists():
        notifier.alive()
        await clock.sleep(
            _LOOK_S if notifier.watchdog_s is None else min(_LOOK_S, notifier.watchdog_s / 4)
        )
        config = again()
    return config
