"""SRBMiner-Multi: `GET /`, GPUs and CPU side by side. Third-party."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import HttpApi, port_in, value_of, wallet


class SrbMinerApi(HttpApi):
    software: ClassVar[str] = "SRBMiner-Multi"
    slug: ClassVar[str] = "srbminer-multi"
    paths: ClassVar[tuple[str, ...]] = ("/",)

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        algorithms = job.algorithms
        found = ["--algorithm", ";".join(each.name for each in algorithms)]
        found += ["--pool", ";".join(each.pool for each in algorithms)]
        found += ["--wallet", ";".join(wallet(each.coin, worker) for each in algorithms)]
        return [*found, "--worker", worker, "--api-enable", "--api-port", str(port)]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        if "--api-enable" not in arguments:
            return None
        return port_in(value_of(arguments, "--api-port") or "21550")

    def document(self) -> dict[str, Any]:
        run, gpus = self.run, self.run.rig.gpus()
        return {
            "rig_name": run.rig.worker,
            "miner_version": run.job.version,
            "mining_time": run.uptime_s,
            "total_cpu_workers": run.rig.cpu.threads,
            "total_gpu_workers": len(gpus),
            "gpu_devices": [
                {
                    "device": f"GPU{gpu.index}",
                    "id": gpu.index,
                    "bus_id": gpu.bus_number,
                    "model": gpu.name,
                    "core_clock": gpu.figures.core_mhz,
                    "memory_clock": gpu.figures.mem_mhz,
                    "temperature": gpu.figures.core_c,
                    "memory_temperature": gpu.figures.mem_c or 0,
                    "fan_speed_rpm": gpu.figures.fan_rpm,
                    "asic_power": round(gpu.figures.power_w),
                }
                for gpu in gpus
            ],
            "algorithms": [self._algorithm(k) for k in range(len(run.job.algorithms))],
        }

    def _algorithm(self, k: int) -> dict[str, Any]:
        run, each = self.run, self.run.job.algorithms[k]
        rates = [round(hs, 1) for hs in run.gpu_hs(k)] if each.gpu_hs else []
        on_cpu = round(run.cpu_hs(k), 1)
        total = round(sum(rates) + on_cpu, 1)
        hashrate: dict[str, Any] = {"now": total, "1min": total}
        if rates:
            hashrate["gpu"] = {"total": sum(rates)} | {
                f"gpu{index}": rate for index, rate in enumerate(rates)
            }
        if each.cpu_hs:
            threads = run.rig.cpu.threads
            hashrate["cpu"] = {"total": on_cpu} | {
                f"thread{n}": round(on_cpu / threads, 1) for n in range(threads)
            }
        return {
            "id": k,
            "name": each.name,
            "pool": {"pool": each.pool, "uptime": run.pool_uptime_s},
            "shares": {
                "total": run.accepted(k) + run.rejected(k),
                "accepted": run.accepted(k),
                "rejected": run.rejected(k),
            },
            "hashrate": hashrate,
        }
