"""A farm whose miners are taken apart: chassis with hashboards and a power supply, and control boards between them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contract.clock import to_text
from contract.link import MinerReading, ReadingsRequest
from contract.miner import Board, Make, Moving, Psu, Slow, Static
from tests.cloud.conftest import AgentClient, Cloud, body_of


@dataclass
class ControlBoard:
    """What answers: its MAC, its own serial number, the name it was given."""

    number: int

    @property
    def mac(self) -> str:
        return f"02:00:00:00:00:{self.number:02X}"

    @property
    def serial(self) -> str:
        return f"CTRL{self.number:04}"


@dataclass
class Chassis:
    """What stays in its place: three hashboards and a power supply."""

    number: int
    hashboards: list[str] = field(default_factory=list)
    psu: str | None = None

    def __post_init__(self) -> None:
        self.hashboards = self.hashboards or [f"HB{self.number:04}-{slot}" for slot in range(3)]
        self.psu = self.psu or f"PSU{self.number:04}"


@dataclass
class Yard:
    """One farm of a cloud, its agent, and an operator."""

    cloud: Cloud
    agent: AgentClient
    seq: int = 0

    @classmethod
    async def at(cls, cloud: Cloud) -> Yard:
        return cls(cloud, await cloud.agent())

    def look(
        self,
        control: ControlBoard | int,
        chassis: Chassis | int,
        *,
        ip: str | None = None,
        hostname: str | None = None,
        model: str = "Antminer S19",
        at: datetime | None = None,
        **more: Any,
    ) -> MinerReading:
        """What the agent reads of a control board in a chassis."""
        board = ControlBoard(control) if isinstance(control, int) else control
        case = Chassis(chassis) if isinstance(chassis, int) else chassis
        facts: dict[str, Any] = {
            "at": to_text(at or self.cloud.clock.now()),
            "ip": ip or f"10.0.0.{board.number}",
            "mac": board.mac,
            "interval_s": 30.0,
            "moving": Moving(
                hashrate_hs=100e12,
                boards=tuple(
                    Board(index=slot, serial=serial) for slot, serial in enumerate(case.hashboards)
                ),
            ),
            "slow": Slow(),
            "static": Static(
                make=Make.ANTMINER,
                model=model,
                mac=board.mac,
                serial=board.serial,
                hostname=hostname,
                psu=Psu(serial=case.psu),
            ),
        }
        return MinerReading(**facts | more)

    async def push(self, *looks: MinerReading, after_s: float = 0.0) -> dict[str, str]:
        """Readings after so long; gives the ids by MAC."""
        self.cloud.clock.move(after_s)
        if after_s:
            now = to_text(self.cloud.clock.now())
            looks = tuple(
                MinerReading(**{n: getattr(each, n) for n in each.__struct_fields__} | {"at": now})
                for each in looks
            )
        self.seq += 1
        body = body_of(ReadingsRequest(run_id="run", seq=self.seq, readings=looks))
        headers = {"Content-Encoding": "deflate"}
        status, answer = await self.agent.call(
            "POST", "readings", data=zlib.compress(body), headers=headers
        )
        assert status == 200, answer
        return {each["mac"]: each["id"] for each in answer["miners"]}

    async def ask(
        self, method: str, path: str, *, status: int = 200, key: str | None = None, **more: Any
    ) -> Any:
        """The data of an answer below the farm, or the message of a refusal."""
        cloud = self.cloud
        url = f"{cloud.base}/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}{path}"
        headers = {"x-api-key": key or cloud.key}
        async with cloud.http.request(method, url, headers=headers, **more) as answer:
            body = await answer.json()
            assert answer.status == status, body
            return body["data"] if status < 400 else body["message"]

    async def proposals(self, status: str = "open") -> list[Any]:
        found: list[Any] = await self.ask("GET", f"/miner-proposals?status={status}&pageSize=100")
        return found

    async def confirm(self, proposal: Any, *, status: int = 200) -> Any:
        return await self.ask("POST", f"/miner-proposals/{proposal['id']}/confirm", status=status)

    async def miners(self) -> dict[str, Any]:
        """Those on the lists, by id."""
        found = await self.ask("GET", "/miner/latest?pageSize=1000")
        return {each["id"]: each for each in found}
