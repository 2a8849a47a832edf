"""`miner-cloud tls`, and what serve, enroll-code and the commands of operators do with it: processes, as on a host."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from contract.enrolment.code import EnrolCode
from service.hostuser import HostUser, acting_as
from tests.cloud.test_cli import CLOUD, ask, run, serving
from tests.handshakes import client_context
from tests.waiting import until
from tests.warm import started


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def farm_of(data: Path) -> str:
    workspace = ask(data, "workspace", "create", "--name", "W")
    farm = ask(data, "farm", "create", "--name", "F", "--workspace", workspace["id"])
    return str(farm["id"])


def test_when_it_is_shown_is_said(data: Path) -> None:
    out, _ = run("tls", "init", "--name", "cloud.example.net", "--data", str(data))
    assert out.splitlines()[-1] == "serve shows it from its next start on"


def test_what_is_there_is_shown_in_words_and_as_json(data: Path) -> None:
    made = ask(data, "tls", "init", "--name", "Cloud.example.net", "--name", "192.168.1.5")
    assert made["certificate"]["names"][:2] == ["cloud.example.net", "192.168.1.5"]
    assert made["ca_file"] == str(data / "tls" / "ca.pem")
    assert ask(data, "tls", "show") == made
    out, _ = run("tls", "show", "--data", str(data))
    assert made["authorities"][0]["sha256"] in out
    assert made["certificate"]["sha256"] in out
    added = ask(data, "tls", "add-name", "pi.local")
    assert "pi.local" in added["certificate"]["names"]
    rotated = ask(data, "tls", "rotate-ca")
    assert rotated["authorities"][1] == made["authorities"][0]
    out, _ = run("tls", "show", "--data", str(data))
    assert "former" in out
    finished = ask(data, "tls", "rotate-ca", "--finish")
    assert finished["authorities"] == rotated["authorities"][:1]


@pytest.mark.parametrize("name", ["https://a", "a:8443", "*.a", ""])
def test_a_name_that_is_none_is_wrong_usage_and_makes_nothing(data: Path, name: str) -> None:
    _, err = run("tls", "init", "--name", name, "--data", str(data), status=2)
    assert "no name of a host" in err
    assert not data.exists()


@pytest.mark.parametrize(
    "words", [("show",), ("add-name", "a"), ("rotate-ca",), ("rotate-ca", "--finish")]
)
def test_without_any_it_is_said_what_makes_them(data: Path, words: tuple[str, ...]) -> None:
    _, err = run("tls", *words, "--data", str(data), status=1)
    assert "miner-cloud tls init makes some" in err
    assert len(err.splitlines()) == 1
    assert not data.exists()


async def test_serve_shows_it_by_itself_and_a_code_names_its_authority(data: Path) -> None:
    made = await asyncio.to_thread(ask, data, "tls", "init", "--name", "cloud.example.net")
    farm = await asyncio.to_thread(farm_of, data)
    print_ = made["authorities"][0]["sha256"]
    code = await asyncio.to_thread(ask, data, "enroll-code", "--farm", farm)
    assert code["ca_sha256"] == print_ == EnrolCode.of(code["code"]).fingerprint
    public = await asyncio.to_thread(
        ask, data, "enroll-code", "--farm", farm, "--public-certificate"
    )
    assert public["ca_sha256"] is EnrolCode.of(public["code"]).fingerprint is None
    async with serving(data, "--host", "0.0.0.0") as (url, _), aiohttp.ClientSession() as http:
        assert url.startswith("https://0.0.0.0:")
        here = url.replace("0.0.0.0", "127.0.0.1")
        trust = client_context(data / "tls" / "ca.pem")
        body = {"code": code["code"].lower(), "hostname": "pi", "version": "v1", "platform": "L"}
        # As an agent from before fingerprints would, which sends all of the code.
        async with http.post(f"{here}/link/v1/enroll", json=body, ssl=trust) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(f"{here}/health")
        key = await asyncio.to_thread(
            ask, data, "key", "create", "--name", "K", "--workspace", await workspace_of(data)
        )
        words = ("miners", "--url", here)
        env = {"MINER_CLOUD_KEY": key["key"]}
        code_, err = await ran(*words, env=env)
        assert code_ == 1
        assert "tls/ca.pem in the cloud's data directory" in err
        code_, err = await ran(*words, "--ca-file", str(data / "tls" / "ca.pem"), env=env)
        assert code_ == 0, err


async def test_serve_says_whose_it_is(data: Path) -> None:
    made = await asyncio.to_thread(ask, data, "tls", "init", "--name", "cloud.example.net")
    process = await started("cloud.cli", "serve", "--data", str(data), "--port", "0")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        assert "listens on https://127.0.0.1:" in line
        assert f"authority sha256 {made['authorities'][0]['sha256']}" in line
    finally:
        process.terminate()
        await process.wait()


async def test_plain_http_has_to_be_asked_for_where_there_are_certificates(data: Path) -> None:
    await asyncio.to_thread(ask, data, "tls", "init", "--name", "cloud.example.net")
    async with serving(data, "--insecure-http") as (url, _):
        assert url.startswith("http://")


async def test_a_beginning_that_was_not_finished_is_no_plain_http(data: Path) -> None:
    await asyncio.to_thread(ask, data, "tls", "init", "--name", "cloud.example.net")
    (data / "tls" / "server.pem").unlink()
    process = await started("cloud.cli", "serve", "--data", str(data), "--port", "0")
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert "miner-cloud tls init" in err.decode()
    await asyncio.to_thread(ask, data, "tls", "init", "--name", "cloud.example.net")
    async with serving(data) as (url, _):
        assert url.startswith("https://")


OWNER = HostUser(54321, 54321, "54321")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as another user")
async def test_root_makes_them_for_the_owner_of_the_folder_who_serves_them() -> None:
    import tempfile

    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        data = place / "data"
        data.mkdir(mode=0o700)
        os.chown(data, OWNER.uid, OWNER.gid)
        await asyncio.to_thread(ask, data, "tls", "init", "--name", "cloud.example.net")
        assert {each.lstat().st_uid for each in data.rglob("*")} == {OWNER.uid}
        async with serving(data, program=CLOUD) as (url, _):
            assert url.startswith("https://")
        assert {each.lstat().st_uid for each in data.rglob("*")} == {OWNER.uid}
        # What root left there by other means is named, with what to do.
        for each in (data / "tls").iterdir():
            os.chown(each, 0, 0)
        with acting_as(OWNER):
            _, err = run("tls", "add-name", "a", "--data", str(data), status=1)
        assert "cannot be written by 54321" in err
        assert "chown" in err
        # Root follows no link that the owner laid.
        precious = place / "precious"
        precious.mkdir()
        shutil.rmtree(data / "tls")
        (data / "tls").symlink_to(precious)
        os.chown(data / "tls", OWNER.uid, OWNER.gid, follow_symlinks=False)
        run("tls", "init", "--name", "a", "--data", str(data), status=1)
        assert list(precious.iterdir()) == []
    finally:
        shutil.rmtree(place)


async def ran(*words: str, env: dict[str, str]) -> tuple[int | None, str]:
    process = await started("cloud.cli", *words, env={**os.environ, **env})
    _, err = await process.communicate()
    return process.returncode, err.decode()


async def workspace_of(data: Path) -> str:
    (found,) = await asyncio.to_thread(ask, data, "workspace", "list")
    return str(found["id"])


async def test_the_former_authority_is_trusted_until_every_agent_was_online_since(
    data: Path,
) -> None:
    await asyncio.to_thread(ask, data, "tls", "init", "--name", "cloud.example.net")
    farm = await asyncio.to_thread(farm_of, data)
    trust = client_context(data / "tls" / "ca.pem")
    finish = ("tls", "rotate-ca", "--finish", "--data", str(data))
    async with serving(data) as (url, _), aiohttp.ClientSession() as http:
        tokens = []
        for name in ("north", "south"):
            code = await asyncio.to_thread(ask, data, "enroll-code", "--farm", farm)
            body = {"code": code["code"], "hostname": name, "version": "v1", "platform": "L"}
            async with http.post(f"{url}/link/v1/enroll", json=body, ssl=trust) as response:
                tokens.append((await response.json())["token"])
        await asyncio.to_thread(ask, data, "tls", "rotate-ca")
        began = datetime.now(UTC)
        await until(
            lambda: datetime.now(UTC) > began + timedelta(seconds=1)
        )  # as finely as it is told
        beat = {"version": "v", "uptime_s": 1.0, "host": {}}
        for each, left in zip(tokens, (["north", "south"], ["south"]), strict=True):
            _, err = await asyncio.to_thread(run, *finish, status=1)
            assert f"{len(left)} agents were not online since" in err
            assert [name for name in ("north", "south") if f"{name} (" in err] == left
            bearer = {"Authorization": f"Bearer {each}"}
            async with http.post(
                f"{url}/link/v1/heartbeat", json=beat, headers=bearer, ssl=trust
            ) as response:
                assert response.status == 200
        done, _ = await asyncio.to_thread(run, *finish, "--json")
        assert len(json.loads(done)["authorities"]) == 1
        await asyncio.to_thread(ask, data, "tls", "rotate-ca")
        await asyncio.to_thread(run, *finish, status=1)
        await asyncio.to_thread(run, *finish, "--leave-behind")
