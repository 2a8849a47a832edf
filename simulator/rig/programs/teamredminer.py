"""TeamRedMiner: the sgminer API over TCP, read only, several commands in one request. Documented; its sensors' names
are unproven.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from simulator.net import Connection, ListeningPort
from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import ProgramApi, port_in, value_of, wallet

_RECV: Final = 8192
_DESCRIPTION: Final = "TeamRedMiner {version}"
_READS: Final = ("devs", "summary", "pools")


class TeamRedMinerApi(ProgramApi):
    software: ClassVar[str] = "TeamRedMiner"
    slug: ClassVar[str] = "teamredminer"

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        first = job.algorithms[0]
        found = ["-a", first.name, "-o", f"stratum+tcp://{first.pool}"]
        found += ["-u", wallet(first.coin, worker), "-p", "x"]
        for each in job.algorithms[1:]:
            found += [f"--{each.name}", "-o", f"stratum+tcp://{each.pool}"]
            found += ["-u", wallet(each.coin, worker), "-p", "x", f"--{each.name}_end"]
        return [*found, f"--api_listen=127.0.0.1:{port}"]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--api_listen"))

    def connection(self, listener: ListeningPort) -> Connection:
        return _RpcConnection(self, listener)

    def answer(self, request: bytes) -> bytes:
        """The reply to one request, without the NUL."""
        self.run.look()
        try:
            command = json.loads(request)["command"]
            names = command.split("+")
        except (ValueError, TypeError, KeyError, AttributeError):
            return _encode({"STATUS": [self._status("E", 23, "Invalid JSON")], "id": 1})
        parts = [self._part(name) for name in names]
        if len(parts) == 1:
            return _encode(parts[0])
        return _encode({name: [part] for name, part in zip(names, parts, strict=True)} | {"id": 1})

    def _part(self, name: str) -> dict[str, Any]:
        run = self.run
        stem, k = (name[:-1], int(name[-1]) - 1) if name[-1:] in ("2", "3") else (name, 0)
        if stem in _READS and k < len(run.job.algorithms):
            match stem:
                case "devs":
                    return self._told(9, "1 GPU(s)", "DEVS", self._devs(k))
                case "summary":
                    return self._told(11, "Summary", "SUMMARY", [self._summary(k)])
                case _:
                    return self._told(7, "1 Pool(s)", "POOLS", [self._pool(k)])
        match name:
            case "version":
                version = {"SGMiner": "5.5.0", "Miner": self._description, "API": "3.1"}
                return self._told(22, "SGMiner versions", "VERSION", [version])
            case "config":
                config = {"GPU Count": len(run.rig.gpus()), "Algo Count": len(run.job.algorithms)}
                return self._told(33, "SGMiner config", "CONFIG", [config])
            case "devdetails":
                return self._told(69, "Device Details", "DEVDETAILS", self._details())
        return {"STATUS": [self._status("E", 14, "Invalid command")], "id": 1}

    @property
    def _description(self) -> str:
        return _DESCRIPTION.format(version=self.run.job.version)

    def _status(self, letter: str, code: int, text: str) -> dict[str, Any]:
        return {
            "STATUS": letter,
            "When": self.run.rig.unix(),
            "Code": code,
            "Msg": text,
            "Description": self._description,
        }

    def _told(self, code: int, text: str, key: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {"STATUS": [self._status("S", code, text)], key: rows, "id": 1}

    def _devs(self, k: int) -> list[dict[str, Any]]:
        run = self.run
        return [
            {
                "GPU": gpu.index,
                "Enabled": "Y",
                "Status": "Alive" if gpu.share else "Dead",
                "Temperature": float(gpu.figures.core_c),
                "TemperatureJnct": float(gpu.figures.hot_spot_c),
                "TemperatureMem": float(gpu.figures.mem_c or 0),
                "Fan Speed": gpu.figures.fan_rpm,
                "Fan Percent": gpu.figures.fan_percent,
                "GPU Clock": gpu.figures.core_mhz,
                "Memory Clock": gpu.figures.mem_mhz,
                "GPU Power": round(gpu.figures.power_w, 1),
                "KHS av": round(hs / 1000, 3),
                "KHS 30s": round(hs / 1000, 3),
                "Accepted": run.accepted_of(gpu.index, k),
                "Rejected": 0,
                "Hardware Errors": 0,
                "Device Elapsed": run.uptime_s,
            }
            for gpu, hs in zip(run.rig.gpus(), run.gpu_hs(k), strict=True)
        ]

    def _summary(self, k: int) -> dict[str, Any]:
        run, khs = self.run, round(sum(self.run.gpu_hs(k)) / 1000, 3)
        return {
            "Elapsed": run.uptime_s,
            "KHS av": khs,
            "KHS 30s": khs,
            "Accepted": run.accepted(k),
            "Rejected": run.rejected(k),
            "Hardware Errors": 0,
        }

    def _pool(self, k: int) -> dict[str, Any]:
        run, each = self.run, self.run.job.algorithms[k]
        return {
            "POOL": 0,
            "Name": each.pool,
            "URL": f"stratum+tcp://{each.pool}",
            "Status": "Alive" if run.is_connected else "Dead",
            "Priority": 0,
            "User": wallet(each.coin, run.rig.worker),
            "Algorithm": each.name,
            "Stratum Active": run.is_connected,
            "Accepted": run.accepted(k),
            "Rejected": run.rejected(k),
        }

    def _details(self) -> list[dict[str, Any]]:
        return [
            {
                "DEVDETAILS": gpu.index,
                "Name": "GPU",
                "ID": gpu.index,
                "Driver": "opencl",
                "Model": gpu.name,
                "Device Path": f"{gpu.bus_number:02x}:00.0",
            }
            for gpu in self.run.rig.gpus()
        ]


class _RpcConnection(Connection):
    """One read, one reply with a NUL behind it, the end."""

    kind = "rpc"

    def __init__(self, api: TeamRedMinerApi, listener: ListeningPort) -> None:
        super().__init__(api.device, listener)
        self._api = api
        self._served = False

    def data_received(self, data: bytes) -> None:
        if self._served:
            return
        self._served = True
        self.device.tap(self.listener.port, self.kind, data, had_credentials=False)
        text = data.decode("utf-8", "replace")
        if not self.attack(text):
            body = self.spoil(self._api.answer(data[:_RECV]), text)
            self.send(body + b"\0", close=True, text=text)


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
