from __future__ import annotations

import base64
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from agent.config.fields import Section
from agent.config.file import Config, ConfigError, load, parse
from agent.config.keyfiles import check_ca_file, read_secret
from agent.config.urls import check_cloud_url
from agent.limits.policy import policy_of
from agent.miners.rigs import rig_of
from contract.task import TaskName
from release.signature import public_key_of

SSH = (
    "reach = 'ssh'\nuser = 'u'\nkey_file = 'credentials/k'\n"
    "host_key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvSxsxFkdOjfyNN1RaFDfVVWdpOdpz3CMAv1QVpy3oG'\n"
)
EXAMPLE = Path(__file__).resolve().parents[3] / "config.example.toml"


def uncommented(text: str) -> str:
    """The example with every commented-out `key = value` or section switched on."""
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_key = (
            "=" in bare
            and bare.split("=")[0].strip().strip('"').replace(".", "").replace("_", "").isalnum()
        )
        is_section = bare.startswith("[") and bare.endswith("]")
        lines.append(bare if line.startswith("# ") and (is_key or is_section) else line)
    return "\n".join(lines)


def test_the_example_is_a_config() -> None:
    config = load(EXAMPLE)
    assert config.cloud.url == "https://cloud.example.net"
    assert config.miners.ranges == ("192.168.1.0/24",)


def test_the_example_shows_every_key_and_its_default() -> None:
    shown = tomllib.loads(uncommented(EXAMPLE.read_text()))

    def walk(section: type[BaseModel], data: dict[str, Any], path: str) -> None:
        for name, field in section.model_fields.items():
            assert name in data, f"{path}{name} is not in the example"
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, Section):
                walk(kind, data[name], f"{path}{name}.")

    walk(Config, shown, "")
    told, defaults = parse(shown), Config()
    for section, key in [
        (name, each)
        for name in ("state", "scan", "policy", "telemetry", "health", "log")
        for each in type(getattr(defaults, name)).model_fields
    ]:
        default = getattr(getattr(defaults, section), key)
        if default is not None:
            assert getattr(getattr(told, section), key) == default, f"{section}.{key}"


def test_releases_come_from_the_cloud_unless_the_config_says_otherwise() -> None:
    assert parse({}).releases_url is None
    cloud = {"url": "https://cloud.example.net/farm/"}
    assert parse({"cloud": cloud}).releases_url == "https://cloud.example.net/farm/releases"
    told = parse({"cloud": cloud, "update": {"url": "https://releases.example.net/"}})
    assert told.releases_url == "https://releases.example.net"


