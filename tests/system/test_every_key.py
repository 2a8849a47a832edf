"""The commands of "Every key" (docs/security.md), in their order and as they are written, on one site: cloud and agent as
processes, a miner and a rig of the simulator. After each it is asked whether the key of before is good for nothing, and
the one that took its place for what it is for.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import pytest

from agent.cli.rigs import fingerprint
from agent.demo.part import command
from agent.link.trust import fingerprints_in, trusting
from agent.miners.known import known_miners
from cloud.tls.certificates import AUTHORITY_VALID
from contract.clock import SystemClock
from contract.enrolment.authorities import certificates_in
from drivers.rig.reach.login import host_key_of
from simulator.farm import Farm
from tests.agent.commands import Ran, miner_agent
from tests.agent.rigs import entry_of
from tests.cloud.test_cli import ask, run
from tests.pages import ROOT, sessions
from tests.waiting import until
from tests.warm import WarmPart

PAGE: Final = ROOT / "docs" / "security.md"
RIG: Final = "rig-1"


@dataclass
class Typist:
    """Types the page's next commands, with this site's places and `words` in place of those that the page has."""

    folder: Path
    cloud: WarmPart
    agent: WarmPart
    http: aiohttp.ClientSession
    places: dict[str, str]
    left: list[str]
    words: dict[str, str] = field(default_factory=dict)
    url: str = ""

    @property
    def data(self) -> Path:
        return self.folder / "cloud"

    @property
    def state(self) -> Path:
        return self.folder / "agent"

    @property
    def config(self) -> Path:
        return self.folder / "etc" / "config.toml"

    async def type(self, begins: str, given: str = "") -> str:
        """The next command, which is to begin so; what it printed. `given` is what a person types into it."""
        written = self.left.pop(0)
        assert written.startswith(begins), written
        said = re.sub(rf"\b({'|'.join(self.words)})\b", lambda match: self.words[match[0]], written)
        for old, new in self.places.items():
            said = said.replace(old, new)
        program, *rest = shlex.split(said)
        if program == "miner-cloud":
            out, _ = await asyncio.to_thread(run, *rest)
            return out
        if program == "miner-agent":
            ran = await self.on_agent(*rest)
            assert ran.code == 0, (written, ran.out, ran.err)
            return ran.out
        if program == "systemctl":
            assert rest[0] == "restart"
            await (self.restart_cloud if rest[1] == "miner-cloud" else self.restart_agent)()
            return ""
        return await shell(said, given)

    async def on_agent(self, *words: str) -> Ran:
        return await miner_agent(*words, "--config", self.config)

    async def restart_cloud(self) -> None:
        """Killed, since one that is asked to end answers first who waits for tasks."""
        await self.cloud.kill()
        await self.start_cloud()

    async def start_cloud(self) -> None:
        await self.cloud.start()
        await until(lambda: b'"ready"' in self.cloud.words_of_this_life())

    async def restart_agent(self) -> None:
        """Killed, too: it comes back the same way, and sooner."""
        await self.agent.kill()
        await self.agent.start()
        await until(lambda: b'"agent.ready"' in self.agent.words_of_this_life())

    async def restart_both(self) -> None:
        """What a command changed is looked for every few seconds, and at the start."""
        await self.restart_cloud()
        await self.restart_agent()

    async def status(self, path: str, *, key: str | None = None, **headers: str) -> int:
        """Of a call, by whom the agents' authority proves."""
        if key is not None:
            headers["x-api-key"] = key
        held = (self.data / "tls" / "ca.pem").read_text("ascii")
        context = trusting(*certificates_in(held))
        async with self.http.get(f"{self.url}{path}", headers=headers, ssl=context) as response:
            return response.status

    async def of_token(self, token: str) -> int:
        return await self.status("/link/v1/settings", Authorization=f"Bearer {token}")

    async def is_online(self) -> bool:
        """Whether the daemon calls by what it was given last: a new token, or a new cloud, forgets who was there."""
        held = (self.data / "tls" / "ca.pem").read_text("ascii")
        context = trusting(*certificates_in(held))
        url = f"{self.url}/private-api/v1/{self.words['WORKSPACE']}/agents"
        headers = {"x-api-key": self.words["KEY"]}
        async with self.http.get(url, headers=headers, ssl=context) as response:
            found = {each["id"]: each for each in (await response.json())["data"]}
        return bool(found[self.words["AGENT_ID"]]["status"] == "online")

    @property
    def token(self) -> str:
        return (self.state / "token").read_text().strip()

    async def enrol(self) -> None:
        """The two commands that do it, of which the first prints what the second needs."""
        self.words["CODE"] = (await self.type("miner-cloud enroll-code")).split()[0]
        await self.type("miner-agent enroll")


