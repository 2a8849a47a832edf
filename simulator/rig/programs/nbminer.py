"""NBMiner: `/api/v1/status`; the path is unproven. Third-party."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import HttpApi, pool_arguments, port_in, value_of, wallet


class NbMinerApi(HttpApi):
    software: ClassVar[str] = "NBMiner"
    slug: ClassVar[str] = "nbminer"
    paths: ClassVar[tuple[str, ...]] = ("/api/v1/status",)

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        found = pool_arguments(job, worker, "-o", "-u", "-a")
        for each in job.algorithms[1:]:
            found += ["-do", each.pool, "-du", wallet(each.coin, worker)]
        return [*found, "--api", f"127.0.0.1:{port}"]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--api"))

    def document(self) -> dict[str, Any]:
        run, algorithms = self.run, self.run.job.algorithms
        first = [round(hs) for hs in run.gpu_hs()]
        dual = len(algorithms) > 1
        second = [round(hs) for hs in run.gpu_hs(1)] if dual else [0 for _ in first]
        return {
            "version": run.job.version,
            "start_time": run.rig.unix() - run.uptime_s,
            "miner": {
                "devices": [
                    {
                        "id": gpu.index,
                        "info": gpu.name,
                        "hashrate_raw": first[gpu.index],
                        "hashrate2_raw": second[gpu.index],
                        "pci_bus_id": gpu.bus_number,
                        "temperature": gpu.figures.core_c,
                        "memTemperature": gpu.figures.mem_c or -1,
                        "core_clock": gpu.figures.core_mhz,
                        "mem_clock": gpu.figures.mem_mhz,
                        "power": round(gpu.figures.power_w),
                        "fan": gpu.figures.fan_percent,
                        "accepted_shares": run.accepted_of(gpu.index),
                        "rejected_shares": 0,
                    }
                    for gpu in run.rig.gpus()
                ],
                "total_hashrate_raw": sum(first),
                "total_hashrate2_raw": sum(second),
                "total_power_consume": round(sum(g.figures.power_w for g in run.rig.gpus())),
            },
            "stratum": {
                "algorithm": "_".join(each.name for each in algorithms),
                "dual_mine": dual,
                "accepted_shares": run.accepted(),
                "rejected_shares": run.rejected(),
                "url": algorithms[0].pool,
                "user": wallet(algorithms[0].coin, run.rig.worker),
            },
        }