def test_a_key_for_bundles_is_written_in_hex_or_base64() -> None:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for text in (raw.hex(), base64.b64encode(raw).decode()):
        (kept,) = parse({"update": {"keys": [text]}}).update.keys
        assert public_key_of(kept).public_bytes_raw() == raw


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cloud]\nurl = 'http://cloud.example.net'", "clear"),
        ("[cloud]\nurl = 'ftp://x'", "https"),
        ("[cloud]\nurrl = 'https://x'", r"cloud.urrl: unknown key; did you mean url\?$"),
        ("[cloud]\nurl = 'ftp://u:hunter2@x'", r"cloud.url: 'ftp://\*\*\*@x' is not an https"),
        (
            "[[credentials]]\nrange = '10.0.0.1'\nuser = 'a'\npasword_file = 'x'",
            r"credentials.0.pasword_file: unknown key; did you mean password_file\?$",
        ),
        (
            "[miners]\npassword = 'x'",
            r"miners.password: unknown key; logins stand in \[\[credentials\]\]: ",
        ),
        (
            "password_file = 'x'",
            r"password_file: unknown key; logins stand in \[\[credentials\]\]: ",
        ),
        (
            "[scan]\nconnects_per_s = 4000",
            r"scan.connects_per_s: is now addresses_per_s, and counts addresses: 1000 unless it is said$",
        ),
        (
            "[rigmonitor]\npower_ons_per_10_s = 5",
            r"rigmonitor.power_ons_per_10_s: is now power_ons_per_10_s in \[limits\]$",
        ),
        *(
            (
                f"[limits]\npower_ons_per_10_s = {value}",
                'limits.power_ons_per_10_s: must be "auto", or a whole number from 1 to 1000000$',
            )
            for value in ("0", "-3", "2.0", "true", "'5'", "'Auto'", "1000001")
        ),
        ("[miners]\nranges = ['10.0.0.300']", "miners.ranges.0"),
        ("[telemetry]\ninterval_s = 0", "telemetry.interval_s"),
        ("[limits.task_s]\n'miner.system.restart' = 3", "limits.task_s"),
        ("[limits.task_s]\n'miner.tags.update' = 3", "carried out by the cloud"),
        (
            "[[credentials]]\nrange = '10.0.0.0/8'\nmac = '02:11:22:33:44:55'\npassword_file = 'x'",
            "exactly one",
        ),
        ("[[credentials]]\nmac = 'zz'\npassword_file = 'x'", "MAC"),
        ("[health]\nmetrics_host = '0.0.0.0'", "loopback"),
        ("[update]\nenabled = 1", "update.enabled"),
        ("[update]\nurl = 'http://releases.example.net'", "plain http would tell"),
        ("[update]\nchannel = 'nightly'", "update.channel"),
        *(
            (f"[update]\nkeys = ['{text}']", "is not the 32 bytes of an Ed25519 public key")
            for text in ("", "ab" * 31, "ab" * 33, "z" * 64, "A" * 5000)
        ),
        *(
            (f"[update]\n{key} = {value}", f"update.{key}")
            for key, values in (
                ("ready_within_s", ("9.0", "601.0", "nan", "true")),
                ("link_within_s", ("9.0", "901.0")),
                ("journal_within_s", ("9.0", "601.0")),
                ("settle_s", ("-1.0", "301.0")),
                ("restarts_most", ("-1", "21", "1.5")),
                ("self_test_within_s", ("4.0", "601.0")),
            )
            for value in values
        ),
        *(
            (f"[subscriptions]\nlisten = '{text}'", "is no address to listen at")
            for text in (
                "",
                "3001",
                ":3001",
                "127.0.0.1",
                "127.0.0.1:0",
                "127.0.0.1:99999",
                "site:3001",
                "::1:3001",
                "127.0.0.1:3001/x",
                "u@127.0.0.1:3001",
                "127.0.0.1:x",
            )
        ),
        *(
            (f"[subscriptions]\nlisten = '{address}:3001'\n{rest}", said)
            for address in ("0.0.0.0", "192.168.1.5", "[::]")
            for rest, said in (
                ("", "give token_file"),
                ("behind_proxy = true", "give token_file"),
                ("tls_cert = 'c'\ntls_key = 'k'", "give token_file"),
                ("token_file = 't'", "give tls_cert and tls_key, or behind_proxy"),
            )
        ),
        ("[subscriptions]\ntls_cert = 'c'", "tls_cert and tls_key go together"),
        ("[subscriptions]\ntls_key = 'k'", "tls_cert and tls_key go together"),
        ("[subscriptions]\ntimeout_s = 0.5", "subscriptions.timeout_s: must be 1 or more"),
        ("nonsense", "not TOML"),
        ("[cloud]\nurl = https://x", "text stands in quotes"),
        ("[cloud]\nurl = 'https://[::1'", r"cloud.url: 'https://\[::1' is not an https:// address"),
        ("[cloud]\nurl = 'https://h:99999'", "cloud.url: 'https://h:99999' is not an https"),
        ("[cloud]\nurl = 'https://h:0'", "cloud.url: 'https://h:0' is not an https"),
        ("[cloud]\nurl = 'https://a b'", "cloud.url: 'https://a b' is not an https"),
        (
            "[cloud]\nproxy = 'proxy:3128'",
            "cloud.proxy: 'proxy:3128' is not an http:// or https://",
        ),
        (
            "[cloud]\nproxy = 'socks5://u:pw@p:1'",
            r"cloud.proxy: 'socks5://\*\*\*@p:1' is not an http",
        ),
        ("[health]\nmetrics_host = 'localhost'", "'localhost' is not an IP address"),
        ("[rigmonitor]\ndefault_coin_name = ' '", "default_coin_name: must not be empty"),
        (
            "[limits.task_s]\n'miner.paint' = 5.0",
            "task_s: 'miner.paint' is no task name; there are: agent.scan",
        ),
        ("[firmware]\nallowed = ['lan']", "firmware.allowed.0: range 'lan' is not an IPv4 address"),
        ("[firmware]\nallowed = ['fd00::/200']", "range 'fd00::/200' is not an IPv6 address"),
        ("[miners]\nhttp_port = '80'", "miners.http_port: must be a whole number, without quotes"),
        ("[miners]\nhttp_port = 80.5", "miners.http_port: must be a whole number"),
        ("[miners]\nhttp_port = true", "miners.http_port: must be a whole number"),
        ("[miners]\nhttp_port = 0", "miners.http_port: must be 1 or more"),
        ("[miners]\nranges = '10.0.0.1'", "miners.ranges: must be a list"),
        ("[telemetry]\ninterval_s = '5'", "telemetry.interval_s: must be a number, without quotes"),
        ("[policy]\nread_only = 'yes'", "policy.read_only: must be true or false"),
        ("[log]\nlevel = 'loud'", "log.level: must be 'debug', 'info', 'warning' or 'error'"),
        ("[[credentials]]\npassword_file = 'x'", r"credentials.0: give exactly one"),
        ("[[rigs]]\nname = 'r'", r"rigs.0.reach: is missing"),
        ("[[rigs]]\nname = 'r'\nreach = 'usb'", r"rigs.0.reach: must be 'local' or 'ssh'"),
        ("[[rigs]]\nname = 'a b'\nreach = 'local'", r"rigs.0.name: 'a b' is not a name of letters"),
        (
            "[[rigs]]\nname = 'r'\nreach = 'ssh'\nhost = '10.0.0.1'",
            r"rigs.0: r is reached by ssh, which needs user and key_file and host_key",
        ),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\nuser = 'u'",
            r"rigs.0: r is reached locally, which takes no user: leave it out",
        ),
        ("[[rigs]]\nname = 'r'\nreach = 'local'\nhost = 'r.lan'", "'r.lan' is not an IPv4 address"),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\nhost_key = 'ssh-rsa AAAA'",
            "is not a public key as",
        ),
        ("[[rigs]]\nname = 'r'\nreach = 'local'\npassword = 'hunter2'", "logged in to by a key"),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\nprograms = [{ kind = 'xmrig', port = 1, token = 'hunter2' }]",
            r"rigs.0.programs.0: token does not stand in the config: .*token_file$",
        ),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\nprograms = [{ kind = 'xmrig', port = 7 }, { kind = 'rigel', port = 7 }]",
            "r has two programs at port 7",
        ),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\nprograms = [{ kind = 'claymore', port = 7 }]",
            r"rigs.0.programs.0.kind: must be 'xmrig'",
        ),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\n[[rigs]]\nname = 'R'\nreach = 'local'",
            "two rigs are called 'R'",
        ),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\n[[rigs]]\nname = 's'\nreach = 'local'",
            "'r' and 's' are both at this host: one address is one miner",
        ),
        (
            "[[rigs]]\nname = 'r'\nreach = 'local'\nignored_cards = ['5']",
            "'5' is not the PCI address of a card, such as 0000:05:00.0",
        ),
        ("[[credentials]]\nrange = '10.0.0.1'", "credentials.0.password_file: is missing"),
        ("[[ranges]]\nname = 'hall'", "ranges.0.range: is missing"),
        ("[[ranges]]\nname = ' '\nrange = '10.0.0.1'", "ranges.0.name: must not be empty"),
        ("[[ranges]]\nname = \"a\\u001b[2J\"\nrange = '10.0.0.1'", "ranges.0.name: "),
        (
            "[[ranges]]\nname = '10.0.0.0/8'\nrange = '10.0.0.1'",
            "is a range itself: give it a name",
        ),
        ("[[ranges]]\nname = 'a,b'\nrange = '10.0.0.1'", "holds a comma or begins with a hyphen"),
        ("[[ranges]]\nname = 'a'\nrange = '10.0.0.9-2'", "ends before it begins"),
        ("[[ranges]]\nname = 'a'\nrange = 'fd00::1'", "is not an IPv4 address"),
        (
            "[[ranges]]\nname = 'a'\nrange = '10.0.0.1'\n[[ranges]]\nname = 'A'\nrange = '10.0.0.2'",
            "two ranges are called 'A'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as info:
        load(path)
    assert "hunter2" not in str(info.value)


@pytest.mark.parametrize("written", ["0000:0A:00.0", "00000000:0A:00.0", "0a:00.0"])
def test_a_card_is_ignored_by_its_address_as_nvidia_smi_lspci_and_linux_write_it(
    tmp_path: Path, written: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[[rigs]]\nname = 'r'\nreach = 'local'\nignored_cards = ['{written}']")
    assert load(path).rigs[0].ignored_cards == ("0000:0a:00.0",)  # as the driver names cards


def test_rigs_of_the_folder_beside_it_are_read_as_if_they_stood_in_it(tmp_path: Path) -> None:
    path, folder = tmp_path / "config.toml", tmp_path / "rigs.d"
    path.write_text(f"[[rigs]]\nname = 'b'\n{SSH}host = '10.0.0.2'\n")
    folder.mkdir()
    (folder / "a.toml").write_text(f"[[rigs]]\nname = 'a'\n{SSH}host = '10.0.0.1'\n")
    (folder / "c.toml.new").write_text("half wr")
    rigs = load(path).rigs
    assert [(each.name, each.host) for each in rigs] == [("b", "10.0.0.2"), ("a", "10.0.0.1")]
    assert [each.key_file for each in rigs] == [tmp_path / "credentials" / "k"] * 2
    (folder / "d.toml").write_text(f"[[rigs]]\nname = 'd'\n{SSH}host = '10.0.0.2'\n")
    with pytest.raises(ConfigError, match=r"'b' and 'd' are both at 10\.0\.0\.2: one address"):
        load(path)
    (folder / "d.toml").write_text("[[rigs]]\nname = 'd'\n[cloud]\nurl = 'https://x'\n")
    with pytest.raises(
        ConfigError, match=r"d\.toml: rigs\.0\.reach: is missing(.|\n)*cloud: unknown"
    ):
        load(path)


def test_a_folder_of_rigs_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    (tmp_path / "rigs.d").touch()
    with pytest.raises(ConfigError, match=r"rigs\.d cannot be read: not a directory"):
        load(tmp_path / "config.toml")


def test_a_denied_address_is_no_rigs(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        f"[miners]\ndenied = ['10.0.0.0/24']\n[[rigs]]\nname = 'r'\n{SSH}host = '10.0.0.7'\n"
    )
    with pytest.raises(
        ConfigError, match=r"the rig 'r' is at 10\.0\.0\.7, which \[miners\] denied"
    ):
        load(path)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (None, 0o600, "the secret cannot be read: no such file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", 0o644, "everybody on this host can read it"),
        ("ssh-ed25519 AAAA me\n", 0o600, "is no private key: name the file without .pub"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(
    tmp_path: Path, text: str | None, mode: int, words: str
) -> None:
    path, key = tmp_path / "config.toml", tmp_path / "credentials" / "k"
    path.write_text(f"[[rigs]]\nname = 'r'\n{SSH}host = '10.0.0.1'\n")
    key.parent.mkdir()
    if text is not None:
        key.write_text(text)
        key.chmod(mode)
    with pytest.raises(ConfigError, match=words) as info:
        rig_of(load(path).rigs[0])
    assert str(key) in str(info.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"nowhere\.toml is missing: copy config\.example\.toml"
    ) as info:
        load(tmp_path / "nowhere.toml")
    assert str(info.value).count("nowhere.toml") == 1
    assert "Errno" not in str(info.value)


def test_a_certificate_authority_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    check_ca_file(None)
    with pytest.raises(ConfigError, match=r"ca\.pem \(ca_file\) cannot be read: no such file"):
        check_ca_file(path)
    path.write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem \(ca_file\) holds no certificate"):
        check_ca_file(path)


def test_plain_http_is_for_this_host_only() -> None:
    assert check_cloud_url("http://127.0.0.1:8080/") == "http://127.0.0.1:8080"
    assert check_cloud_url("http://localhost:1") == "http://localhost:1"
    assert check_cloud_url("http://[::1]:1") == "http://[::1]:1"
    for url in ("http://10.0.0.1", "https://u:p@x", "https://x/?a=1", "x"):
        with pytest.raises(ValueError):
            check_cloud_url(url)


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        "[state]\ndir = 'state'\n[cloud]\nca_file = 'ca.pem'\n"
        "[[credentials]]\nrange = '10.0.0.0/8'\npassword_file = 'p'\n"
    )
    config = load(path)
    assert config.state.dir == tmp_path / "state"
    assert config.token_file == tmp_path / "state" / "token"
    assert config.cloud.ca_file == tmp_path / "ca.pem"
    assert config.credentials[0].password_file == tmp_path / "p"


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "a = 1979-13-45", "a.b.c", "\x00"]
)
def test_a_file_that_is_no_toml_is_told_in_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.toml: not TOML: "):
        load(path)