async def told(data: Path, *words: str) -> Any:
    """The document that a command on the cloud's host prints."""
    return await asyncio.to_thread(ask, data, *words)


async def shell(line: str, given: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", line, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(given.encode())
    assert process.returncode == 0, line
    return out.decode()


@asynccontextmanager
async def site(
    folder: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Typist, Farm]]:
    """All of it, set up as a person would have it before any key needs another."""
    data, config = folder / "cloud", folder / "etc" / "config.toml"
    credentials = folder / "etc" / "credentials"
    credentials.mkdir(parents=True)
    (folder / "root").mkdir()
    (folder / "agent").mkdir(mode=0o700)
    await told(data, "tls", "init", "--name", "localhost")
    workspace = (await told(data, "workspace", "create", "--name", "W"))["id"]
    farm_id = (await told(data, "farm", "create", "--name", "F", "--workspace", workspace))["id"]
    key = (await told(data, "key", "create", "--name", "K", "--workspace", workspace))["key"]
    code = (await told(data, "enroll-code", "--farm", farm_id))["code"]
    (folder / "key").write_text(key)
    (folder / "key").chmod(0o600)
    serve = ("serve", "--data", data, "--json", "--port")
    cloud = WarmPart(folder, "cloud", command("cloud.cli", *serve, 0))
    agent = WarmPart(folder, "agent", command("agent.cli.app", "run", "--config", config))
    specs = ["antminer/s21", "rig/xmrig-cpu"]
    async with (
        await Farm.start(specs, base=base) as farm,
        aiohttp.ClientSession() as http,
    ):
        miner, rig = farm.miners
        entry = entry_of(rig)
        at = f"{entry['user']}@{rig.ip}:{entry['port']}"
        places = {
            "/var/lib/miner-cloud": str(data),
            "/etc/miner-agent": str(folder / "etc"),
            "/root": str(folder / "root"),
            "cloud.example.net": "localhost",
            "miner-agent@192.168.1.60": at,
        }
        typist = Typist(
            folder, cloud, agent, http, places, sessions(PAGE)["every-key"],
            {"WORKSPACE": workspace, "FARM_ID": farm_id, "KEY": key},
        )  # fmt: skip
        try:
            await typist.start_cloud()
            ready = json.loads(cloud.words_of_this_life().splitlines()[-1])
            port = urlsplit(ready["url"]).port
            typist.url = f"https://localhost:{port}"
            cloud.program = command("cloud.cli", *serve, port)
            monkeypatch.setenv("MINER_CLOUD_URL", typist.url)
            monkeypatch.setenv("MINER_CLOUD_KEY_FILE", str(folder / "key"))
            monkeypatch.setenv("MINER_CLOUD_CA_FILE", str(data / "tls" / "ca.pem"))
            (credentials / "miners").write_text("a password of before")
            (credentials / "miners").chmod(0o600)
            (credentials / "rigs").write_bytes(Path(entry["key_file"]).read_bytes())
            (credentials / "rigs").chmod(0o600)
            config.write_text(
                f"[cloud]\nurl = '{typist.url}'\n[state]\ndir = '{folder}/agent'\n[health]\nheartbeat_s = 1\n"
                f"[miners]\nranges = ['{miner.ip}']\nallowed = ['127.0.0.0/8']\nhttp_port = {miner.http_port}\n"
                f"rpc_port = {miner.rpc_port}\n[[credentials]]\nrange = '{miner.ip}'\nuser = 'root'\n"
                "password_file = 'credentials/miners'\n"
            )
            for words in (
                ("enroll", "--code", code),
                ("rig", "add", RIG, "--ssh", at, "--key", str(credentials / "rigs"), "--yes"),
            ):
                ran = await typist.on_agent(*words)
                assert ran.code == 0, ran.err
            typist.words["AGENT_ID"] = json.loads((folder / "agent/membership.json").read_text())[
                "agent_id"
            ]
            await agent.start()
            yield typist, farm
        finally:
            await agent.kill()
            await cloud.kill()


