"""Rigel: `GET /`, rates by the name of the algorithm. Third-party."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import HttpApi, port_in, value_of, wallet


class RigelApi(HttpApi):
    software: ClassVar[str] = "Rigel"
    slug: ClassVar[str] = "rigel"
    paths: ClassVar[tuple[str, ...]] = ("/",)

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        found = ["-a", "+".join(each.name for each in job.algorithms)]
        for number, each in enumerate(job.algorithms, 1):
            found += ["-o", f"[{number}]{each.pool}"]
            found += ["-u", f"[{number}]{wallet(each.coin, worker)}"]
        return [*found, "-w", worker, "--api-bind", f"127.0.0.1:{port}"]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--api-bind"))

    def document(self) -> dict[str, Any]:
        run, algorithms = self.run, self.run.job.algorithms
        rates = {
            each.name: [round(hs) for hs in run.gpu_hs(k)] for k, each in enumerate(algorithms)
        }
        gpus = run.rig.gpus()
        return {
            "name": "rigel",
            "version": run.job.version,
            "uptime": run.uptime_s,
            "algorithm": "+".join(each.name for each in algorithms),
            "hashrate": {name: sum(each) for name, each in rates.items()},
            "power_usage": round(sum(gpu.figures.power_w for gpu in gpus)),
            "pools": {each.name: [self._pool(k)] for k, each in enumerate(algorithms)},
            "devices": [
                {
                    "id": gpu.index,
                    "selected": True,
                    "name": gpu.name.removeprefix("NVIDIA GeForce "),
                    "pci_address": f"{gpu.bus_number:02X}:00",
                    "state": "Mining" if run.works else "Idle",
                    "hashrate": {name: each[gpu.index] for name, each in rates.items()},
                    "pool_hashrate": {name: each[gpu.index] for name, each in rates.items()},
                    "solution_stat": {
                        each.name: {
                            "accepted": run.accepted_of(gpu.index, k),
                            "rejected": 0,
                            "invalid": 0,
                        }
                        for k, each in enumerate(algorithms)
                    },
                    "monitoring_info": {
                        "core_temperature": gpu.figures.core_c,
                        "memory_temperature": gpu.figures.mem_c,
                        "fan_speed": gpu.figures.fan_percent,
                        "power_usage": round(gpu.figures.power_w),
                        "core_clock": gpu.figures.core_mhz,
                        "memory_clock": gpu.figures.mem_mhz,
                    },
                }
                for gpu in gpus
            ],
        }

    def _pool(self, k: int) -> dict[str, Any]:
        run, each = self.run, self.run.job.algorithms[k]
        host, _, port = each.pool.rpartition(":")
        return {
            "connection_details": {
                "hostname": host,
                "port": int(port),
                "username": wallet(each.coin, run.rig.worker),
                "worker": run.rig.worker,
            },
            "solution_stat": {
                "accepted": run.accepted(k),
                "rejected": run.rejected(k),
                "invalid": 0,
            },
        }
