"""XMRig: its API as its documentation and a running one tell; control only when unrestricted and with a token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from simulator.http import WebRequest, WebResponse
from simulator.net import Connection, Host, ListeningPort
from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import (
    ProgramApi,
    ProgramConnection,
    Say,
    port_in,
    reply,
    value_of,
    wallet,
)
from simulator.rig.work import INIT_S, MiningRun

_SUMMARY: Final = ("/2/summary", "/1/summary", "/api.json")
_CONFIG: Final = ("/2/config", "/1/config")
_WINDOWS_S: Final = (10.0, 60.0, 900.0)
_ZERO_S: Final = INIT_S / 2
"""So long it shows zeros, then nulls until a window is full."""
_STATUS: Final = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


class XmrigApi(ProgramApi):
    """Reads, `pause`, `resume`, `stop` and the configuration."""

    software: ClassVar[str] = "XMRig"
    slug: ClassVar[str] = "xmrig"

    def __init__(self, run: MiningRun, device: Host, say: Say) -> None:
        super().__init__(run, device, say)
        self._config = _configuration(run.job)

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        first = job.algorithms[0]
        found = ["--no-color", "--url", first.pool, "--algo", first.name]
        found += ["--user", wallet(first.coin, worker), "--pass", worker]
        found += ["--http-enabled", "--http-host", "127.0.0.1", "--http-port", str(port)]
        found += ["--http-access-token", job.token] if job.token else []
        return found + ([] if job.restricted else ["--http-no-restricted"])

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--http-port"))

    def connection(self, listener: ListeningPort) -> Connection:
        return ProgramConnection(self.device, listener, self.serve)

    async def serve(self, request: WebRequest) -> WebResponse:
        run, token = self.run, self.run.job.token
        run.look()
        if token:
            given = request.headers.get("authorization")
            if given is None:
                return _error(401)
            if given != f"Bearer {token}":
                return _error(403)
        match request.method, request.path:
            case "GET", path if path in _SUMMARY:
                return reply(200, self._summary(), indent=4)
            case "GET", "/2/backends":
                return reply(200, self._backends(), indent=4)
            case (("GET" | "PUT" | "POST"), path) if path in (*_CONFIG, "/json_rpc"):
                if run.job.restricted or not token:
                    return _error(403)
                return self._control(request)
        return _error(404)

    # --- control ---------------------------------------------------------------------------------

    def _control(self, request: WebRequest) -> WebResponse:
        if request.path == "/json_rpc":
            return self._call(request.body) if request.method == "POST" else _error(404)
        if request.method == "GET":
            return reply(200, self._config, indent=4)
        try:
            given = json.loads(request.body)
        except ValueError:
            given = None
        if request.method != "PUT" or not isinstance(given, dict):
            return _error(404)
        self.say("config", "applied", {"keys": sorted(given)})
        self._config = given
        return WebResponse(204)

    def _call(self, body: bytes) -> WebResponse:
        try:
            asked = json.loads(body)
            method, number = asked["method"], asked.get("id")
        except (ValueError, TypeError, KeyError, AttributeError):
            return _told(None, error=(-32600, "Invalid Request"))
        if method not in ("pause", "resume", "stop"):
            return _told(number, error=(-32601, "Method not found"))
        self.say(method, "received", {})
        faults = self.device.faults
        if faults.take("ignores", action=method):
            return _told(number)
        if late := faults.take("late_apply", action=method):
            seconds = float(late.args.get("seconds", 30))
            self.run.rig.after(seconds, lambda: self._obey(method))
            return _told(number)
        self._obey(method)
        if mute := faults.take("silent_apply", action=method):
            hangs_up = bool(mute.args.get("close"))
            return WebResponse(drop=hangs_up, hold=not hangs_up)
        return _told(number)

    def _obey(self, method: str) -> None:
        before = {"paused": self.run.paused, "stopped": self.run.stopped}
        if method == "stop":
            self.run.stop()
        elif not self.run.stopped:
            self.run.pause(method == "pause")
        after = {"paused": self.run.paused, "stopped": self.run.stopped}
        self.say(method, "applied", {"before": before, "after": after})

    # --- documents -------------------------------------------------------------------------------

    def _rates(self) -> list[float | None]:
        run = self.run
        if run.stopped or run.rig.now() - run.started < _ZERO_S:
            return [0.0, 0.0, 0.0]
        rate = round(run.cpu_hs(), 2)
        return [rate if run.hashing_s() >= window_s else None for window_s in _WINDOWS_S]

    def _summary(self) -> dict[str, Any]:
        run, cpu = self.run, self.run.rig.cpu
        pool, rates = run.job.algorithms[0], self._rates()
        threads = cpu.threads
        good, bad, connected_s = run.accepted(), run.rejected(), run.pool_uptime_s
        shares_s = 0 if not good else connected_s // good
        return {
            "id": "7bcfb15de5917b13",
            "worker_id": run.rig.worker,
            "uptime": run.uptime_s,
            "restricted": run.job.restricted,
            "resources": {
                "memory": {"free": 2 << 30, "total": 8 << 30, "resident_set_memory": 2510 << 20},
                "load_average": [float(threads) if run.works else 0.2] * 3,
                "hardware_concurrency": threads,
            },
            "features": ["api", "asm", "http", "hwloc", "tls", "opencl", "cuda"],
            "results": {
                "diff_current": 130912,
                "shares_good": good,
                "shares_total": good + bad,
                "avg_time": shares_s,
                "avg_time_ms": shares_s * 1000,
                "hashes_total": 130912 * good,
            },
            "algo": pool.name,
            "connection": {
                "pool": pool.pool,
                "ip": "198.51.100.7" if run.is_connected else None,
                "uptime": connected_s,
                "uptime_ms": connected_s * 1000,
                "ping": 54 if run.is_connected else 0,
                "failures": run.failures,
                "tls": None,
                "tls-fingerprint": None,
                "algo": pool.name,
                "diff": 130912,
                "accepted": good,
                "rejected": bad,
                "avg_time": shares_s,
                "avg_time_ms": shares_s * 1000,
                "hashes_total": 130912 * good,
            },
            "version": run.job.version,
            "kind": "miner",
            "ua": f"XMRig/{run.job.version} (Linux x86_64) libuv/1.49.2 gcc/13.2.1",
            "cpu": {
                "brand": cpu.name,
                "aes": True,
                "avx2": True,
                "x64": True,
                "cores": cpu.cores,
                "threads": threads,
                "packages": cpu.packages,
                "nodes": cpu.packages,
                "backend": "hwloc/2.11.2",
            },
            "donate_level": 1,
            "paused": run.paused,
            "algorithms": ["rx/0", "rx/wow", "cn/r", "argon2/chukwa"],
            "hashrate": {"total": rates, "highest": max((each or 0.0) for each in rates)},
            "hugepages": [1168 + threads, 1168 + threads],
        }

    def _backends(self) -> list[dict[str, Any]]:
        threads, rates = max(1, self.run.rig.cpu.threads), self._rates()
        each = [None if rate is None else round(rate / threads, 2) for rate in rates]
        cpu = {
            "type": "cpu",
            "enabled": True,
            "algo": self.run.job.algorithms[0].name,
            "profile": "rx",
            "priority": -1,
            "hugepages": [1168 + threads, 1168 + threads],
            "memory": threads << 21,
            "hashrate": rates,
            "threads": [
                {"intensity": 1, "affinity": number, "av": 1, "hashrate": each}
                for number in range(threads)
            ],
        }
        rest = [{"type": name, "enabled": False, "algo": None} for name in ("opencl", "cuda")]
        return [cpu, *rest]


def _configuration(job: ProgramJob) -> dict[str, Any]:
    return {
        "api": {"id": None, "worker-id": None},
        "http": {"enabled": True, "host": "127.0.0.1", "restricted": job.restricted},
        "autosave": True,
        "cpu": {"enabled": True, "huge-pages": True},
        "donate-level": 1,
        "pools": [{"url": each.pool, "algo": each.name} for each in job.algorithms],
    }


def _told(number: object, *, error: tuple[int, str] | None = None) -> WebResponse:
    document: dict[str, Any] = {"id": number, "jsonrpc": "2.0"}
    if error is None:
        document["result"] = {"status": "OK"}
    else:
        document["error"] = {"code": error[0], "message": error[1]}
    return reply(200, document, indent=4)


def _error(status: int) -> WebResponse:
    return reply(status, {"status": status, "error": _STATUS[status]}, indent=4)
