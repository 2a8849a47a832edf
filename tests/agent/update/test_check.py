"""What the doctor says of updates."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from agent.cli.doctor import examine
from agent.update.check import updates_here
from tests.agent.update.host import OLD
from tests.agent.update.order import Bench, bench_in
from tests.virtual_time import loop_clock


async def words(bench: Bench, **facts) -> tuple[bool, str]:
    """Of an agent that is enrolled."""
    (bench.state / "token").touch(mode=0o600)
    return await updates_here(bench.config, bench.host.process(**{"state": bench.state} | facts))


async def test_which_release_runs_and_where_newer_ones_come_from(
    tmp_path: Path, ca_file: Path
) -> None:
    async with bench_in(tmp_path, ca_file=ca_file) as bench:
        is_well, text = await words(bench)
        assert is_well
        assert text == (
            f"release {OLD} ({bench.host.identity(OLD).sha256[:12]}) runs; {bench.site.url}/releases gives newer ones "
            "(channel stable)"
        )
        is_well, text = await words(bench, units=())
        assert is_well
        assert "sudo apt install ./miner-agent_VERSION+deb12_arm64.deb" in text
        bench.sections["update"] = {"url": f"{bench.site.url}/elsewhere"}
        is_well, text = await words(bench)
        assert not is_well
        assert "miner-cloud release publish" in text
        bench.sections["firmware"] = {"allowed": ["10.0.0.0/8"]}
        is_well, text = await words(bench)
        assert not is_well
        assert "[firmware]" in text
        bench.sections["update"] = {"url": None}
        is_well, text = await words(bench)
        assert not is_well
        assert "set url in [update]" in text


async def test_before_it_is_enrolled_no_repository_is_asked(tmp_path: Path, ca_file: Path) -> None:
    """Its cloud is known by nothing yet."""
    async with bench_in(tmp_path, ca_file=ca_file) as bench:
        is_well, text = await updates_here(bench.config, bench.host.process(state=bench.state))
        assert is_well
        assert text.endswith("/releases is asked for newer ones once this agent is enrolled")
        assert bench.site.asked == []


async def test_a_release_without_a_root_of_trust_says_what_is_left_to_it(
    tmp_path: Path, ca_file: Path
) -> None:
    async with bench_in(tmp_path, ca_file=ca_file) as bench:
        bench.host.root = None
        is_well, text = await words(bench)
        assert not is_well
        assert "install a package that was built with release/root.json" in text
        bench.sections["update"] = {"keys": ["00" * 32]}
        is_well, text = await words(bench)
        assert not is_well
        assert text.endswith("orders need binary_url and signature")


async def test_a_repository_that_stays_silent_is_not_waited_for(
    tmp_path: Path, ca_file: Path
) -> None:
    async with bench_in(tmp_path, ca_file=ca_file) as bench:

        async def slow(_: web.Request) -> web.StreamResponse:
            await bench.site.clock.sleep(10_000.0)
            return web.Response()

        bench.site.answers["metadata/timestamp.json"] = slow
        is_well, text = await words(bench)
        assert not is_well
        assert "did not answer within 20 s" in text


async def test_the_doctor_has_a_line_of_updates(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[state]\ndir = 'state'\n")
    findings = {each.subject: each for each in await examine(config, loop_clock())}
    assert findings["updates"].level == "ok"
    assert findings["updates"].text.startswith("not by order of the cloud: ")
