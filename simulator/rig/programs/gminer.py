"""GMiner: `/stat`, one algorithm; the path, and a second algorithm, are unproven. Third-party."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import HttpApi, pool_arguments, port_in, value_of, wallet


class GMinerApi(HttpApi):
    software: ClassVar[str] = "GMiner"
    slug: ClassVar[str] = "gminer"
    paths: ClassVar[tuple[str, ...]] = ("/stat",)

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        found = pool_arguments(job, worker, "--server", "--user", "--algo")
        return [*found, "--api", f"127.0.0.1:{port}"]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--api"))

    def document(self) -> dict[str, Any]:
        run, each = self.run, self.run.job.algorithms[0]
        rates = [round(hs) for hs in run.gpu_hs()]
        return {
            "miner": f"GMiner {run.job.version}",
            "uptime": run.uptime_s,
            "server": f"stratum://{each.pool}",
            "user": wallet(each.coin, run.rig.worker),
            "algorithm": each.name,
            "total_accepted_shares": run.accepted(),
            "total_rejected_shares": run.rejected(),
            "speed_unit": "H/s",
            "devices": [
                {
                    "gpu_id": gpu.index,
                    "bus_id": gpu.bus,
                    "name": gpu.name,
                    "speed": rate,
                    "accepted_shares": run.accepted_of(gpu.index),
                    "rejected_shares": 0,
                    "fan": gpu.figures.fan_percent,
                    "temperature": gpu.figures.core_c,
                    "memory_temperature": gpu.figures.mem_c or 0,
                    "core_clock": gpu.figures.core_mhz,
                    "memory_clock": gpu.figures.mem_mhz,
                    "power_usage": round(gpu.figures.power_w),
                }
                for gpu, rate in zip(run.rig.gpus(), rates, strict=True)
            ],
        }