def test_secrets_handed_over_by_systemd_are_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = tmp_path / "handed"
    handed.mkdir()
    (handed / "secret_hall-1").write_text("x")
    (handed / "token").write_text("x")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    path = tmp_path / "config.toml"
    path.write_text(
        "[cloud]\ntoken_file = 'token'\n"
        "[[credentials]]\nrange = '10.0.0.0/8'\npassword_file = 'credentials/hall-1'\n"
        "[[credentials]]\nrange = '10.1.0.0/16'\npassword_file = 'credentials/hall-2'\n"
    )
    config = load(path)
    assert config.token_file == handed / "token"
    assert config.credentials[0].password_file == handed / "secret_hall-1"
    assert config.credentials[1].password_file == tmp_path / "credentials" / "hall-2"


def test_a_secret_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hush\n")
    path.chmod(0o600)
    assert read_secret(path) == "hush"
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod"):
        read_secret(path)
    path.chmod(0o600)
    path.write_text("\n")
    with pytest.raises(ConfigError, match="empty"):
        read_secret(path)


@pytest.mark.parametrize(
    ("wished", "miners", "power_ons"),
    [
        ("auto", 0, 5),
        ("auto", 500, 5),
        ("auto", 501, 6),
        ("auto", 10_000, 100),
        (1, 10_000, 1),
        (2000, 3, 2000),
    ],
)
def test_how_many_miners_are_powered_on_at_a_time_follows_the_farm_or_is_a_number(
    wished: int | str, miners: int, power_ons: int
) -> None:
    config = parse({"limits": {"power_ons_per_10_s": wished}})
    assert policy_of(config).power_ons(miners) == power_ons


def test_limits_are_per_task_name() -> None:
    config = parse({"limits": {"task_s": {"miner.system.reboot": 120}}})
    assert config.limits.task_s == {TaskName.REBOOT: 120.0}


def test_subscriptions_may_be_served_elsewhere_with_a_token_and_tls() -> None:
    for rest in ("tls_cert = 'c'\ntls_key = 'k'", "behind_proxy = true"):
        text = f"[subscriptions]\nlisten = '[::]:3001'\ntoken_file = 't'\n{rest}"
        served = parse(tomllib.loads(text), folder=Path("/etc")).subscriptions
        assert served.listen == "[::]:3001"
        assert served.token_file == Path("/etc/t")
    for address in ("127.0.0.1", "127.9.9.9", "[::1]", "localhost"):
        parse({"subscriptions": {"listen": f"{address}:3001"}})
