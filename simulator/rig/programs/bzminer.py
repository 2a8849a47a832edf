"""BzMiner: `/status`, arrays by pool. Third-party; with a password it is unproven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import HttpApi, pool_arguments, port_in, value_of, wallet


class BzMinerApi(HttpApi):
    software: ClassVar[str] = "BzMiner"
    slug: ClassVar[str] = "bzminer"
    paths: ClassVar[tuple[str, ...]] = ("/status",)

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        found = pool_arguments(job, worker, "-p", "-w", "-a")
        for number, each in enumerate(job.algorithms[1:], 2):
            found += [f"--a{number}", each.name, f"--p{number}", each.pool]
            found += [f"--w{number}", wallet(each.coin, worker)]
        found += ["-r", worker, "--http_enabled", "1", "--http_address", "127.0.0.1"]
        return [*found, "--http_port", str(port)]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--http_port"))

    def document(self) -> dict[str, Any]:
        run, algorithms = self.run, self.run.job.algorithms
        pools = range(len(algorithms))
        rates = [[round(hs) for hs in run.gpu_hs(k)] for k in pools]
        return {
            "method": "fullstatus",
            "bzminer_version": run.job.version,
            "rig_name": run.rig.worker,
            "uptime_s": run.uptime_s,
            "pools": [
                {
                    "id": k,
                    "algorithm": each.name,
                    "hashrate": sum(rates[k]),
                    "current_url": f"stratum+tcp://{each.pool}",
                    "uptime_s": run.pool_uptime_s,
                    "total_solutions": run.accepted(k) + run.rejected(k),
                    "valid_solutions": run.accepted(k),
                    "rejected_solutions": run.rejected(k),
                }
                for k, each in enumerate(algorithms)
            ],
            "devices": [
                {
                    "pci_bus_id": gpu.bus_number,
                    "name": gpu.name,
                    "hashrate": [rates[k][gpu.index] for k in pools],
                    "valid_solutions": [run.accepted_of(gpu.index, k) for k in pools],
                    "rejected_solutions": [0 for _ in pools],
                    "message": ["" for _ in pools],
                    "core_temp": gpu.figures.core_c,
                    "mem_temp": gpu.figures.mem_c or 0,
                    "fan_speed": gpu.figures.fan_percent,
                    "power": round(gpu.figures.power_w),
                    "core_clock": gpu.figures.core_mhz,
                    "mem_clock": gpu.figures.mem_mhz,
                }
                for gpu in run.rig.gpus()
            ],
        }
