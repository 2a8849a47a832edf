"""T-Rex: `/summary`, one algorithm. Third-party."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import HttpApi, pool_arguments, port_in, value_of, wallet


class TRexApi(HttpApi):
    software: ClassVar[str] = "T-Rex"
    slug: ClassVar[str] = "t-rex"
    paths: ClassVar[tuple[str, ...]] = ("/summary",)

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        found = pool_arguments(job, worker, "-o", "-u", "-a")
        return [*found, "-w", worker, "--api-bind-http", f"127.0.0.1:{port}"]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--api-bind-http"))

    def document(self) -> dict[str, Any]:
        run, each = self.run, self.run.job.algorithms[0]
        rates = [round(hs) for hs in run.gpu_hs()]
        gpus = run.rig.gpus()
        return {
            "name": "t-rex",
            "version": run.job.version,
            "api": "5.0",
            "os": "linux",
            "algorithm": each.name,
            "coin": each.coin.lower(),
            "uptime": run.uptime_s,
            "time": run.rig.unix(),
            "paused": run.paused,
            "hashrate": sum(rates),
            "hashrate_minute": sum(rates),
            "accepted_count": run.accepted(),
            "rejected_count": run.rejected(),
            "invalid_count": 0,
            "gpu_total": len(gpus),
            "active_pool": {
                "url": f"stratum+tcp://{each.pool}",
                "user": wallet(each.coin, run.rig.worker),
                "worker": run.rig.worker,
                "ping": 41 if run.is_connected else 0,
            },
            "gpus": [
                {
                    "device_id": gpu.index,
                    "gpu_id": gpu.index,
                    "gpu_user_id": gpu.index,
                    "name": gpu.name.removeprefix("NVIDIA GeForce "),
                    "vendor": "Gigabyte",
                    "pci_bus": gpu.bus_number,
                    "pci_domain": 0,
                    "hashrate": rate,
                    "hashrate_minute": rate,
                    "temperature": gpu.figures.core_c,
                    "memory_temperature": gpu.figures.mem_c or 0,
                    "fan_speed": gpu.figures.fan_percent,
                    "power": round(gpu.figures.power_w),
                    "power_avr": round(gpu.figures.power_w),
                    "cclock": gpu.figures.core_mhz,
                    "mclock": gpu.figures.mem_mhz,
                    "paused": run.paused,
                    "shares": {
                        "accepted_count": run.accepted_of(gpu.index),
                        "rejected_count": 0,
                        "invalid_count": 0,
                    },
                }
                for gpu, rate in zip(gpus, rates, strict=True)
            ],
        }