async def _operators(typist: Typist) -> None:
    farms = f"/private-api/v1/{typist.words['WORKSPACE']}/farms"
    made = await typist.type("miner-cloud key create")
    key, key_id = re.findall(r"^(\S+)   \(key (\S+);", made)[0]
    assert key_id in await typist.type("miner-cloud key list")
    assert await typist.status(farms, key=key) == 200
    typist.words["KEY_ID"] = key_id
    await typist.type("miner-cloud key revoke")
    assert await typist.status(farms, key=key) == 401
    assert await typist.status(farms, key=typist.words["KEY"]) == 200
    assert "nothing of the kind was done" in await typist.type("miner-cloud audit")


async def _agents(typist: Typist) -> None:
    await until(typist.is_online)
    first = typist.token
    journal = (typist.state / "journal.db").stat().st_ino
    await typist.enrol()
    second = typist.token
    assert (await typist.of_token(first), await typist.of_token(second)) == (401, 200)
    await until(typist.is_online)  # the daemon that runs took it up
    assert typist.agent.returncode is None
    assert (typist.state / "journal.db").stat().st_ino == journal
    of_farm = ("enroll-code", "--farm", typist.words["FARM_ID"])
    of_agent = await told(typist.data, *of_farm, "--agent", typist.words["AGENT_ID"])
    unused = await told(typist.data, *of_farm)
    await typist.type("miner-cloud agent revoke")
    assert await typist.of_token(second) == 401
    assert "good no more: 1" in await typist.type("miner-cloud enroll-code")
    for code in (of_agent["code"], unused["code"]):
        refused = await typist.on_agent("enroll", "--code", code)
        assert (refused.code, "unknown, used or expired" in refused.err) == (1, True)
    assert typist.token == second  # nothing was lost by that
    back = await told(typist.data, *of_farm, "--agent", typist.words["AGENT_ID"])
    assert (await typist.on_agent("enroll", "--code", back["code"])).code == 0
    await until(typist.is_online)


async def _certificates(typist: Typist) -> None:
    pin, trusted = typist.state / "cloud-ca.pem", typist.data / "tls" / "ca.pem"
    before = fingerprints_in(pin)
    await typist.type("miner-cloud tls rotate-ca")
    assert len(fingerprints_in(trusted)) == 2
    shown = await told(typist.data, "tls", "show")
    made_at = datetime.fromisoformat(shown["authorities"][0]["until"]) - AUTHORITY_VALID
    # Who was there before the second ended in which it was made may not have heard of it.
    await until(lambda: SystemClock().now() > made_at + timedelta(seconds=1))
    await typist.restart_both()
    await until(lambda: set(fingerprints_in(pin)) == set(fingerprints_in(trusted)))
    await typist.type("miner-cloud tls rotate-ca --finish")
    await typist.restart_both()
    await until(lambda: len(fingerprints_in(pin)) == 1)
    assert fingerprints_in(pin) == fingerprints_in(trusted)
    assert set(fingerprints_in(pin)).isdisjoint(before)
    assert await typist.of_token(typist.token) == 200
    await typist.type("mv ")
    await typist.type("miner-cloud tls init")
    await typist.type("systemctl restart miner-cloud")
    await typist.enrol()
    assert fingerprints_in(pin) == fingerprints_in(trusted)
    await until(typist.is_online)


