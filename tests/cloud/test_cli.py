"""The command line as a person or a script uses it: real processes, one database."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import aiohttp
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from cloud.cli.commands import app
from cloud.cli.terminal import table
from cloud.config import CloudSettings
from cloud.store.schema.migrations import versions
from tests.warm import Life, started

CLOUD = (sys.executable, "-c", "from cloud.cli import main; main()")
NEWEST = max(each.stem[1:5] for each in Path(versions.__file__).parent.glob("r*.py"))


def run(*words: str, status: int = 0) -> tuple[str, str]:
    """In this process, since starting one takes most of a second; what is asked of processes has its own tests."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout, done.stderr


def run_process(*words: str, status: int = 0) -> tuple[str, str]:
    done = subprocess.run([*CLOUD, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout, done.stderr


async def refused(*words: str) -> str:
    """What a process says that is refused what it was asked for."""
    process = await started("cloud.cli", *words)
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert process.returncode == 1, err
    return err.decode()


def ask(data: Path, *words: str) -> Any:
    out, _ = run(*words, "--data", str(data), "--json")
    assert len(out.splitlines()) == 1
    return json.loads(out)


@asynccontextmanager
async def serving(
    data: Path,
    *words: str,
    program: Sequence[str] | None = None,
    log: IO[bytes] | None = None,
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process | Life]]:
    """A server (`program`, where it has to be started as it is, and not from what is imported already): its URL and its
    process.
    """
    words = ("serve", "--data", str(data), "--port", "0", "--json", *words)
    process: asyncio.subprocess.Process | Life
    with Path(os.devnull).open("wb") as nowhere:
        stderr = (log or nowhere).fileno()
        if program is None:
            process = await started("cloud.cli", *words, stderr=stderr)
        else:
            process = await asyncio.create_subprocess_exec(
                *program, *words, stdout=subprocess.PIPE, stderr=stderr
            )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = json.loads(await process.stdout.readline())
        assert line["ready"] is True
        yield line["url"], process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                await process.wait()


async def test_from_nothing_to_a_working_key_and_agent_while_the_server_runs(tmp_path):
    async with serving(tmp_path) as (url, process), aiohttp.ClientSession() as http:
        workspace = await asyncio.to_thread(ask, tmp_path, "workspace", "create", "--name", "W")
        farm = await asyncio.to_thread(
            ask, tmp_path, "farm", "create", "--name", "F", "--workspace", workspace["id"]
        )
        key = await asyncio.to_thread(
            ask, tmp_path, "key", "create", "--name", "K", "--workspace", workspace["id"]
        )
        farms = f"{url}/private-api/v1/{workspace['id']}/farms"
        headers = {"x-api-key": key["key"]}
        async with http.get(farms, headers=headers) as response:
            assert response.status == 200
            assert [each["id"] for each in (await response.json())["data"]] == [farm["id"]]
        code = await asyncio.to_thread(ask, tmp_path, "enroll-code", "--farm", farm["id"])
        body = {"code": code["code"], "hostname": "pi", "version": "v1", "platform": "Linux"}
        async with http.post(f"{url}/link/v1/enroll", json=body) as response:
            token = (await response.json())["token"]
        (agent,) = await asyncio.to_thread(ask, tmp_path, "agent", "list")
        assert (agent["name"], agent["enrolled"]) == ("pi", True)
        await asyncio.to_thread(ask, tmp_path, "agent", "revoke", agent["id"])
        await asyncio.to_thread(ask, tmp_path, "key", "revoke", key["id"])
        bearer = {"Authorization": f"Bearer {token}"}
        async with http.get(f"{url}/link/v1/settings", headers=bearer) as response:
            assert response.status == 401
        async with http.get(farms, headers=headers) as response:
            assert response.status == 401
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0


def test_a_key_is_shown_once_and_never_listed(tmp_path):
    workspace = ask(tmp_path, "workspace", "create", "--name", "W")
    out, _ = run(
        "key", "create", "--name", "K", "--workspace", workspace["id"], "--data", str(tmp_path)
    )
    secret = out.split()[0]
    assert secret.startswith("nonce_sk_")
    listed, _ = run("key", "list", "--data", str(tmp_path))
    as_json, _ = run("key", "list", "--data", str(tmp_path), "--json")
    assert secret not in listed + as_json
    assert json.loads(as_json)[0]["prefix"] == secret[:13]


def test_a_key_has_a_role_and_is_a_manager_where_none_is_given(tmp_path):
    workspace = ask(tmp_path, "workspace", "create", "--name", "W")["id"]
    made = ("key", "create", "--workspace", workspace, "--name")
    assert ask(tmp_path, *made, "K")["role"] == "manager"
    assert ask(tmp_path, *made, "L", "--role", "viewer")["role"] == "viewer"
    assert [each["role"] for each in ask(tmp_path, "key", "list")] == ["manager", "viewer"]
    out, _ = run("key", "list", "--data", str(tmp_path))
    assert "role" in out.splitlines()[0].split()
    _, err = run(*made, "M", "--role", "owner", "--data", str(tmp_path), status=2)
    assert "viewer" in err
    assert "--role" in err


def test_what_was_made_is_listed_and_can_be_revoked(tmp_path):
    workspace = ask(tmp_path, "workspace", "create", "--name", "W")["id"]
    farm = ask(tmp_path, "farm", "create", "--name", "F", "--workspace", workspace)["id"]
    agent = ask(
        tmp_path, "agent", "create", "--name", "A", "--farm", farm, "--range", "10.0.0.0/24"
    )
    assert ask(tmp_path, "agent", "list")[0]["ranges"] == ["10.0.0.0/24"]
    code = ask(tmp_path, "enroll-code", "--farm", farm, "--agent", agent["id"])
    assert code["agent_id"] == agent["id"]
    ask(tmp_path, "farm", "revoke", farm)
    assert ask(tmp_path, "farm", "list", "--workspace", workspace)[0]["archived"] is True
    assert ask(tmp_path, "agent", "list")[0]["revoked_at"] is not None
    ask(tmp_path, "workspace", "revoke", workspace)
    assert ask(tmp_path, "workspace", "list")[0]["revoked_at"] is not None
    assert ask(tmp_path, "migrate") == {"before": NEWEST, "after": NEWEST}


def test_what_an_agent_says_of_itself_is_not_obeyed_by_a_terminal(capsys):
    table([{"name": "pi\x1b[2J", "version": "v1\n"}], ("name", "version"), as_json=False)
    assert capsys.readouterr().out.splitlines() == ["name    version", "pi?[2J  v1?"]


@pytest.mark.parametrize(
    "words",
    [
        ("farm", "create", "--name", "F", "--workspace", "org_nowhere"),
        ("key", "create", "--name", "K", "--workspace", "org_nowhere"),
        ("key", "revoke", "key_nowhere"),
        ("agent", "revoke", "nowhere"),
        ("enroll-code", "--farm", "nowhere"),
    ],
)
def test_an_id_that_does_not_exist_is_said_in_one_line_with_exit_1(tmp_path, words):
    run("migrate", "--data", str(tmp_path))
    _, err = run(*words, "--data", str(tmp_path), status=1)
    assert "there is no" in err
    assert "there is no cloud" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("serve",),
        ("serve", "--data", "x", "--host", "0.0.0.0"),
        ("serve", "--data", "x", "--tls-cert", "cert.pem"),
        ("serve", "--data", "x", "--port", "99999"),
        ("serve", "--data", "x", "--port", "none"),
        ("serve", "--data", "x", "--proxy", "nginx"),
        ("serve", "--data", "x", "--public-url", "foo"),
        ("serve", "--data", "x", "--keep-days", "1000000"),
        ("serve", "--data", "x", "--keep-days", "nan"),
        ("workspace", "create", "--data", "x", "--name", " "),
        ("farm", "create", "--data", "x", "--workspace", "w", "--name", "a\x1b[2J"),
        ("key", "create", "--data", "x", "--workspace", "w", "--name", "k" * 256),
        ("key", "create", "--data", "x", "--workspace", "w", "--name", "k", "--days", "1e9"),
        ("enroll-code", "--data", "x", "--farm", "f", "--hours", "1e12"),
        ("key", "create"),
        ("nonsense",),
        ("agent", "create", "--data", "x", "--name", "A", "--farm", "f", "--range", "words"),
    ],
)
def test_wrong_usage_is_exit_2_in_words_of_ours(words):
    _, err = run(*words, status=2)
    assert "Input should" not in err


