"""The options that a playbook may give XMRig, by its documentation (xmrig.com/docs/miner/command-line-options).

Left out on purpose: what names files (`--config --log-file --data-dir --opencl-loader --cuda-loader --tls-cert`), what
sends it out of sight (`--background --syslog`), what makes its API more than a reader (`--http-no-restricted`: whoever
has the token could set a log file then; the rig's config may give it in `arguments`), other ways out of the host
(`--proxy --self-select --daemon`), and what ends by itself (`--bench --stress --version --print-platforms`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.rig.options import (
    Check,
    OptionKind,
    Options,
    checks,
    integer,
    matching,
    one_of,
)

_THREADS = 1024
_DONATION = 5  # percent of the time that it mines for its makers, whatever `pools` of rig.toml says


def xmrig_options(http_port: int | None, pools: Sequence[str]) -> Options:
    """What XMRig 6 may be given."""

    def kind(of: OptionKind) -> Check | None:
        return checks(of, http_port=http_port, pools=pools)

    flag, text, word = kind(OptionKind.FLAG), kind(OptionKind.TEXT), kind(OptionKind.WORD)
    url, cards, number = kind(OptionKind.POOL), kind(OptionKind.LIST), kind(OptionKind.HEX)
    fingerprint = matching(re.compile(r"[0-9A-Fa-f]{64}"), "is no SHA-256 fingerprint")
    return {
        # pool
        "-o": url, "--url": url, "-u": text, "--user": text, "-p": text, "--pass": text,
        "-a": word, "--algo": word, "--coin": word, "--rig-id": text,
        "-k": flag, "--keepalive": flag, "--nicehash": flag,
        "--tls": flag, "--tls-fingerprint": fingerprint,
        "-r": integer(1, 1000), "--retries": integer(1, 1000),
        "-R": integer(1, 3600), "--retry-pause": integer(1, 3600),
        "--donate-level": integer(0, _DONATION), "--donate-over-proxy": integer(0, 1),
        "--dns-ipv6": flag, "--dns-ttl": integer(1, 86_400),
        # processor
        "--no-cpu": flag, "-t": integer(1, _THREADS), "--threads": integer(1, _THREADS),
        "--cpu-affinity": number, "--cpu-priority": integer(0, 5),
        "--cpu-max-threads-hint": integer(1, 100), "--cpu-memory-pool": integer(-1, _THREADS),
        "--cpu-no-yield": flag, "--no-huge-pages": flag, "--huge-pages-jit": flag,
        "--asm": one_of("auto", "none", "intel", "ryzen", "bulldozer"),
        "--argon2-impl": one_of("x86_64", "SSE2", "SSSE3", "XOP", "AVX2", "AVX-512F"),
        "-v": integer(0, 10), "--av": integer(0, 10),
        "--randomx-init": integer(-1, _THREADS), "--randomx-mode": one_of("auto", "fast", "light"),
        "--randomx-no-numa": flag, "--randomx-1gb-pages": flag, "--randomx-no-rdmsr": flag,
        "--randomx-wrmsr": integer(-1, 15), "--randomx-cache-qos": flag,
        # cards
        "--opencl": flag, "--opencl-devices": cards, "--opencl-no-cache": flag,
        "--cuda": flag, "--cuda-devices": cards, "--no-nvml": flag,
        "--cuda-bfactor-hint": integer(0, 12), "--cuda-bsleep-hint": integer(0, 10_000),
        # its API
        "--http-enabled": flag, "--http-host": kind(OptionKind.LOOPBACK),
        "--http-port": kind(OptionKind.API_PORT), "--http-access-token": text,
        "--api-worker-id": text, "--api-id": text,
        # what it writes to its output
        "--no-color": flag, "--verbose": flag, "--print-time": integer(0, 86_400),
        "--health-print-time": integer(0, 86_400), "--no-title": flag, "--no-dmi": flag,
        "--pause-on-battery": flag, "--pause-on-active": integer(0, 86_400),
    }  # fmt: skip