async def _links(typist: Typist) -> None:
    secret = typist.data / "link-secret"
    before = secret.read_bytes()
    await typist.type("rm ")
    await typist.type("systemctl restart miner-cloud")
    assert secret.read_bytes() != before
    assert secret.stat().st_mode & 0o777 == 0o600


async def _machines(typist: Typist) -> None:
    path = "/api/v1/asic_miners/expected_status"
    create = ("rig", "create", "--farm", typist.words["FARM_ID"], "--name", "KS5")
    made = await told(typist.data, *create)
    typist.words["RIG_ID"] = made["id"]
    code = (await typist.type("miner-cloud rig new-code")).split()[0]
    codes = (made["code"], code)
    assert [await typist.status(path, API_CODE=each) for each in codes] == [401, 200]
    await typist.type("miner-cloud rig revoke")
    assert await typist.status(path, API_CODE=code) == 401


async def read(typist: Typist, ip: str) -> str:
    """How a look at a miner or rig ends, by the keys that lie there now."""
    ran = await typist.on_agent("read", ip, "--json")
    trouble = ran.document.get("error") or ran.document["problem"]
    return "done" if trouble is None else str(trouble["code"])


async def _passwords(typist: Typist, ip: str) -> None:
    assert await read(typist, ip) == "auth_failed"
    file = typist.folder / "etc" / "credentials" / "miners"
    await typist.type("install ", given="root")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("root", 0o600)
    await typist.type("systemctl restart miner-agent")
    await until(lambda: known_miners(typist.state / "inventory.db"))  # by the scan of before
    said = await typist.type("miner-agent doctor")
    assert re.search(rf"{re.escape(ip)}.*reads well", said)


async def _our_key(typist: Typist, rig: Any) -> None:
    known = rig.folder / "home/miner/.ssh/authorized_keys"
    await typist.type("ssh-keygen ")
    public = (typist.folder / "root" / "rigs.pub").read_text()
    await typist.type("mv ")
    assert await read(typist, rig.ip) == "auth_failed"  # it is on no rig yet
    known.write_text(public)  # and the one of before no more
    await typist.type("systemctl restart miner-agent")
    said = await typist.type("miner-agent doctor")
    assert re.search(rf"rig {RIG}.*reads well", said)


async def _host_key(typist: Typist, rig: Any) -> None:
    rig.faults.add("changes_host_key")
    assert await read(typist, rig.ip) == "wrong_device"
    typist.places["SHA256:..."] = await _shown(rig)
    await typist.type("miner-agent rig remove")
    await typist.type("miner-agent rig add")
    await typist.type("systemctl restart miner-agent")
    assert await read(typist, rig.ip) == "done"


async def _shown(rig: Any) -> str:
    """The fingerprint of the key that the rig shows now, as a person reads it there."""
    return fingerprint(await host_key_of(rig.ip, entry_of(rig)["port"], deadline_s=10))


async def _ledger(typist: Typist) -> None:
    ran = await typist.on_agent("subscription", "register")
    assert ran.code == 0, ran.err
    key = typist.state / "subscriptions.key"
    before = key.read_text()
    await typist.type("miner-agent subscription register --new-key")
    assert key.read_text() != before
    assert key.stat().st_mode & 0o777 == 0o600
    subscribed = await typist.on_agent(
        *("subscription", "subscribe", "miner.system.reboot", "--price", "3", "--max", "100")
    )
    assert subscribed.code == 0, subscribed.err


async def test_each_key_is_rotated_revoked_and_replaced_by_the_commands_of_the_page(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path, base, monkeypatch) as (typist, farm):
        miner, rig = farm.miners
        await _operators(typist)
        await _agents(typist)
        await _certificates(typist)
        await _links(typist)
        await _machines(typist)
        await _passwords(typist, miner.ip)
        await _our_key(typist, rig)
        await _host_key(typist, rig)
        await _ledger(typist)
        assert typist.left == []
