"""The section of a Mining Rig Monitor server, and its entries: one per miner that needs one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from agent.config.fields import AddressText, Flag, MacText, Section, ShortText, Watts
from agent.config.urls import check_monitor_url
from contract.rigmonitor.shared import PREFIX as MONITOR_PREFIX


class RigMonitorMiner(Section):
    """One miner of the monitor, by its MAC or by its address; its code stands here or in `codes_file`."""

    mac: MacText | None = None
    ip: AddressText | None = None
    api_code_file: Path | None = None
    coin_name: ShortText | None = None
    power_w: Watts | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.mac is None) == (self.ip is None):
            raise ValueError("give exactly one of mac and ip")
        return self


class RigMonitorMined(Section):
    """What a part of a rig mines, as the monitor is told where no playbook says it."""

    coin_name: ShortText | None = None
    algorithm: ShortText | None = None
    pool_address: ShortText | None = None
    wallet_address: ShortText | None = None


class RigMonitorRig(Section):
    """One CPU/GPU rig of the monitor, by its name in `[[rigs]]`; its code stands here or in `codes_file`.

    `playbooks`: whether it mines what the monitor says, by the service `miner-agent-rig` of this host.
    """

    name: ShortText
    api_code_file: Path | None = None
    playbooks: Flag = False
    cpu: RigMonitorMined = RigMonitorMined()
    gpu_1: RigMonitorMined = RigMonitorMined()
    gpu_2: RigMonitorMined = RigMonitorMined()


class RigMonitorSection(Section):
    """A Mining Rig Monitor server that is told of miners, and whose wishes are followed. No `url`: none."""

    url: str | None = None
    insecure_http: Flag = False
    ca_file: Path | None = None
    codes_file: Path | None = None
    official: Flag = True
    log_every_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = 30.0
    expected_every_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = 10.0
    follow_light: Flag = True
    follow_asic: Flag = True
    power_gap_s: Annotated[float, Field(strict=True, ge=0, le=86_400)] = 300.0
    request_timeout_s: Annotated[float, Field(strict=True, gt=0, le=300)] = 10.0
    requests_at_once: Annotated[int, Field(strict=True, ge=1, le=512)] = 32
    default_coin_name: ShortText | None = None
    default_power_w: Watts | None = None
    wan_ip: AddressText | None = None
    miner: tuple[RigMonitorMiner, ...] = ()
    playbooks_every_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = 60.0
    rig_service_socket: Path | None = None
    rig: tuple[RigMonitorRig, ...] = ()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        keys = [each.mac or each.ip for each in self.miner]
        if len(set(keys)) != len(keys):
            raise ValueError("two entries of miner speak of the same MAC or address")
        names = [each.name for each in self.rig]
        if len(set(names)) != len(names):
            raise ValueError("two entries of rig speak of the same rig")
        if sum(each.playbooks for each in self.rig) > 1:
            raise ValueError("playbooks of one rig can be followed: that of this host")
        if self.url is not None:
            check_monitor_url(self.url, insecure_http=self.insecure_http)
        return self

    @property
    def base_url(self) -> str:
        """The url without the prefix of the API, whether it was given with it or not."""
        return (self.url or "").rstrip("/").removesuffix(MONITOR_PREFIX)
