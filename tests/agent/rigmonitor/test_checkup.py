"""What `doctor` says of the monitor."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from agent.config.file import Config, parse
from agent.sinks.rigmonitor.checkup import check_monitor
from contract.miner import Identity, Make
from tests.agent.rigmonitor.strict_server import strict_server

MACS = [f"02:00:00:00:00:{n:02X}" for n in range(8)]


def config_for(folder: Path, url: str, known: int = 8, **more) -> Config:
    codes = folder / "codes"
    codes.write_text("".join(f"{mac} secret-{n}\n" for n, mac in enumerate(MACS[:known])))
    codes.chmod(0o600)
    return parse({"rigmonitor": {"url": url, "codes_file": str(codes)}, **more})


async def said(config: Config, miners: dict[str, Identity] | None = None) -> list[tuple[str, str]]:
    found = [(each.level, each.text) for each in await check_monitor(config, miners)]
    assert not any("secret-" in text for _, text in found)
    return found


async def test_without_a_monitor_nothing_is_said() -> None:
    assert await check_monitor(parse({})) == []


async def test_a_monitor_that_knows_the_codes_is_well(tmp_path: Path) -> None:
    async with strict_server() as server:
        for number in range(8):
            server.add(f"secret-{number}")
        found = await said(config_for(tmp_path, server.url))
        assert found == [
            ("ok", f"{server.url} answers"),
            ("ok", "it knows the codes of 8 of 8 miners"),
        ]
        assert server.faults == []
        (warning,) = [
            each
            for each in await said(config_for(tmp_path, server.url, telemetry={"enabled": False}))
            if each[0] == "warning"
        ]
        assert "telemetry" in warning[1]


async def test_codes_it_does_not_know_are_named_by_their_miners(tmp_path: Path) -> None:
    async with strict_server() as server:
        server.add("secret-0")
        found = await said(config_for(tmp_path, server.url))
        assert [level for level, _ in found] == ["ok", "warning", "ok"]
        assert found[1][1].startswith(f"it does not know the code of {', '.join(MACS[1:6])} and 2")
        assert found[2][1] == "it knows the codes of 1 of 8 miners"


async def test_icerivers_without_a_power_and_codes_without_a_miner_are_said_beforehand(
    tmp_path: Path,
) -> None:
    miners = {
        "10.0.0.1": Identity(make=Make.ICERIVER, mac=MACS[0]),
        "10.0.0.2": Identity(make=Make.WHATSMINER, mac=MACS[1]),
    }
    async with strict_server() as server:
        for number in range(3):
            server.add(f"secret-{number}")
        config = config_for(tmp_path, server.url, known=3)
        absent, unmetered = (text for level, text in await said(config, miners) if level != "ok")
        assert MACS[2] in absent
        assert MACS[0] not in absent
        assert MACS[0] in unmetered
        assert MACS[1] not in unmetered
        assert "default_power_w" in unmetered
        told = config.rigmonitor.model_copy(update={"default_power_w": 3500})
        found = await said(config.model_copy(update={"rigmonitor": told}), miners)
        assert not any("measure" in text for _, text in found)


async def test_a_proxy_that_drops_the_header_is_told_from_a_wrong_code(tmp_path: Path) -> None:
    async with strict_server() as server:
        server.add("secret-0")
        server.mood = "refusing"
        found = await said(config_for(tmp_path, server.url, known=1))
        assert found[-1][0] == "problem"
        assert "underscores_in_headers on;" in found[-1][1]


@pytest.mark.parametrize("mood", ["away", "html", "wrong"])
async def test_something_else_at_its_address_is_a_problem(tmp_path: Path, mood: str) -> None:
    async with strict_server() as server:
        server.mood = mood
        ((level, text),) = await said(config_for(tmp_path, server.url))
        assert level == "problem"
        assert "check url in [rigmonitor]" in text


async def test_nobody_at_its_address_is_a_problem(tmp_path: Path) -> None:
    async with strict_server() as server:
        url = server.url
    ((level, text),) = await said(config_for(tmp_path, url))
    assert level == "problem"
    assert "cannot be reached: connect" in text


async def test_a_redirect_is_not_followed_with_the_code(tmp_path: Path) -> None:
    asked = []

    async def away(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("http://127.0.0.1:1/")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", away)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    ((level, text),) = await said(config_for(tmp_path, url))
    await runner.cleanup()
    assert level == "problem"
    assert "answered 302" in text
    assert asked == ["/api/v1/ping"]


async def test_unreadable_codes_are_a_problem(tmp_path: Path) -> None:
    config = config_for(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "codes").unlink()
    ((level, text),) = await said(config)
    assert level == "problem"
    assert "no such file" in text


async def test_a_monitor_without_miners_is_a_warning(tmp_path: Path) -> None:
    async with strict_server() as server:
        found = await said(parse({"rigmonitor": {"url": server.url}}))
        assert [level for level, _ in found] == ["ok", "warning"]
