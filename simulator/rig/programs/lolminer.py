"""lolMiner: `Workers` and `Algorithms` of today's form, `GPUs` of the one before. Third-party."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from simulator.rig.catalogue import ProgramJob
from simulator.rig.programs.base import HttpApi, pool_arguments, port_in, value_of, wallet


class LolMinerApi(HttpApi):
    software: ClassVar[str] = "lolMiner"
    slug: ClassVar[str] = "lolminer"
    paths: ClassVar[tuple[str, ...]] = ("/", "/summary")

    @staticmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        found = pool_arguments(job, worker, "--pool", "--user", "--algo")
        for second in job.algorithms[1:]:
            found += ["--dualmode", second.name, "--dualpool", second.pool]
            found += ["--dualuser", wallet(second.coin, worker)]
        return [*found, "--apihost", "127.0.0.1", "--apiport", str(port)]

    @staticmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        return port_in(value_of(arguments, "--apiport"))

    def document(self) -> dict[str, Any]:
        return self._old() if self.run.job.old_form else self._new()

    def _new(self) -> dict[str, Any]:
        run = self.run
        gpus = run.rig.gpus()
        workers: Any = [
            {
                "Index": gpu.index,
                "Name": gpu.name,
                "Power": gpu.figures.power_w,
                "CCLK": gpu.figures.core_mhz,
                "MCLK": gpu.figures.mem_mhz,
                "Core_Temp": gpu.figures.core_c,
                "Juc_Temp": gpu.figures.hot_spot_c,
                "Mem_Temp": gpu.figures.mem_c or 0,
                "Fan_Speed": gpu.figures.fan_percent,
                "PCIE_Address": f"{gpu.bus_number}:0",
            }
            for gpu in gpus
        ]
        started = run.rig.unix() - run.uptime_s
        return {
            "Software": f"lolMiner {run.job.version}",
            "Session": {
                "Startup": started,
                "Startup_String": f"started at {started}",
                "Uptime": run.uptime_s,
                "Last_Update": run.rig.unix(),
            },
            "Num_Workers": len(gpus),
            # what a monitor must live with: while it starts, an empty text stands for the list
            "Workers": "" if run.is_starting else workers,
            "Num_Algorithms": len(run.job.algorithms),
            "Algorithms": [self._algorithm(k) for k in range(len(run.job.algorithms))],
        }

    def _algorithm(self, k: int) -> dict[str, Any]:
        run, each = self.run, self.run.job.algorithms[k]
        rates = [round(hs / each.factor, 3) for hs in run.gpu_hs(k)]
        gpus = range(len(rates))
        return {
            "Algorithm": each.name,
            "Algorithm_Appendix": "",
            "Pool": each.pool,
            "User": wallet(each.coin, run.rig.worker).partition(".")[0],
            "Worker": run.rig.worker,
            "Performance_Unit": each.unit,
            "Performance_Factor": each.factor,
            "Total_Performance": round(sum(rates), 3),
            "Total_Accepted": run.accepted(k),
            "Total_Rejected": run.rejected(k),
            "Total_Stales": 0,
            "Total_Errors": 0,
            "Worker_Performance": rates,
            "Worker_Accepted": [run.accepted_of(n, k) for n in gpus],
            "Worker_Rejected": [0 for _ in gpus],
            "Worker_Errors": [0 for _ in gpus],
        }

    def _old(self) -> dict[str, Any]:
        run, each = self.run, self.run.job.algorithms[0]
        # H/s, but MH/s for these two
        factor = 1e6 if each.name.lower() in ("ethash", "etchash") else 1.0
        rates = [round(hs / factor, 2) for hs in run.gpu_hs()]
        return {
            "Software": f"lolMiner {run.job.version}",
            "Mining": {"Coin": each.coin, "Algorithm": each.name},
            "Session": {
                "Uptime": run.uptime_s,
                "Performance_Summary": round(sum(rates), 2),
                "Accepted": run.accepted(),
                "Submitted": run.accepted() + run.rejected(),
            },
            "Stratum": {"Current_Pool": each.pool},
            "GPUs": [
                {
                    "Index": gpu.index,
                    "Name": gpu.name,
                    "Performance": rate,
                    "Consumption (W)": gpu.figures.power_w,
                    "Fan Speed (%)": gpu.figures.fan_percent,
                    "Temp (deg C)": gpu.figures.core_c,
                    "Session_HWErr": 0,
                    "PCIE_Address": f"{gpu.bus_number}:0",
                }
                for gpu, rate in zip(run.rig.gpus(), rates, strict=True)
            ],
        }
