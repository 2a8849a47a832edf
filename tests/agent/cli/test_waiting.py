"""A host that is not enrolled yet: its daemon waits, and says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.cli.status import run_health
from agent.cli.waiting import until_enrolled, wait_for_token
from agent.config.file import Config
from contract.clock import SystemClock
from service.notify import Notifier
from tests.service.ear import Ear


def config_of(folder: Path) -> Config:
    state = Config().state.model_copy(update={"dir": folder})
    return Config().model_copy(update={"state": state})


async def test_it_is_up_and_alive_until_there_is_a_token_and_then_reads_its_config_again(
    tmp_path: Path,
) -> None:
    ear = Ear(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"})
    before, after = config_of(tmp_path / "old"), config_of(tmp_path)
    waiting = asyncio.create_task(wait_for_token(before, lambda: after, SystemClock(), notifier))
    words: list[str] = []
    while words.count("WATCHDOG=1") < 3:
        await asyncio.sleep(0.5)
        words += ear.heard()
    assert words[0] == "READY=1\nSTATUS=waits for: miner-agent enroll --code CODE"
    assert not waiting.done()
    after.token_file.write_text("a token\n")
    assert await asyncio.wait_for(waiting, 10.0) is after
    ear.close()


def test_who_has_a_token_waits_for_nothing(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    config.token_file.write_text("a token\n")

    def again() -> Config:
        raise AssertionError("it is read once")

    assert until_enrolled(config, again) is config


def test_a_folder_of_another_is_said_in_place_of_waiting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = config_of(tmp_path / "file")
    ended = until_enrolled(config, lambda: config)
    assert isinstance(ended, tuple)
    assert ended[0] == 1
    assert "is no folder" in ended[2]


def test_health_is_of_the_daemon_and_not_of_the_farm(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    code, document, _ = run_health(config, is_config_named=True)
    assert (code, document["state"]) == (0, "waits")
    config.token_file.write_text("a token\n")
    code, document, _ = run_health(config, is_config_named=True)
    assert code == 1
    assert not document["ok"]
