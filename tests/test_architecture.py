"""The rules of the house, read from the imports and calls of every file: who may import whom, open a
socket, touch SQL, or read a clock."""

from __future__ import annotations

import ast
import fnmatch
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("contract", "drivers", "service", "release", "agent", "cloud", "simulator")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "contract": ("contract",),
    "drivers": (
        "drivers",
        "contract.miner",
        "contract.errors",
        "contract.clock",
        "contract.hiding",
        "contract.outcome",
        "contract.rigs",
    ),
    "service": ("service",),
    "release": ("release", "service", "contract.clock"),
    "agent": ("agent", "drivers", "contract", "release", "service"),
    "cloud": ("cloud", "contract", "release", "service"),
    "simulator": ("simulator",),
}

# The rooms of the agent from the ground up: each may import those before it.
FLOORS = (
    "ports", "config", "limits", "host", "journal", "miners", "firmware", "update", "link", "telemetry", "scan", "tasks", "local",
    "subscriptions", "rig", "sinks", "selftest", "installer", "daemon", "demo", "cli", "__main__",
)  # fmt: skip

# Who may open sockets. A module that only names a type or an error of these libraries is not meant.
SOCKETS = {
    "socket", "asyncssh", "aiohttp", "http.client", "urllib.request", "requests", "httpx", "pyasic",
}  # fmt: skip
SOCKET_CALLS = {
    "open_connection", "start_server", "create_connection", "create_server", "create_datagram_endpoint",
    "create_unix_server", "open_unix_connection", "create_unix_connection", "start_unix_server",
    "sock_connect",
}  # fmt: skip
MAY_OPEN_SOCKETS = (
    "drivers/wire.py", "drivers/doors.py", "drivers/rig/reach/inflow.py", "drivers/rig/reach/local.py",
    "drivers/rig/reach/login.py", "drivers/rig/reach/sessions.py", "drivers/rig/reach/ssh.py",
    "agent/link/exchange.py", "agent/scan/sweep/connects.py", "agent/scan/sweep/routers.py", "agent/scan/sweep/probe.py",
    "agent/scan/kernel/netlink.py", "agent/firmware/download.py", "agent/local/socket.py",
    "agent/subscriptions/http.py", "agent/subscriptions/sui/graphql.py",
    "agent/rig/client.py", "agent/rig/server.py", "agent/cli/targets.py", "agent/host/door.py", "agent/host/lan.py",
    "agent/sinks/*", "agent/selftest/loopback.py", "agent/demo/*", "service/notify.py", "cloud/*", "simulator/*",
)  # fmt: skip

SQL = {"sqlite3", "sqlalchemy", "aiosqlite", "asyncpg", "alembic"}
MAY_TOUCH_SQL = (
    "agent/host/databases.py", "agent/journal/*", "agent/telemetry/buffer.py", "agent/miners/inventory.py", "agent/miners/known.py",
    "agent/scan/report/memory.py", "agent/subscriptions/file.py", "agent/subscriptions/store.py",
    "agent/selftest/copies.py", "agent/selftest/stores.py", "cloud/store/*",
)  # fmt: skip

CLOCK_CALLS = {
    ("time", "time"), ("time", "monotonic"), ("time", "time_ns"), ("time", "monotonic_ns"), ("time", "sleep"),
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}  # fmt: skip
MAY_READ_A_CLOCK = ("contract/clock.py", "simulator/*")

# Whose folders are small enough to be read from the list of their files.
READ_AT_A_GLANCE = (*ROOMS, "bench", "packages", "tests")
FILES_OF_A_FOLDER = 22


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    """The path and the tree of every module."""
    return tuple(
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"), str(path)))
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
    )


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for name in node.names:
                yield node.lineno, f"{node.module}.{name.name}"


