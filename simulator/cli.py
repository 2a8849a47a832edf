"""`miner-simulator`: a farm of miners in one process, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from simulator.faults import FaultError, load_faults
from simulator.makes import SpecError


def main(argv: list[str] | None = None) -> None:
    """Run the command; exits 0 after SIGTERM or SIGINT, 1 when it cannot serve, 2 on usage."""
    args = parser().parse_args(argv)
    try:
        faults = load_faults(args.faults) if args.faults else {}
    except (FaultError, OSError) as error:
        _fail(2, f"faults: {error}")
    try:
        _run(args, faults)
    except (SpecError, FaultError) as error:
        _fail(2, str(error))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _fail(1, f"cannot serve: {_without_number(error)}; is another simulator running there?")
        _fail(1, f"cannot serve: {_without_number(error)}")


def _run(args: argparse.Namespace, faults: dict[str, Any]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(args, faults))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(args, faults))


async def _serve(args: argparse.Namespace, faults: dict[str, Any]) -> None:
    from simulator.changes import Changes
    from simulator.farm import HIGH_PORTS, Farm, default_ports

    addresses = args.addresses.read_text("utf-8").split() if args.addresses else None
    base = addresses[0] if addresses else args.base
    # Ports that are named need no defaults, and no word about them.
    named = None not in (args.http_port, args.rpc_port, args.v3_port, args.daemon_port)
    ports = HIGH_PORTS if named else default_ports(base, _warn)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    # From before the farm begins: whoever is told to end meanwhile leaves nothing of it behind.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    farm = await Farm.start(
        args.make,
        base=base,
        addresses=addresses,
        http_port=ports["http"] if args.http_port is None else args.http_port,
        rpc_port=ports["rpc"] if args.rpc_port is None else args.rpc_port,
        v3_port=ports["v3"] if args.v3_port is None else args.v3_port,
        daemon_port=ports["daemon"] if args.daemon_port is None else args.daemon_port,
        time_scale=args.time_scale,
        seed=args.seed,
        ledger_path=args.ledger,
        keep_ledger=False,
        faults=faults,
    )
    try:
        changes = Changes(args.changes) if args.changes else None
        loop.add_signal_handler(signal.SIGHUP, _reload, farm, args.faults, changes)
        ready = {
            "ready": True,
            "http_port": farm.ports["http"],
            "rpc_port": farm.ports["rpc"],
            "v3_port": farm.ports["v3"],
            "daemon_port": farm.ports["daemon"],
            "miners": farm.describe(),
        }
        if args.firmware:
            _write_images(farm, args.firmware)
        line = json.dumps(ready)
        if args.list:
            _write_whole(args.list, line + "\n")
        print(line, flush=True)  # noqa: T201 -- the interface of this command
        await ended.wait()
    finally:
        await farm.stop()
        if args.tap:
            _write_whole(args.tap, _heard(farm))


def _heard(farm: Any) -> str:
    """What the devices that keep it were sent: a line for each piece, bytes as characters of latin-1."""
    return "".join(
        json.dumps({"ip": device.ip, **each._asdict(), "data": each.data.decode("latin-1")}) + "\n"
        for device in farm
        for each in device.wire_log
    )


def _reload(farm: Any, path: Path | None, changes: Any) -> None:
    try:
        if path is not None:
            farm.apply_faults(load_faults(path))
    except (FaultError, OSError) as error:  # the faults in force stay
        _say(f"faults not reloaded: {error}")
    try:
        if changes is not None:
            changes.carry_out(farm)
    except (SpecError, OSError) as error:
        _say(f"farm not changed: {error}")


def _write_images(farm: Any, folder: Path) -> None:
    """An update for each simulated model that can take one, named as the device wants it."""
    folder.mkdir(parents=True, exist_ok=True)
    for device in {miner.key: miner for miner in farm}.values():
        image = device.newer_image()
        if image is not None:
            (folder / device.image_name).write_bytes(image)


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def _warn(text: str) -> None:
    _say(f"miner-simulator: {text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _without_number(error: OSError) -> str:
    return str(error).partition("] ")[2] or str(error)


def _fail(code: int, message: str) -> None:
    _warn(message)
    raise SystemExit(code)


def _version() -> str:
    try:
        return "v" + version("miner-agent")
    except PackageNotFoundError:
        return "v0"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="miner-simulator",
        description="A farm of simulated miners on loopback addresses.",
        epilog="SIGHUP reads the faults file again, and does what was added to the changes file; SIGTERM ends.",
    )
    parser.add_argument("--version", action="version", version=f"miner-simulator {_version()}")
    parser.add_argument(
        "--make",
        required=True,
        help="e.g. antminer:12,whatsminer:10,antminer/s21:3,foreign:5; host:5 are other hosts, which are no miners",
    )
    parser.add_argument("--base", default="127.10.0.1", help="first address (default %(default)s)")
    parser.add_argument(
        "--addresses",
        type=Path,
        help="a file of this host's addresses, one for each miner, in place of --base",
    )
    parser.add_argument("--http-port", type=int, help="default 80, or 18080 where not allowed")
    parser.add_argument("--rpc-port", type=int, help="default 4028, or 14028 beside 18080")
    parser.add_argument("--v3-port", type=int, help="default 4433, or 14433 beside 18080")
    parser.add_argument("--daemon-port", type=int, help="default 4111, or 14111 beside 18080")
    parser.add_argument("--faults", type=Path, help="JSON: address or * to list of faults")
    parser.add_argument(
        "--changes", type=Path, help="JSON lines: what is done to the farm while it runs"
    )
    parser.add_argument("--ledger", type=Path, help="append every effect here, JSON lines")
    parser.add_argument(
        "--tap", type=Path, help="write here, in the end, what decoys and other hosts were sent"
    )
    parser.add_argument("--time-scale", type=float, default=1.0, help="device seconds per second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--firmware", type=Path, help="write an update for each model here, by key")
    parser.add_argument("--list", type=Path, help="write the ready line to this file too")
    parser.add_argument("--json", action="store_true", help="accepted; output is always JSON")
    return parser
