"""`miner-agent rig`: rigs are enrolled, listed and taken away. Each has a file of its own beside the config."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.cli.answers import DONE, USAGE, Ended
from agent.cli.commands import failure, stopped
from agent.cli.foreground import StoppedError, run
from agent.cli.targets import one_address
from agent.config.file import Config, ConfigError, read_toml, rigs_folder, why, with_rig
from agent.config.host import LogSection
from agent.config.rigs import RigConfig, check_apart
from agent.host.logs import set_up
from agent.miners.inventory import Inventory
from agent.miners.known import known_miners
from agent.miners.rigs import address_of, rig_of
from agent.miners.site import open_site
from agent.sinks.rigmonitor.rig_records import cards_beyond
from contract.clock import SystemClock
from contract.errors import MinerError, WrongDeviceError
from contract.miner import Identity, Make, Reading
from drivers.base import Depth, Driver
from drivers.rig.spec import MiningProgram
from drivers.stranger import Stranger

_KEY_S: Final = 10.0
_SSH: Final = re.compile(r"(?P<user>[^@\s]+)@(?P<host>[^@:\s]+)(?::(?P<port>\d{1,5}))?")
_RESTART: Final = "the agent takes it up when it starts: systemctl restart miner-agent"

Confirm = Callable[[str], bool]


class NotTakenError(Exception):
    """A person did not take the key of a host for right."""


class NewRig(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a rig: `ssh` is `user@host[:port]`, `None` for this host; `programs` are
    `kind:port[:token_file]`.
    """

    name: str
    ssh: str | None = None
    key: Path | None = None
    programs: tuple[str, ...] = ()
    reboot: str | None = None
    root: str | None = None
    host_key: str | None = None


def run_rig_add(config: Config, path: Path, rig: NewRig, confirm: Confirm) -> Ended:
    """Show the key of the host, read the rig once, and write it down beside the config at `path`. Nothing is written
    unless it could be read.
    """
    set_up(LogSection(level="error"))
    try:
        entry = _entry_of(rig, path)
        enrolled = ((each.name, each.host) for each in config.rigs)
        check_apart((*enrolled, (rig.name, entry.get("host"))))
        if rig.ssh is not None:
            entry["host_key"] = _host_key(entry, rig.host_key, confirm)
        found = with_rig(config, entry, folder=path.parent, name=rig.name)
        driver, reading = run(_read(found))
        file = _write(path, entry)
    except (ConfigError, ValueError) as error:
        return failure(f"usage: {error}", USAGE)
    except NotTakenError as error:
        return failure(error)
    except StoppedError as error:
        return stopped(error)
    except MinerError as error:
        return failure(error, said=f"{rig.name} is not enrolled: {error}")
    except FileExistsError:
        return failure(f"{rigs_folder(path) / rig.name}.toml is there, and holds something else: move it away, or "
                       "give the rig another name")  # fmt: skip
    except OSError as error:
        return failure(f"{error.filename or rigs_folder(path)}: {why(error)}")
    return DONE, *_told(rig.name, file, driver, reading)


def run_rig_list(config: Config) -> Ended:
    """Those of the config, with who they are as far as the daemon of this host met them."""
    from agent.cli.render import table_text

    known = known_miners(config.state.dir / "inventory.db")
    rows = [_row(each, known) for each in config.rigs]
    text = (
        table_text(("name", "address", "reached", "MAC", "model", "programs"), map(_cells, rows))
        if rows
        else "no rig is enrolled: miner-agent rig add NAME --ssh USER@HOST --key FILE"
    )
    return DONE, {"ok": True, "rigs": rows}, text


def run_rig_remove(config: Config, path: Path, name: str) -> Ended:
    """Take away the file of a rig that `rig add` wrote."""
    rig = next((each for each in config.rigs if each.name.lower() == name.lower()), None)
    if rig is None:
        names = ", ".join(each.name for each in config.rigs) or "none at all"
        return failure(f"no rig is called {name!r}; there are: {names}", USAGE)
    file = rigs_folder(path) / f"{rig.name}.toml"
    try:
        if _names_in(file) != [rig.name]:
            return failure(f"{rig.name} has no file of its own: take its entry out of {path} or of the files in "
                           f"{rigs_folder(path)}")  # fmt: skip
        file.unlink()
    except OSError as error:
        return failure(f"{file}: {why(error)}")
    text = f"{rig.name} is no miner of this agent any more, once it is restarted: systemctl restart miner-agent"
    return DONE, {"ok": True, "name": rig.name, "file": str(file)}, text


def fingerprint(host_key: str) -> str:
    """`SHA256:...`, as `ssh-keygen -lf` shows a public key. Raises ValueError."""
    digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def doubts(driver: Driver, reading: Reading) -> Iterator[str]:
    """What is odd about a rig that could be read, beside the faults that it tells."""
    if driver.identity.mac is None:
        yield "it tells no MAC of a default route, so it is known by its address alone"
    if (beyond := cards_beyond(reading.moving)) is not None:
        yield beyond


# --- private -------------------------------------------------------------------------------------