@pytest.mark.parametrize(
    "words",
    [
        ("key", "create", "--name", "K", "--workspace", "org_nowhere"),
        ("workspace", "list"),
        ("rig", "list"),
        ("enroll-code", "--farm", "nowhere"),
    ],
)
@pytest.mark.parametrize("folder", ["typo", "."])
def test_a_directory_without_a_cloud_is_said_and_none_is_made(tmp_path, words, folder):
    _, err = run(*words, "--data", str(tmp_path / folder), status=1)
    assert f"there is no cloud in {tmp_path / folder}: is --data right?" in err
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_none_is_said_without_the_words_of_the_library(tmp_path):
    (tmp_path / "cloud.db").write_text("words" * 1000)
    _, err = run("workspace", "list", "--data", str(tmp_path), status=1)
    assert err == "miner-cloud: database: file is not a database\n"


async def test_where_links_lead_is_warned_of_and_a_stop_is_in_the_log(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        words = ("--host", "0.0.0.0", "--insecure-http")
        async with serving(tmp_path / "data", *words, log=log) as (url, _):
            assert url.startswith("http://0.0.0.0:")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (warning,) = [each for each in lines if each["event"] == "cloud.no_public_url"]
    assert "--public-url" in warning["hint"]
    assert [each["event"] for each in lines[-2:]] == ["cloud.stopping", "cloud.stopped"]


@pytest.mark.parametrize(
    "url",
    [
        "cloud.example",
        "https://",
        "https://a b",
        "https://u:p@cloud.example",
        "https://cloud.example?x=1",
        "https://cloud.example/#x",
        "https://cloud.example:70000",
        "https://cloud.example:0",
        "https://[::1",
        "ftp://cloud.example",
        "",
    ],
)
def test_a_public_url_that_links_cannot_begin_with_is_refused(tmp_path, url):
    with pytest.raises(ValidationError, match="--public-url"):
        CloudSettings(data=tmp_path, public_url=url)


def test_a_public_url_is_kept_without_its_last_slash(tmp_path):
    settings = CloudSettings(data=tmp_path, public_url="https://cloud.example:8443/miners/")
    assert settings.public_url == "https://cloud.example:8443/miners"


def test_processes_end_with_the_same_statuses(tmp_path):
    out, _ = run_process("migrate", "--data", str(tmp_path), "--json")
    assert json.loads(out) == {"before": None, "after": NEWEST}
    run_process("key", "revoke", "key_nowhere", "--data", str(tmp_path), status=1)
    run_process("nonsense", status=2)


def test_without_its_extra_the_command_says_which_one(tmp_path):
    hide = "import sys; sys.modules['aiosqlite'] = None; from cloud.cli import main; main()"
    words = [sys.executable, "-c", hide, "workspace", "list", "--data", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "[cloud]" in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_a_port_that_is_taken_is_said_in_one_line_with_exit_1(tmp_path):
    async with serving(tmp_path / "one") as (url, _):
        port = url.rsplit(":", 1)[1]
        err = await refused("serve", "--data", str(tmp_path / "two"), "--port", port)
        assert (
            f"cannot listen on 127.0.0.1 port {port} (--host, --port): address already in use"
            in err
        )
        assert "Traceback" not in err
        assert err.splitlines()[-1].endswith("in use")


async def test_a_data_directory_is_served_by_one_process(tmp_path):
    async with serving(tmp_path) as (_, process):
        err = await refused("serve", "--data", str(tmp_path), "--port", "0")
        assert err.splitlines()[-1] == (
            f"miner-cloud: another miner-cloud serves {tmp_path}: stop it first, or wait while it stops "
            f"(process {process.pid})"
        )
        # whatever changes records goes on beside it
        await asyncio.to_thread(ask, tmp_path, "workspace", "create", "--name", "W")


async def test_database_and_secrets_are_their_owners_alone_whatever_the_folder(tmp_path):
    tmp_path.chmod(0o755)
    for name in ("cloud.db", "link-secret"):
        (tmp_path / name).write_bytes(b"" if name == "cloud.db" else b"s" * 32)
        (tmp_path / name).chmod(0o664)
    async with serving(tmp_path):
        files = [each for each in tmp_path.rglob("*") if each.is_file()]
        assert {"cloud.db", "cloud.db-wal", "link-secret", "serve.lock"} <= {x.name for x in files}
        assert [(x.name, oct(x.stat().st_mode)) for x in files if x.stat().st_mode & 0o077] == []


def test_a_command_makes_the_database_private_too(tmp_path):
    ask(tmp_path, "workspace", "create", "--name", "W")
    assert (tmp_path / "cloud.db").stat().st_mode & 0o777 == 0o600


async def test_systemd_hears_when_it_is_ready_that_it_lives_and_that_it_stops(
    tmp_path, monkeypatch
):
    from tests.service.ear import Ear
    from tests.waiting import until

    ear = Ear(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    heard: list[str] = []

    def listen(word: str) -> bool:
        heard.extend(ear.heard())
        return any(each.startswith(word) for each in heard)

    try:
        async with serving(tmp_path / "data") as (url, _):
            await until(lambda: listen("READY=1"))
            assert f"READY=1\nSTATUS=listens on {url}" in heard
            heard.clear()
            await until(lambda: listen("WATCHDOG=1") and heard.count("WATCHDOG=1") > 2)
        assert listen("STOPPING=1")
    finally:
        ear.close()


async def test_it_speaks_tls_with_the_certificate_it_is_given(tmp_path):
    cert, key = certificate(tmp_path)
    data = tmp_path / "data"
    async with serving(data, "--tls-cert", str(cert), "--tls-key", str(key)) as (url, _):
        assert url.startswith("https://")
        import ssl

        context = ssl.create_default_context(cafile=str(cert))
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{url}/health", ssl=context) as response,
        ):
            assert await response.json() == {"ok": True}


@pytest.mark.parametrize("missing", ["--tls-cert", "--tls-key"])
def test_a_certificate_file_that_cannot_be_used_is_named(tmp_path: Path, missing: str) -> None:
    cert, key = certificate(tmp_path)
    files = {"--tls-cert": cert, "--tls-key": key}
    words = ("serve", "--data", str(tmp_path / "data"), "--port", "0")
    given = files | {missing: tmp_path / "nowhere.pem"}
    _, err = run(*words, *(str(each) for pair in given.items() for each in pair), status=2)
    assert f"{missing} {tmp_path / 'nowhere.pem'} cannot be read: no such file" in err
    given = files | {missing: tmp_path / "other.pem"}
    (tmp_path / "other.pem").write_text("nothing")
    _, err = run(*words, *(str(each) for pair in given.items() for each in pair), status=2)
    assert str(tmp_path / "other.pem") in err


def test_the_version_is_told() -> None:
    out, _ = run("--version")
    assert out.startswith("miner-cloud v")


def certificate(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cloud")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path
