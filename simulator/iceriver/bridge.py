"""The web layer's line to the daemon, and what it makes of silence and of broken replies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from simulator.iceriver.daemon import ask
from simulator.orders import Reaction

if TYPE_CHECKING:
    from simulator.iceriver.device import IceriverDevice

_PATIENCE_S: Final = 60.0


class WebError(Exception):
    """What the web layer answers instead of data."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class LostError(Exception):
    """Nothing is answered: the line is cut, or stays open for good."""

    def __init__(self, *, hangs_up: bool) -> None:
        super().__init__(hangs_up)
        self.hangs_up = hangs_up


class Bridge:
    """One for each device."""

    def __init__(self, miner: IceriverDevice) -> None:
        self.miner = miner

    async def call(self, command: bytes) -> tuple[bytes, ...]:
        """What the daemon answers, part by part. Raises WebError or LostError."""
        miner = self.miner
        if not miner.daemon_answers:
            raise WebError(1, "Connect miner failed!")
        answer = await ask(miner, command)
        if answer.reaction is not Reaction.ANSWER:
            raise LostError(hangs_up=answer.reaction is Reaction.HANG_UP)
        if not answer.parts:
            await miner.clock.sleep(_PATIENCE_S)
            raise WebError(2, "Miner return failed!")
        return answer.parts

    async def ret(self, command: bytes, *, heeds_code: bool = True) -> dict[str, Any]:
        """What is in `ret` of the daemon's answer. Raises WebError or LostError."""
        return parse((await self.call(command))[0], heeds_code=heeds_code)

    async def read(self, name: str, *, heeds_code: bool = True) -> dict[str, Any]:
        """The answer to a command without parameters, without its code. Raises as `ret` does."""
        found = await self.ret(b'{"id":"%s"}\n' % name.encode(), heeds_code=heeds_code)
        found.pop("code")
        return found


def parse(reply: bytes, *, heeds_code: bool = True) -> dict[str, Any]:
    """What is in `ret`. Raises WebError for what is no JSON and for the daemon's own errors."""
    try:
        found: dict[str, Any] = json.loads(reply)["ret"]
    except ValueError as error:
        raise WebError(3, "Json decode fail!") from error
    if heeds_code and found["code"]:
        raise WebError(found["code"], found.get("msg", "failed"))
    return found