def _entry_of(rig: NewRig, path: Path) -> dict[str, Any]:
    """Its keys in the config, but for the key of its host. Raises ValueError."""
    entry: dict[str, Any] = {"name": rig.name}
    if rig.ssh is None:
        if rig.key is not None or rig.host_key is not None:
            raise ValueError("--key and --host-key go with --ssh; this host needs none")
        entry["reach"] = "local"
    else:
        match = _SSH.fullmatch(rig.ssh)
        if match is None:
            raise ValueError(f"--ssh {rig.ssh!r}: give USER@HOST or USER@HOST:PORT")
        if rig.key is None:
            raise ValueError(
                "--ssh needs --key FILE, our private key without a passphrase; "
                "ssh-keygen -t ed25519 -N '' -f FILE makes one, ssh-copy-id -i FILE.pub takes it there"
            )
        entry |= {"reach": "ssh", "host": one_address(match["host"]), "user": match["user"]}
        if match["port"]:
            entry["port"] = int(match["port"])
        entry["key_file"] = _secret(rig.key, path)
    if rig.root is not None:
        entry["root"] = rig.root
    if rig.reboot is not None:
        entry["reboot"] = shlex.split(rig.reboot)
    if rig.programs:
        entry["programs"] = [_program(text, path) for text in rig.programs]
    return entry


def _program(text: str, path: Path) -> dict[str, Any]:
    kind, _, rest = text.partition(":")
    port, _, token_file = rest.partition(":")
    if kind not in {each.value for each in MiningProgram} or not port.isdecimal():
        kinds = ", ".join(MiningProgram)
        raise ValueError(
            f"--program {text!r}: give KIND:PORT or KIND:PORT:TOKEN_FILE, KIND one of {kinds}"
        )
    program: dict[str, Any] = {"kind": kind, "port": int(port)}
    if token_file:
        program["token_file"] = _secret(Path(token_file), path)
    return program


def _secret(file: Path, path: Path) -> str:
    """As the config names it: what systemd hands over to the agent by its name there, all else by its whole path."""
    whole, folder = file.absolute(), path.absolute().parent
    is_handed_over = whole.parent == folder / "credentials"
    return str(whole.relative_to(folder) if is_handed_over else whole)


def _host_key(entry: Mapping[str, Any], given: str | None, confirm: Confirm) -> str:
    """The key to pin: that which was given, else what the host shows now and a person takes for right.

    Raises UnreachableError, WrongDeviceError where it shows another than the given fingerprint, and NotTakenError.
    """
    if given is not None and not given.startswith("SHA256:"):
        return given
    from drivers.rig.reach.login import host_key_of

    host, port = entry["host"], entry.get("port", 22)
    shown = run(host_key_of(host, port, deadline_s=_KEY_S))
    if given is not None:
        if fingerprint(shown) != given.rstrip("="):
            raise WrongDeviceError(f"{host}:{port} shows the key {fingerprint(shown)}, not {given}")
        return shown
    kind = shown.split()[0]
    if not confirm(
        f"{host}:{port} shows the {kind} key {fingerprint(shown)}\n"
        "(on the rig: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub). Is this the rig?"
    ):
        raise NotTakenError("its key was not taken for right: nothing is enrolled")
    return shown


async def _read(config: Config) -> tuple[Driver, Reading]:
    """Look at the last of its rigs. Raises ConfigError for a key or token file of its that cannot be used."""
    rig_of(config.rigs[-1])
    site = open_site(config, SystemClock(), Inventory(None))
    try:
        driver, _ = await site.fleet.look_at(address_of(config.rigs[-1]))
        assert not isinstance(driver, Stranger)  # of an enrolled rig there is a driver
        return driver, await driver.read(Depth.FULL)
    finally:
        await site.rigs.close()


def _write(path: Path, entry: Mapping[str, Any]) -> Path:
    """Written whole or not at all. Raises OSError, also for a file of this name that holds other rigs."""
    folder = rigs_folder(path)
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(0o755)
    file, beside = folder / f"{entry['name']}.toml", folder / f".{entry['name']}.new"
    text = f"# Written by miner-agent rig add. The keys are told in config.example.toml.\n{_toml(entry)}"
    assert tomllib.loads(text) == {"rigs": [entry]}
    try:
        with beside.open("w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        beside.chmod(0o644)  # no secret stands in it
        file.hardlink_to(beside)  # a file that is there stays
    finally:
        beside.unlink(missing_ok=True)
    return file


def _toml(entry: Mapping[str, Any]) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in entry.items()]
    return "\n".join(("[[rigs]]", *lines, ""))


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_value(each)}' for key, each in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)


def _names_in(file: Path) -> list[str]:
    """The rigs of a file that is one of the config's, which was read just now; of one that is not there none."""
    try:
        return [rig["name"] for rig in read_toml(file, "is missing")["rigs"]]
    except ConfigError:
        return []


def _told(name: str, file: Path, driver: Driver, reading: Reading) -> tuple[dict[str, Any], str]:
    from agent.cli.render import reading_text

    notes = [*doubts(driver, reading)]
    document = {
        "ok": True,
        "name": name,
        "ip": driver.endpoint.host,
        "file": str(file),
        "identity": msgspec.to_builtins(driver.identity),
        "reading": msgspec.to_builtins(reading),
        "notes": notes,
    }
    lines = (
        reading_text(driver, reading, None).rstrip(),
        *notes,
        f"{name} is written to {file}; {_RESTART}",
    )
    return document, "\n".join(lines)


def _row(rig: RigConfig, known: Mapping[str, Identity]) -> dict[str, Any]:
    address = address_of(rig)
    identity = known.get(address)
    met = identity if identity is not None and identity.make is Make.RIG else None
    return {
        "name": rig.name,
        "ip": address,
        "reach": rig.reach,
        "mac": None if met is None else met.mac,
        "serial": None if met is None else met.serial,
        "model": None if met is None else met.model,
        "programs": [f"{each.kind.value}:{each.port}" for each in rig.programs],
    }


def _cells(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    return (
        row["name"], row["ip"], row["reach"], row["mac"], row["model"], ", ".join(row["programs"]),
    )  # fmt: skip
