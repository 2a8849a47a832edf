"""What the mining programs answer, written from the field lists of the protocol page: two cards, at buses 1 and 12 (0c)."""

from __future__ import annotations

from typing import Any

XMRIG: dict[str, Any] = {
    "id": "0011223344556677",
    "worker_id": "rig-7",
    "uptime": 61,
    "restricted": True,
    "algo": "rx/0",
    "version": "6.26.0",
    "kind": "miner",
    "paused": False,
    "connection": {
        "pool": "pool.example.org:443", "ip": "203.0.113.5", "uptime": 55, "failures": 0, "accepted": 5, "rejected": 1,
    },
    "results": {"shares_good": 5, "shares_total": 6},
    "hashrate": {"total": [9563.2, 9500.5, None], "highest": 10037.56},
}  # fmt: skip
XMRIG_BACKENDS: list[dict[str, Any]] = [
    {"type": "cpu", "enabled": True, "threads": [{"hashrate": [9563.2, 9500.5, None]}]},
    {"type": "opencl", "enabled": False, "threads": []},
]
LOLMINER: dict[str, Any] = {
    "Software": "lolMiner 1.88",
    "Session": {"Startup": 1700000000, "Uptime": 3600, "Last_Update": 1700003600},
    "Num_Workers": 2,
    "Workers": [
        {"Index": 0, "Name": "GeForce RTX 3080", "Power": 219.5, "CCLK": 1500, "MCLK": 9501, "Core_Temp": 55,
         "Juc_Temp": 0, "Mem_Temp": 88, "Fan_Speed": 70, "PCIE_Address": "1:0"},
        {"Index": 1, "Name": "Radeon RX 6800 XT", "Power": 140.0, "CCLK": 1300, "MCLK": 1000, "Core_Temp": 60,
         "Juc_Temp": 75, "Mem_Temp": 80, "Fan_Speed": 40, "PCIE_Address": "12:0"},
    ],
    "Num_Algorithms": 2,
    "Algorithms": [
        {"Algorithm": "Etchash", "Algorithm_Appendix": "", "Pool": "etc.example.org:4444", "User": "0xabc", "Worker": "r",
         "Performance_Unit": "Mh/s", "Performance_Factor": 1000000, "Total_Performance": 160.5, "Total_Accepted": 12,
         "Total_Rejected": 1, "Worker_Performance": [98.25, 62.25]},
        {"Algorithm": "SHA512256d", "Pool": "rxd.example.org:3333", "Performance_Unit": "Gh/s",
         "Performance_Factor": 1000000000, "Total_Performance": 1.5, "Total_Accepted": 7, "Total_Rejected": 0,
         "Worker_Performance": [1.0, 0.5]},
    ],
}  # fmt: skip
LOLMINER_OLD: dict[str, Any] = {
    "Software": "lolMiner 1.20",
    "Mining": {"Coin": "ETC", "Algorithm": "Etchash"},
    "Session": {"Uptime": 3600, "Performance_Summary": 160.5, "Accepted": 12, "Submitted": 13},
    "GPUs": [
        {"Name": "GeForce RTX 3080", "Performance": 98.25, "PCIE_Address": "1:0", "Session_HWErr": 0},
        {"Name": "Radeon RX 6800 XT", "Performance": 62.25, "PCIE_Address": "12:0", "Session_HWErr": 0},
    ],
}  # fmt: skip
TREX: dict[str, Any] = {
    "algorithm": "kawpow", "coin": "", "uptime": 600, "version": "0.26.8", "hashrate": 50500000, "accepted_count": 9,
    "rejected_count": 2, "active_pool": {"url": "stratum+tcp://rvn.example.org:6060", "user": "R.x", "worker": "x"},
    "gpus": [
        {"gpu_id": 0, "name": "GeForce RTX 3080", "vendor": "NVIDIA", "pci_bus": 1, "pci_domain": 0,
         "hashrate": 50500000, "temperature": 55, "memory_temperature": 88, "fan_speed": 70, "power": 220,
         "cclock": 1500, "mclock": 9501, "paused": False, "shares": {"accepted_count": 9}},
    ],
}  # fmt: skip
RIGEL: dict[str, Any] = {
    "name": "rigel", "version": "1.19.1", "uptime": 120, "algorithm": "octopus+sha512256d+zil", "power_usage": 360,
    "pools": {
        "octopus": [{"connection_details": {"hostname": "cfx.example.org", "port": 3030, "username": "c"},
                     "solution_stat": {"accepted": 4, "rejected": 1, "invalid": 0}}],
        "sha512256d": [{"connection_details": {"hostname": "rxd.example.org", "port": 3333},
                        "solution_stat": {"accepted": 3, "rejected": 0}}],
    },
    "devices": [
        {"id": 0, "selected": True, "name": "GeForce RTX 3080", "pci_address": "01:00.0",
         "hashrate": {"octopus": 60500000.0, "sha512256d": 1.1e9, "zil": 5.0},
         "monitoring_info": {"core_temperature": 55, "memory_temperature": 88, "fan_speed": 70, "power_usage": 220,
                             "core_clock": 1500, "memory_clock": 9501}},
        {"id": 1, "selected": False, "name": "Other", "pci_address": "0c:00.0", "hashrate": None,
         "monitoring_info": None},
    ],
}  # fmt: skip
BZMINER: dict[str, Any] = {
    "method": "fullstatus", "uptime_s": 300,
    "pools": [
        {"id": 0, "algorithm": "kaspa", "hashrate": 1.5e9, "current_url": "stratum+tcp://kas.example.org:16110",
         "valid_solutions": 8, "rejected_solutions": 1},
        {"id": 1, "algorithm": "ergo", "hashrate": 3e8, "current_url": "stratum+tcp://erg.example.org:3053",
         "valid_solutions": 2, "rejected_solutions": 0},
    ],
    "devices": [
        {"pci_bus_id": 1, "hashrate": [1e9, 2e8], "valid_solutions": [5, 1], "message": ["", ""]},
        {"pci_bus_id": 12, "hashrate": [5e8, 1e8], "valid_solutions": [3, 1], "message": ["", ""]},
    ],
}  # fmt: skip
SRBMINER: dict[str, Any] = {
    "rig_name": "r", "miner_version": "2.4.7", "mining_time": 900,
    "gpu_devices": [{"id": 0, "bus_id": 1}, {"id": 1, "bus_id": 12}],
    "algorithms": [
        {"name": "randomx", "hashrate": {"now": 9000.0, "1min": 8990.0, "cpu": {"total": 9000.0}, "gpu": {"total": 0}},
         "shares": {"accepted": 3, "rejected": 0}},
        {"name": "autolykos2", "hashrate": {"now": 3e8, "cpu": {"total": 0},
                                            "gpu": {"total": 3e8, "gpu0": 2e8, "gpu1": 1e8}},
         "shares": {"accepted": 6, "rejected": 1}},
    ],
}  # fmt: skip
TEAMREDMINER: dict[str, Any] = {
    "version": [{"STATUS": [{"STATUS": "S"}], "VERSION": [{"SGMiner": "5.5.5", "Miner": "TeamRedMiner 0.10.21"}]}],
    "config": [{"CONFIG": [{"GPU Count": 2, "Algo Count": 2}]}],
    "coin": [{"STATUS": [{"STATUS": "E", "Msg": "Invalid command"}]}],
    "devdetails": [{"DEVDETAILS": [{"ID": 0, "Device Path": "01", "Model": "Radeon RX 6800 XT"},
                                   {"ID": 1, "Device Path": "0c", "Model": "Radeon RX 6800 XT"}]}],
    "devs": [{"DEVS": [{"GPU": 0, "KHS av": 60000.0, "KHS 30s": 61000.0, "Temperature": 55.0, "Fan Percent": 40},
                       {"GPU": 1, "KHS av": 59000.0, "KHS 30s": 60500.0, "Temperature": 56.0, "Fan Percent": 41}]}],
    "summary": [{"SUMMARY": [{"Elapsed": 700, "Accepted": 11, "Rejected": 1}]}],
    "pools": [{"POOLS": [{"POOL": 0, "URL": "stratum+tcp://etc.example.org:4444", "Stratum Active": True}]}],
    "devs2": [{"DEVS": [{"GPU": 0, "KHS 30s": 500.0}, {"GPU": 1, "KHS 30s": 400.0}]}],
    "summary2": [{"SUMMARY": [{"Elapsed": 700, "Accepted": 5, "Rejected": 0}]}],
    "pools2": [{"POOLS": [{"POOL": 0, "URL": "stratum+tcp://ton.example.org:3333", "Stratum Active": True}]}],
    "id": 1,
}  # fmt: skip
GMINER: dict[str, Any] = {
    "miner": "GMiner 3.44", "uptime": 500, "server": "stratum://flux.example.org:2001", "user": "t1x",
    "algorithm": "Equihash 125/4", "speed_unit": "Sol/s",
    "devices": [
        {"gpu_id": 0, "bus_id": "0000:01:00.0", "name": "GeForce RTX 3080", "speed": 95, "accepted_shares": 4,
         "rejected_shares": 1, "fan": 70, "temperature": 55, "memory_temperature": 88, "core_clock": 1500,
         "memory_clock": 9501, "power_usage": 220},
        {"gpu_id": 1, "bus_id": "0000:0c:00.0", "name": "Other", "speed": 40, "accepted_shares": 2, "rejected_shares": 0},
    ],
}  # fmt: skip
NBMINER: dict[str, Any] = {
    "version": "42.3", "start_time": 1700000000,
    "miner": {
        "total_hashrate_raw": 98000000, "total_hashrate2_raw": 1500000,
        "devices": [
            {"id": 0, "info": "GeForce RTX 3080", "hashrate_raw": 60000000, "hashrate2_raw": 1000000, "pci_bus_id": 1,
             "temperature": 55, "memTemperature": 88, "core_clock": 1500, "mem_clock": 9501, "power": 220, "fan": 70},
            {"id": 1, "info": "Other", "hashrate_raw": 38000000, "hashrate2_raw": 500000, "pci_bus_id": 12},
        ],
    },
    "stratum": {"algorithm": "ethash", "dual_mine": True, "accepted_shares": 3, "rejected_shares": 0,
                "url": "etc.example.org:4444"},
}  # fmt: skip
