"""`rig.toml`: the example says all there is, and what is written wrongly is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config.file import ConfigError
from agent.rig.config import AllowedProgram, RigServiceConfig, load_rig_config
from agent.rig.options import OptionKind

EXAMPLE = Path(__file__).resolve().parents[3] / "systemd" / "rig.example.toml"
PROGRAM = """
[[programs]]
software_name = "XMRig"
software_version = "6.22.2"
path = "/opt/xmrig"
sha256 = "{hash}"
""".format(hash="a" * 64)


def test_the_example_is_a_config_that_names_every_key_and_its_default(tmp_path: Path) -> None:
    config = load_rig_config(EXAMPLE)
    assert [each.software_name for each in config.programs] == ["XMRig"]
    text = EXAMPLE.read_text("utf-8")
    named = set(re.findall(r"^(?:# )?([a-z_0-9]+) = ", text, re.MULTILINE))
    keys = RigServiceConfig.model_fields.keys() | AllowedProgram.model_fields.keys()
    assert keys - named == {"programs", "log"}
    kinds = set(
        re.findall(r"(?<= )(flag|text|word|integer|list|hex|pool|loopback|api_port) ", text)
    )
    assert kinds == {each.value for each in OptionKind}
    # taken in, they are the defaults, but for what is not set without them
    taken = re.sub(
        r"^# ([a-z_]+ = [^#\\n]+?)( +#.*)?$",
        r"\1",
        text.partition("# Each executable")[0],
        flags=re.MULTILINE,
    )
    (tmp_path / "rig.toml").write_text(taken)
    without = {"worker_name", "pool_address", "wallet_address", "pools"}
    assert load_rig_config(tmp_path / "rig.toml").model_dump(exclude=without) == (
        RigServiceConfig().model_dump(exclude=without)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sockt = 'x'", "unknown key"),
        ("[[programs]]\nsoftware_name = 'XMRig'", "programs.0.sha256: is missing"),
        (PROGRAM.replace("a" * 64, "a" * 63), "64 hexadecimal digits"),
        (PROGRAM.replace("/opt/xmrig", "xmrig"), "must be an absolute path"),
        (PROGRAM.replace('"XMRig"', '"../x"'), "letters, digits, blanks"),
        (PROGRAM + PROGRAM, "two programs have one software_name"),
        (PROGRAM + "options = { url = 'pool' }", "'url' is no option"),
        (PROGRAM + "options = { '--url' = 'address' }", "options"),
        (PROGRAM + "environment = { 'A=B' = 'x' }", "no variable of an environment"),
        (PROGRAM + "environment = { HOME = '/x' }", "HOME is the program's own folder"),
        ("pools = ['pool.example.com:3333']", "leave its scheme and port out"),
        ("pools = ['*.example.com', 'ssl://pool.example.com']", "leave its scheme and port out"),
        (PROGRAM + 'arguments = ["a\\u0000b"]', "must hold no NUL"),
        ("log_max_mb = 8\nfile_max_mb = 15", "at least twice log_max_mb"),
        ("stop_grace_s = 0.0", "stop_grace_s"),
        ("not toml", "not TOML"),
    ],
)
def test_what_is_written_wrongly_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_rig_config(path)


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text('socket = "s"\nstate_dir = "/abs"')
    config = load_rig_config(tmp_path / "rig.toml")
    assert (config.socket, config.state_dir) == (tmp_path / "s", Path("/abs"))
