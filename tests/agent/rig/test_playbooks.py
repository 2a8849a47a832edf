"""What a playbook may say, and what becomes of one that says anything else: it is refused by name, and nothing starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rig.config import AllowedProgram, RigServiceConfig
from agent.rig.options import OptionKind
from agent.rig.playbooks import PlaybookRefusedError, order_of
from tests.agent.rig.stage import entry

ARGUMENT = "--no-color --url $POOL_ADDRESS --algo rx/0 --user $WALLET_ADDRESS --pass $WORKER_NAME"


def config(**more: object) -> RigServiceConfig:
    program = {
        "software_name": "XMRig",
        "software_version": "6.22.2",
        "path": Path("/opt/xmrig/xmrig"),
        "sha256": "0" * 64,
        "http_port": 10001,
    } | {key: more.pop(key) for key in ("options", "arguments", "software_name") if key in more}
    return RigServiceConfig(
        programs=(AllowedProgram(**program),), **({"worker_name": "Giàn số 1"} | more)
    )


def arguments(argument: str, *, by: RigServiceConfig | None = None, **more: str) -> tuple[str, ...]:
    return order_of(entry(argument, **more), by or config()).arguments


def refusal(argument: str, *, by: RigServiceConfig | None = None, **more: str) -> str:
    with pytest.raises(PlaybookRefusedError) as caught:
        arguments(argument, by=by, **more)
    return str(caught.value)


def test_the_example_of_the_text_is_filled_in_by_the_rig() -> None:
    found = arguments(
        ARGUMENT, cpu_pool_address="pool.hashvault.pro:443", cpu_wallet_address="4wallet"
    )
    assert found == (
        "--no-color", "--url", "pool.hashvault.pro:443", "--algo", "rx/0", "--user", "4wallet", "--pass", "Gian-so-1",
    )  # fmt: skip
    # letters that have no plain form leave their place behind
    by = config(worker_name="Đào")
    assert "write --pass=VALUE" in refusal("--pass $WORKER_NAME", by=by)
    assert arguments("--pass=$WORKER_NAME", by=by) == ("--pass=-ao",)


@pytest.mark.parametrize(
    ("fields", "config_fields", "pool"),
    [
        ({"cpu_pool_address": "a:1", "gpu_pool_address_1": "b:2"}, {"pool_address": "c:3"}, "a:1"),
        ({"gpu_pool_address_1": "b:2"}, {"pool_address": "c:3"}, "b:2"),
        ({"gpu_pool_address_2": "d:4"}, {}, "d:4"),
        ({}, {"pool_address": "c:3"}, "c:3"),
    ],
)
def test_an_address_is_the_playbooks_else_the_rigs(
    fields: dict[str, str], config_fields: dict[str, str], pool: str
) -> None:
    assert arguments("-o $POOL_ADDRESS", by=config(**config_fields), **fields) == ("-o", pool)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("; rm -rf /", "';' is no option"),
        ("--pass x; rm -rf /", "'rm' is no option"),
        ("--no-color && reboot", "'&&' is no option"),
        ("$(reboot)", "holds a `$` that begins no variable"),
        ("--user $(cat /etc/shadow)", "'$(cat' holds a `$`"),
        ("--user `reboot`", None),
        ("--log-file=/etc/x", "'--log-file' is not allowed here; allowed are --"),
        ("--log-file /etc/x", "'--log-file' is not allowed"),
        ("--log-f=/etc/x", "'--log-f' is not allowed"),  # getopt would complete it
        ("-l /etc/x", "'-l' is not allowed"),
        ("-l/etc/x", "'-l/etc/x' is not allowed"),
        ("--config=/tmp/evil.json", "'--config' is not allowed"),
        ("-c /tmp/evil.json", "'-c' is not allowed"),
        ("--background", "'--background' is not allowed"),
        ("-B", "'-B' is not allowed"),
        ("-S", "'-S' is not allowed"),
        ("--syslog", "'--syslog' is not allowed"),
        ("--opencl-loader=/tmp/x.so", "'--opencl-loader' is not allowed"),
        ("--cuda-loader=/tmp/x.so", "'--cuda-loader' is not allowed"),
        ("--http-no-restricted", "'--http-no-restricted' is not allowed"),
        ("--http-host 0.0.0.0", "--http-host: '0.0.0.0' would be heard beyond this host"),
        ("--http-host=::", "would be heard beyond this host"),
        ("--http-host 127.0.0.1 --http-host 192.0.2.1", "'192.0.2.1' would be heard"),
        ("--http-port 22", "--http-port: '22' is not the port of this rig's config, 10001"),
        ("--", "'--' is not allowed"),
        ("config.json", "'config.json' is no option"),
        ("--url", "--url wants a value"),
        ("--url --algo rx/0", "--url wants a value, and '--algo' is an option"),
        ("--url ''", "--url wants a value"),
        ("--url file:///etc/passwd", "is no pool"),
        ("--url http://169.254.169.254:80", "the scheme is none of stratum+tcp"),
        ("--url pool.example.com", "is no pool; write host:port"),
        ("--url pool.example.com:0", "is no pool"),
        ("--url pool.example.com:65536", "is no pool"),
        ("--url user@pool.example.com:1", "is no pool"),
        ("--algo ../../etc", "--algo: '../../etc' is no word"),
        ("--algo /etc/x", "is no word"),
        ("--threads 0", "--threads: '0' is no whole number from 1 to 1024"),
        ("--threads 1e3", "is no whole number"),
        ("--donate-level 99", "--donate-level: '99' is no whole number from 0 to 5"),
        ("--threads 99999999999999999999", "is no whole number"),
        ("--cpu-affinity 0xZZ", "is no hexadecimal number"),
        ("--opencl-devices 0,a", "is no list of numbers"),
        ("--threads \u0663", "is no whole number"),  # digits, but not those that a program reads
        ("--opencl-devices \u0663", "is no list of numbers"),
        ("--url pool.example.com:\u0663\u0663", "is no pool"),
        ("\u2013-url pool.example.com:1", "is no option"),  # a dash that is none
        ("--ur\u217c pool.example.com:1", "is not allowed"),
        ("--randomx-mode turbo", "'turbo' is none of auto, fast, light"),
        ("--pass 'a b'", "--pass: a value holds no blanks and no control characters"),
        ("--pass 'a\tb'", "--pass: a value holds no blanks"),
        ("--pass a\x00b", "it holds control characters"),
        ("--pass a\x1b[2Jb", "it holds control characters"),
        ("--pass 'a", "no closing quotation"),
        ("--no-color=1", "--no-color takes no value"),
        ("-p=x", "write `-p VALUE`"),
        ("--pass " + "x" * 1025, "the value has 1025 characters"),
        ("--user " + "x" * 10_000_000, "it is too long; 8192 bytes are the most"),
        ("--no-color " * 200, "it has 200 words; 128 are the most"),
        ("--user $NOPE", "$NOPE is no variable of a playbook; known are $WORKER_NAME"),
        ("--user $CPU_WALLET", "$CPU_WALLET is no variable"),
        ("--url $POOL_ADDRESS", "$POOL_ADDRESS has no value; set the address in the playbook, or pool_address"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_by_name(argument: str, words: str | None) -> None:
    if words is None:  # no shell: it is a user's name
        assert arguments(argument) == tuple(argument.split())
        return
    said = refusal(argument)
    assert said.startswith("command_argument: ")
    assert words in said
    assert len(said) < 2500


def test_what_a_variable_holds_stays_one_word_and_is_judged_like_any_other() -> None:
    assert "blanks" in refusal("--user $WALLET_ADDRESS", cpu_wallet_address="w --log-file=/etc/x")
    assert "is an option" in refusal("--url $POOL_ADDRESS", cpu_pool_address="--log-file=/etc/x")
    said = refusal(
        "--user $WALLET_ADDRESS", cpu_wallet_address="$POOL_ADDRESS", cpu_pool_address="x"
    )
    assert "begins no variable" in said
    assert "is no option" in refusal("$WALLET_ADDRESS", cpu_wallet_address="w")
    # a whole option is one that is allowed
    assert "'--config' is not allowed" in refusal(
        "$WALLET_ADDRESS", cpu_wallet_address="--config=x"
    )


def test_a_password_that_is_refused_is_not_told() -> None:
    assert "secret" not in refusal("--pass 'my secret'")
    for argument in ("--pass secret$1", "--pass=secret$", "--pass my$secret", "--pass -secret"):
        assert "secret" not in refusal(argument), argument


def test_another_program_or_version_is_refused_and_what_is_allowed_is_told() -> None:
    assert "software_name: 'T-Rex' may not be started here; XMRig may" in refusal("", name="T-Rex")
    said = refusal("", version="6.22.3")
    assert "software_version: '6.22.3' of 'XMRig' is not allowed here; 6.22.2 is" in said
    assert "no program may" in refusal("", by=RigServiceConfig())
    for name in ("xmrig", "../XMRig", "XMRig\n", ""):
        assert "may not be started here" in refusal("", name=name)


def test_other_programs_are_given_what_the_config_allows_them() -> None:
    options = {
        "--pool": OptionKind.POOL, "--user": OptionKind.TEXT, "--algo": OptionKind.WORD,
        "--devices": OptionKind.LIST, "--watchdog": OptionKind.FLAG, "--api": OptionKind.LOOPBACK,
    }  # fmt: skip
    by = config(software_name="lolMiner", options=options, arguments=("--apihost", "127.0.0.1"))
    argument = "--pool ssl://pool.example.com:5555 --user w.r --algo ETCHASH --devices 0,2 --watchdog --api 127.0.0.1:10001"
    assert arguments(argument, by=by, name="lolMiner") == (
        *argument.split(), "--apihost", "127.0.0.1",
    )  # fmt: skip
    assert "'--log' is not allowed here" in refusal("--log on", by=by, name="lolMiner")
    assert "not the port" in refusal("--api 127.0.0.1:22", by=by, name="lolMiner")
    assert "beyond this host" in refusal("--api 0.0.0.0:10001", by=by, name="lolMiner")
    nothing = config(software_name="lolMiner")
    assert "no option is, for this program" in refusal("--algo x", by=nothing, name="lolMiner")
    assert arguments("", by=nothing, name="lolMiner") == ()


def test_a_rig_may_keep_to_its_own_pools() -> None:
    by = config(pools=("*.hashvault.pro", "10.0.0.7"))
    assert arguments("-o Pool.HashVault.pro:443", by=by)
    assert arguments("-o stratum+ssl://10.0.0.7:443", by=by)
    assert "none of this rig's pools" in refusal("-o evil.example.com:443", by=by)
    assert "none of this rig's pools" in refusal("-o hashvault.pro.evil.example.com:1", by=by)


@given(st.text(max_size=200))
def test_whatever_it_says_it_is_refused_or_holds_allowed_options_alone(text: str) -> None:
    try:
        found = arguments(text)
    except PlaybookRefusedError:
        return
    for each in found:
        assert each.isprintable()
        assert not each.startswith(("--log", "--config", "-l", "-c", "-B", "-S"))