def within(module: str, names: tuple[str, ...] | set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def allowed(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def test_rooms_import_only_what_the_design_lets_them() -> None:
    wrong = [
        f"{path}:{line} imports {module}"
        for path, tree in sources()
        for line, module in imports(tree)
        if module.split(".")[0] in ROOMS and not within(module, MAY_IMPORT[path.split("/")[0]])
    ]
    assert wrong == []


def test_the_rooms_of_the_agent_stand_on_one_another() -> None:
    def floor(module: str) -> int:
        return FLOORS.index(module.split(".")[1])

    wrong = [
        f"{path}:{line} imports {module}"
        for path, tree in sources()
        if path.startswith("agent/") and path != "agent/__init__.py"
        for line, module in imports(tree)
        if module.startswith("agent.")
        and floor(module) > floor(path.removesuffix(".py").replace("/", "."))
    ]
    assert wrong == []


def test_what_root_runs_to_update_us_knows_little_of_us() -> None:
    known = ("agent.installer", "agent.config", "contract.clock", "release", "service")
    wrong = [
        f"{path}:{line} imports {module}"
        for path, tree in sources()
        if path.startswith("agent/installer/")
        for line, module in imports(tree)
        if module.split(".")[0] in ROOMS and not within(module, known)
    ]
    assert wrong == []


def test_the_rules_name_no_file_that_does_not_exist() -> None:
    named = (
        *MAY_OPEN_SOCKETS,
        *MAY_TOUCH_SQL,
        *MAY_READ_A_CLOCK,
        *(f"agent/{each}*" for each in FLOORS),
    )
    assert [each for each in named if not any(ROOT.glob(each))] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    try:
        TopologicalSorter(_imports_between_modules()).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def _imports_between_modules() -> dict[str, set[str]]:
    """Our modules by name, with those that each imports, at any place in it and for types alone, too."""
    trees = {path.removesuffix(".py").removesuffix("/__init__"): tree for path, tree in sources()}
    modules = {path.replace("/", "."): tree for path, tree in trees.items()}
    return {
        module: {name if name in modules else name.rpartition(".")[0] for _, name in imports(tree)}
        & (modules.keys() - {module})
        for module, tree in modules.items()
    }


def test_only_a_few_named_modules_open_sockets() -> None:
    wrong = []
    for path, tree in sources():
        if allowed(path, MAY_OPEN_SOCKETS):
            continue
        wrong += [f"{path}:{line} {m}" for line, m in imports(tree) if within(m, SOCKETS)]
        wrong += [
            f"{path}:{node.lineno} {node.func.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in SOCKET_CALLS
        ]
    assert wrong == []


def test_only_a_few_named_modules_touch_sql() -> None:
    wrong = [
        f"{path}:{line} {module}"
        for path, tree in sources()
        if not allowed(path, MAY_TOUCH_SQL)
        for line, module in imports(tree)
        if within(module, SQL)
    ]
    assert wrong == []


def test_nobody_reads_a_clock_but_the_clock() -> None:
    wrong = []
    for path, tree in sources():
        if allowed(path, MAY_READ_A_CLOCK):
            continue
        wrong += [
            f"{path}:{node.lineno} {node.func.value.id}.{node.func.attr}()"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and (node.func.value.id, node.func.attr) in CLOCK_CALLS
        ]
        wrong += [
            f"{path}:{line} {module}"
            for line, module in imports(tree)
            if module in {"time.time", "time.monotonic", "time.sleep"}
        ]
    assert wrong == []


def test_no_two_classes_have_one_name() -> None:
    bearers: dict[str, list[str]] = {}
    for room in (*ROOMS, "bench", "packages"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
                if isinstance(node, ast.ClassDef):
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    bearers.setdefault(node.name, []).append(place)
    assert {name: places for name, places in bearers.items() if len(places) > 1} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path, tree in sources() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


KNOW_EVERY_MAKE = ("drivers/registry.py", "drivers/recognition.py")


def test_what_all_makes_share_knows_none_of_them() -> None:
    makes = {path.parent.name for path in (ROOT / "drivers").glob("*/entry.py")}
    wrong = [
        f"{path}:{line} imports {module}"
        for path, tree in sources()
        if path.startswith("drivers/") and path not in KNOW_EVERY_MAKE
        for line, module in imports(tree)
        if module.startswith("drivers.")
        and (make := module.split(".")[1]) in makes
        and path.split("/")[1] != make
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("room", "not_from"), [("protocol", ("reading", "changes")), ("reading", ("changes",))]
)
def test_bytes_know_no_meaning_and_meaning_no_change(room: str, not_from: tuple[str, ...]) -> None:
    wrong = [
        f"{path}:{line} imports {module}"
        for path, tree in sources()
        if path.startswith("drivers/") and path.split("/")[-2] == room
        for line, module in imports(tree)
        if module.startswith("drivers.") and set(module.split(".")[1:3]) & set(not_from)
    ]
    assert wrong == []


def test_a_folder_is_read_at_a_glance() -> None:
    folders = [ROOT / room for room in READ_AT_A_GLANCE]
    folders += [each for room in folders for each in room.rglob("*/") if each.name != "__pycache__"]
    files = {each: [f for f in each.iterdir() if f.is_file()] for each in folders}
    full = {str(each.relative_to(ROOT)): len(held) for each, held in files.items()}
    assert {name: number for name, number in full.items() if number > FILES_OF_A_FOLDER} == {}


def test_production_code_holds_no_test_switch() -> None:
    words = ("PYTEST", "unittest.mock", "TESTING")
    wrong = [
        f"{path}: {word}"
        for path, _ in sources()
        for word in words
        if word in (ROOT / path).read_text("utf-8")
    ]
    assert wrong == []


def test_the_agent_needs_nothing_of_the_cloud_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    base = " ".join(project["dependencies"]).lower()
    assert not any(name in base for name in ("sqlalchemy", "alembic", "aiosqlite", "asyncpg"))


@pytest.mark.slow
def test_help_takes_at_most_a_third_of_the_time_of_importing_pyasic() -> None:
    def best(command: list[str]) -> float:
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            times.append(time.perf_counter() - begun)
        return min(times)

    help_s = best([str(Path(sys.executable).parent / "miner-agent"), "--help"])
    pyasic_s = best([sys.executable, "-W", "ignore", "-c", "import pyasic"])
    assert help_s <= pyasic_s / 3, f"--help {help_s:.3f} s, import pyasic {pyasic_s:.3f} s"
